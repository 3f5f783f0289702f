"""The front door: every `tocsin` command, and how it ends.

Flows in: the command line. Flows out: exit status 0 (done), 1 (failed) or 2 (wrong usage), with one line that says
what to do. Stops before the work: `commands` has it.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from commands import (
    alerts,
    answers,
    backtest,
    corpus,
    coverage,
    deadletters,
    demo,
    encoders,
    evaluate,
    health,
    learning,
    lint,
    queries,
    receivers,
    routes,
    search,
    services,
    silences,
    simulate,
    sources,
)
from schemas.errors import TocsinError, exit_status

app = typer.Typer(
    name="tocsin",
    help="A streaming crisis monitor for Earth observation: say what you want to hear about, and where.",
    epilog='Example: tocsin query add "wildfire burn scar" --bbox -124,32,-114,42 --budget 2/week',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tocsin {metadata.version('tocsin')}\n")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before any command (read by `main`, listed here for `--help`)."""


sources.register(app)
queries.register(app)
backtest.register(app)
lint.register(app)
learning.register(app)
receivers.register(app)
routes.register(app)
silences.register(app)
services.register(app)
demo.register(app)
simulate.register(app)
search.register(app)
alerts.register(app)
answers.register(app)
coverage.register(app)
health.register(app)
encoders.register(app)
evaluate.register(app)
deadletters.register(app)
corpus.register(app)


def main() -> None:
    """Run one command and exit with its status."""
    debug = "--debug" in sys.argv[1:]
    try:
        app(args=[word for word in sys.argv[1:] if word != "--debug"], prog_name="tocsin")
    except TocsinError as error:
        if debug:
            raise
        sys.stderr.write(f"tocsin: {error}\n")
        sys.exit(exit_status(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
