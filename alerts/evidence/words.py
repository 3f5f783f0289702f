"""An explanation in words, for the terminal and for the bundle.

Flows in: an `Explanation`. Flows out: lines of plain text, none of them a judgement. Stops before layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from alerts.evidence.explain import Explanation
from alerts.evidence.lookalikes import Judged, Lookalike, Lookalikes
from alerts.evidence.occlusion import Occlusion, Share
from alerts.evidence.told import Line
from alerts.incidents.other_sensor import sentence
from alerts.telling.phrases import SENSORS
from alerts.telling.words import surprise
from schemas.messages import Match, Mode

SAME_SCORE = 0.005
"""Scores closer than this are the same score, read twice."""
ALIKE_SHOWN = 3
"""Look-alikes named in words; the bundle has all."""


def lines(explanation: Explanation) -> list[str]:
    """What can be said, from the most to the least important."""
    return [
        printable(line)
        for part in (_head, _scores, _other_sensor, _bands, _alike, _left_out)
        for line in part(explanation)
    ]


def printable(text: str) -> str:
    """Control characters of sentences and catalogues never reach a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _head(explanation: Explanation) -> Iterator[str]:
    alert = explanation.told.alert
    incident = alert.incident
    said = "SIMULATED " if alert.simulated else ""
    sensors = " and ".join(SENSORS[sensor] for sensor in incident.sensors)
    yield f"{said}{alert.query}: {incident.state.value}, {len(incident.cells)} cells of 1 km"
    yield f"alert {alert.alert_id}, message {alert.sequence}"
    yield f"sensed {_moment(incident.first_sensing_at)} to {_moment(incident.last_sensing_at)} by {sensors}"


def _scores(explanation: Explanation) -> Iterator[str]:
    told = explanation.told
    yield ""
    yield "How strong"
    kind = "change score (looks like the sentence, less how it looked before)"
    yield f"  {kind if told.alert.mode is Mode.APPEARANCE else 'score (looks like the sentence)'}"
    for sensor in told.alert.incident.sensors:
        mine = [score for score in explanation.scores if score.sensor == sensor]
        if not mine:
            continue
        best = mine[0].best
        release = (told.releases.get(best.acquisition_id) or ("",))[-1]
        line = next((one for one in told.lines if (one.release, one.sensor) == (release, sensor)), None)
        yield (
            f"  {SENSORS[sensor]}: {len(mine)} cells, highest {best.score:.3f} in {best.cell}; "
            f"it had to pass {best.threshold:.3f}{_basis(line)}"
        )
    if rare := surprise(told.alert.incident.expected_every_days):
        yield f"  as strong a match is {rare}"


def _basis(line: Line | None) -> str:
    """Where a threshold comes from, as it stands now."""
    if line is None:
        return ""
    low, high = line.score_low, line.score_high
    sure = "" if low is None or high is None else f", 90 % between {low:.3f} and {high:.3f}"
    now = "none" if line.score is None else f"{line.score:.3f}"
    return f" (now {now}, from {line.background} scores, basis {line.basis}{sure})"


def _other_sensor(explanation: Explanation) -> Iterator[str]:
    """What the sensor that did not open the incident has to say, where the alert knows."""
    if (other := explanation.told.alert.other_sensor) is not None:
        yield ""
        yield sentence(other)


def _bands(explanation: Explanation) -> Iterator[str]:
    if not explanation.occlusions:
        return
    matches = {(look.look.match.cell, look.look.match.sensor): look.look.match for look in explanation.shown}
    yield ""
    yield "What carried it (score from before to after, and what each group of bands brought)"
    for one in explanation.occlusions:
        match = matches[one.cell, one.sensor]
        again = "" if abs(one.score - match.score) <= SAME_SCORE else f"; encoded again it scores {one.score:.3f}"
        yield f"  {one.cell} {SENSORS[one.sensor]}: {_taken(one)}{_from(one, match)}{again}"


def _taken(one: Occlusion) -> str:
    if one.method == "missing":
        return ", ".join(f"without {share.name} {-share.drop:+.3f}" for share in one.groups)
    return ", ".join(_share(share) for share in one.groups)


def _share(share: Share) -> str:
    return f"{share.name} {share.share or 0.0:+.3f}"


def _from(one: Occlusion, match: Match) -> str:
    if one.before is None:
        return f" (of {match.score:.3f}; nothing earlier to compare with)"
    past = round(one.before, 3) + 0.0  # no minus zero
    return f" (from {past:.3f} to {one.score:.3f})"


def _alike(explanation: Explanation) -> Iterator[str]:
    if not any(alike.nearest or alike.judged for alike in explanation.lookalikes):
        return
    yield ""
    yield "Most like it elsewhere or earlier (similarity)"
    for alike in explanation.lookalikes:
        yield from _alike_of(alike)


def _alike_of(alike: Lookalikes) -> Iterator[str]:
    """A line for those that nothing is known of, and one for each that was alerted or judged."""
    what = f"  {alike.cell} {SENSORS[alike.sensor]}"
    shown = alike.nearest[:ALIKE_SHOWN]
    silent = [one for one in shown if not one.alerted and not one.verdicts]
    if silent:
        yield f"{what}: {', '.join(_likeness(one) for one in silent)}; no alert there"
    named = {one.point_id for one in shown}
    for one in [*shown, *[each for each in alike.judged if each.point_id not in named][:ALIKE_SHOWN]]:
        said = [_said(verdict) for verdict in one.verdicts]
        said = said or [f"alerted for “{sentence}”, nobody has judged it" for sentence in one.alerted]
        if said:
            yield f"{what}: {_likeness(one)}, {'; '.join(said)}"


def _likeness(one: Lookalike) -> str:
    return f"{one.cell} on {one.sensing_at:%d %B %Y} ({one.similarity:.2f})"


def _said(verdict: Judged) -> str:
    why = f" ({verdict.reason})" if verdict.reason else ""
    return f"judged {verdict.answer}{why} by {verdict.person} for “{verdict.sentence}”"


def _left_out(explanation: Explanation) -> Iterator[str]:
    if explanation.left_out:
        yield ""
        yield "Left out"
        yield from (f"  {reason}" for reason in explanation.left_out)


def _moment(moment: datetime) -> str:
    return f"{moment:%d %B %Y, %H:%M} UTC"
