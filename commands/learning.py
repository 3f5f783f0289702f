"""`tocsin query learn`: what a query would learn from people's answers, and putting it in force.

Flows in: the id of a standing query. Flows out: both states of it beside each other; with --apply or --undo another one
in force. Stops before learning itself (`alerts.learning`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands.backtest import show_progress
from commands.options import Data, Json, open_database, open_stack
from commands.output import note, print_json, say, table
from commands.queries import Which, query
from schemas.errors import UsageError

if TYPE_CHECKING:
    from alerts.learning.compare import Comparison


def learn(
    which: Which,
    apply: Annotated[bool, typer.Option("--apply", help="Put what is shown in force.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was put in force last.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what a query would learn from the answers to its alerts, beside what it does now."""
    from alerts import queries
    from alerts.learning import heads
    from alerts.learning.compare import compare
    from alerts.learning.examples import of_verdicts
    from archive import open_archive
    from encoders import load_for

    if apply and undo:
        raise UsageError("give --apply or --undo, not both")
    stack = open_stack(data)
    engine = open_database(stack)
    found = queries.show(engine, which)
    standing = heads.in_force(engine, found.query_id)
    if undo:
        before = heads.undo(engine, found)
        print_json({"in_force": None if before is None else str(before.head_id)}) if as_json else say(
            f'"{found.sentence}" uses {"what it had learnt before" if before else "its sentence alone"} again'
        )
        return
    judged = of_verdicts(engine, found)
    heads.check_judged(found, judged)
    with open_archive(stack) as archive, show_progress() as progress:
        learnt = standing.judged if standing is not None else ()
        comparison = compare(found, judged, archive, load_for(stack), standing=learnt, progress=progress)
    head = heads.propose(engine, found, judged, comparison.as_dict())
    if apply:
        heads.apply(engine, head.head_id)
    if as_json:
        print_json(comparison.as_dict() | {"head_id": str(head.head_id), "applied": apply})
        return
    _show(found.sentence, comparison)
    say("in force: thresholds are computed anew" if apply else "nothing has changed: --apply puts it in force")


def _show(sentence: str, comparison: Comparison) -> None:
    say(f'"{sentence}": {comparison.true} true and {comparison.false} false answers')
    rows = [
        (
            name,
            fared.incidents,
            "" if fared.a_week is None else f"{fared.a_week:.2f}",
            f"{fared.true_told} of {comparison.true}",
            f"{fared.false_told} of {comparison.false}",
        )
        for name, fared in (("as it stands", comparison.now), ("with what it would learn", comparison.then))
    ]
    title = f"Back-test, {comparison.since:%Y-%m-%d} to {comparison.until:%Y-%m-%d}"
    table(title, ("", "incidents", "a week", "true ones told", "false ones told"), rows, "")
    for sensor, agreed in comparison.agreement.items():
        if agreed.sentence is None or agreed.learnt is None:
            note(f"{sensor}: true and false answers are both needed to say whether it ranks better")
            continue
        pairs = f"{agreed.sentence:.2f} by the sentence, {agreed.learnt:.2f} learnt"
        say(f"{sensor}: pairs in which a true answer scores above a false one: {pairs}")
        if agreed.learnt < agreed.sentence:
            note(f"{sensor}: it ranks answers that it has not seen worse than the sentence does: better wait for more")


def register(_app: typer.Typer) -> None:
    """Put this command on `tocsin query`."""
    query.command("learn", epilog="Example: tocsin query learn 9c41 --apply")(learn)
