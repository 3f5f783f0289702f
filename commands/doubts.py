"""What speaks against the sentence of a query that was just registered.

Flows in: a standing query. Flows out: doubts in words. Stops before refusing anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.errors import TocsinError

if TYPE_CHECKING:
    from schemas.messages import StandingQuery
    from schemas.settings import Stack


def doubts_of(stack: Stack, added: StandingQuery) -> list[str]:
    """What speaks against a query's sentence, by the release alone: no store is asked, and nothing is held up.

    Where the release cannot be loaded, the one doubt says so.
    """
    from alerts.lint import lint
    from encoders import load_for

    try:
        encoder = load_for(stack)
    except TocsinError as error:
        return [f"the sentence was not looked at: {error}"]
    sentences = (added.sentence, *added.wordings)
    return [str(doubt) for one in sentences for doubt in lint(one, encoder, sensors=added.sensors).doubts]
