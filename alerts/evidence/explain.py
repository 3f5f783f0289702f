"""An alert explained: what was seen before and after, where, what carried it, what else looks so.

Flows in: an alert, and where everything is. Flows out: one `Explanation` with its pictures. Stops before words
(`words`), before files (`bundle`), and before any judgement: that is a person's.

Every part may be missing (scenes expire, releases change, archives are pruned); the explanation then says which, and
why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import Engine

from alerts.evidence.cell_scores import CellScore, cell_scores
from alerts.evidence.chips import Seen, Wanted, read
from alerts.evidence.lookalikes import Lookalikes, lookalikes
from alerts.evidence.looks import Look, best_matches, looks
from alerts.evidence.occlusion import Occlusion, occlude
from alerts.evidence.plates import plate
from alerts.evidence.score_map import score_map, view_of
from alerts.evidence.scores import Scorer
from alerts.evidence.surroundings import surroundings
from alerts.evidence.told import Told, acquisitions_of, told
from alerts.settings import EvidenceSettings
from alerts.telling.kinds.kind import Picture
from archive import Archive
from encoders.interface import Encoder
from encoders.settings import EncoderSettings
from schemas.database import reading
from schemas.errors import Rejected
from schemas.messages import Acquisition, Alert, Sensor

MAX_SCENES = 10
"""Scenes of each sensor whose coverage the map shows round about the incident: each is thousands of cells."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where an explanation comes from.

    Attributes:
        engine: The database.
        archive: Read only.
        encoder: The release in use; none: bands are not taken apart.
        no_encoder: Why there is none, for people.
        reading: Limits of reading pixels.
        settings: Limits of explaining.
    """

    engine: Engine
    archive: Archive
    encoder: Encoder | None
    no_encoder: str
    reading: EncoderSettings
    settings: EvidenceSettings


@dataclass(frozen=True, slots=True)
class Shown:
    """One match, with what could be had of it.

    Attributes:
        look: The match, and the look before.
        picture: Name of its plate; none where there is none.
        left_out: Why not, or why a part of it is missing; empty: nothing is.
    """

    look: Look
    picture: str | None
    left_out: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that can be said of one alert message.

    Attributes:
        told: What was told, and what stands behind it.
        scores: Best score of each cell and sensor.
        shown: The matches that were looked at closer.
        ledger: Acquisitions of the matches and of the earlier looks, by id.
        occlusions: Which bands carried them.
        lookalikes: What looks like them.
        release: Of the encoder in use, or none.
        pictures: Map and plates.
        left_out: Everything that is missing, with its reason.
    """

    told: Told
    scores: tuple[CellScore, ...]
    shown: tuple[Shown, ...]
    ledger: Mapping[UUID, Acquisition]
    occlusions: tuple[Occlusion, ...]
    lookalikes: tuple[Lookalikes, ...]
    release: str | None
    pictures: tuple[Picture, ...]
    left_out: tuple[str, ...]


def explain(sources: Sources, alert: Alert, *, pixels: bool = True) -> Explanation:
    """Explain an alert.

    Args:
        sources: Where everything is.
        alert: One of its messages.
        pixels: False: scenes are not read, so that nothing is drawn and no band taken apart.

    Raises:
        StoreUnavailable: database or archive does not answer.
    """
    settings = sources.settings
    known = told(sources.engine, alert)
    seen = looks(
        known,
        sources.archive,
        best_matches(known.matches, settings.cells),
        max_cloud=settings.max_cloud,
        max_points=settings.history_points,
        release=None if sources.encoder is None else sources.encoder.release,
    )
    ledger = _ledger(sources.engine, known, seen)
    scores = tuple(cell_scores(known.matches))
    most = settings.lookalikes
    alike = [lookalikes(sources.engine, sources.archive, known, look, most) for look in seen] if most else []
    bare = Explanation(
        told=known,
        scores=scores,
        shown=tuple(Shown(look, None, "pixels were not asked for") for look in seen),
        ledger=ledger,
        occlusions=(),
        lookalikes=tuple(alike),
        release=None if sources.encoder is None else sources.encoder.release,
        pictures=(),
        left_out=(),
    )
    if not pixels:
        return replace(bare, left_out=("pictures and bands: pixels were not asked for",))
    chips = read(_wanted(seen), ledger, sources.reading, settings.deadline_s)
    plates = [_plate(alert, look, chips) for look in seen]
    taken = [_occlusion(sources, known, look, chips) for look in seen]
    return replace(
        bare,
        shown=tuple(shown for shown, _ in plates),
        occlusions=tuple(one for one in taken if isinstance(one, Occlusion)),
        pictures=(_map(sources.engine, known, scores, seen), *(picture for _, picture in plates if picture)),
        left_out=tuple(dict.fromkeys([*_missing(plates), *(one for one in taken if isinstance(one, str) and one)])),
    )


def _ledger(engine: Engine, known: Told, seen: Sequence[Look]) -> dict[UUID, Acquisition]:
    with reading(engine) as session:
        return known.acquisitions | acquisitions_of(session, {one.before.acquisition_id for one in seen if one.before})


def _wanted(seen: Sequence[Look]) -> list[Wanted]:
    """What is to be read, the best match first, so that time that runs out costs the least."""
    return [
        (acquisition_id, look.match.cell)
        for look in seen
        for acquisition_id in (look.match.acquisition_id, look.before and look.before.acquisition_id)
        if acquisition_id
    ]


def _chips(look: Look, chips: Mapping[Wanted, Seen | str]) -> tuple[Seen | str, Seen | str]:
    """After and before, or why not."""
    after = chips[look.match.acquisition_id, look.match.cell]
    if look.before is None:
        return after, look.gap
    return after, chips[look.before.acquisition_id, look.match.cell]


def _plate(alert: Alert, look: Look, chips: Mapping[Wanted, Seen | str]) -> tuple[Shown, Picture | None]:
    after, before = _chips(look, chips)
    if isinstance(after, str):
        return Shown(look, None, after), None
    if isinstance(before, str):
        picture = plate(alert, look.match, after, None, f"Without a look from before: {before}")
        return Shown(look, picture.name, before), picture
    picture = plate(alert, look.match, after, before, "")
    return Shown(look, picture.name, ""), picture


def _occlusion(sources: Sources, known: Told, look: Look, chips: Mapping[Wanted, Seen | str]) -> Occlusion | str:
    """A match taken apart, or why not; empty where that has been said of its picture already."""
    match, encoder = look.match, sources.encoder
    after, before = _chips(look, chips)
    what = f"bands of {match.cell} by {match.sensor}"
    line = next((one for one in known.lines if (one.release, one.sensor) == (look.release, match.sensor)), None)
    if isinstance(after, str):
        return ""
    if encoder is None:
        return f"{what}: {sources.no_encoder}"
    if look.release != encoder.release:
        return f"{what}: matched by release {look.release or 'unknown'}, loaded is {encoder.release}"
    if line is None:
        return f"{what}: the query has no vector for release {look.release} any more"
    scorer = Scorer.stored(line.vector, known.alert.mode)
    earlier = None if isinstance(before, str) else before
    try:
        return occlude(match.cell, match.sensor, after, earlier, encoder, scorer, look.baseline)
    except Rejected as error:
        return f"{what}: {error}"


def _map(engine: Engine, known: Told, scores: Sequence[CellScore], seen: Sequence[Look]) -> Picture:
    cells = known.alert.incident.cells
    view = view_of(cells)
    around = {sensor: surroundings(engine, _latest(known, sensor), view.box) for sensor in known.alert.incident.sensors}
    return score_map(known.alert, scores, around, list(dict.fromkeys(look.match.cell for look in seen)), view)


def _latest(known: Told, sensor: Sensor) -> list[UUID]:
    """The last scenes of a sensor that matched."""
    mine = [one for one in known.acquisitions.values() if one.sensor == sensor]
    return [one.acquisition_id for one in sorted(mine, key=lambda one: (one.sensing_at, one.item_id))[-MAX_SCENES:]]


def _missing(plates: Sequence[tuple[Shown, Picture | None]]) -> list[str]:
    return [
        f"{'look from before' if picture else 'picture'} of {shown.look.match.cell} by {shown.look.match.sensor}: "
        f"{shown.left_out}"
        for shown, picture in plates
        if shown.left_out
    ]
