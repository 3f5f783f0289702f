"""`tocsin query lint`: whether the encoder understands a sentence.

Flows in: sentences. Flows out: warnings with what to write instead, and known sentences near by. Stops before
registering anything, and refuses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Data, Json, open_stack
from commands.output import note, print_json, say
from commands.queries import Sensors, query

if TYPE_CHECKING:
    from alerts.lint import Lint


def lint_(
    sentences: Annotated[list[str], typer.Argument(metavar="SENTENCE...", help="What you want to hear about.")],
    sensor: Sensors = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say whether the encoder understands a sentence, and what it would understand better."""
    from alerts.asked import SENSORS, asked
    from alerts.lint import lint
    from archive import open_archive
    from encoders import load_for

    wanted = [asked(sentence, sensors=sensor or SENSORS) for sentence in sentences]
    stack = open_stack(data)
    encoder = load_for(stack)
    with open_archive(stack) as archive:
        found = [lint(one.sentence, encoder, sensors=one.sensors, archive=archive) for one in wanted]
    if as_json:
        print_json([describe(one) for one in found])
        return
    for one in found:
        show(one)


def show(found: Lint) -> None:
    """What there is to say, on the terminal."""
    say(f'"{found.sentence}": {"nothing speaks against it" if not found.doubts else f"{len(found.doubts)} doubts"}')
    for doubt in found.doubts:
        say(f"  {doubt.kind}: {doubt.what}")
        say(f"    {doubt.why}; {doubt.instead}")
    if found.near:
        say("  near by: " + ", ".join(f'"{sentence}" {cosine:.2f}' for sentence, cosine in found.near))


def describe(found: Lint) -> dict[str, object]:
    """The same as JSON."""
    return {
        "sentence": found.sentence,
        "doubts": [
            {"kind": doubt.kind, "what": doubt.what, "why": doubt.why, "instead": doubt.instead}
            for doubt in found.doubts
        ],
        "near": [{"sentence": sentence, "cosine": cosine} for sentence, cosine in found.near],
        "nearest": found.nearest,
        "spread": dict(found.spread),
    }


def warn(found: Lint) -> None:
    """The doubts beside another result, on stderr."""
    for doubt in found.doubts:
        note(f"note: {doubt}")


def register(_app: typer.Typer) -> None:
    """Put this command on `tocsin query`."""
    query.command("lint", epilog='Example: tocsin query lint "no flooding in Valencia"')(lint_)
