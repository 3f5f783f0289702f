"""Which looks at which cells show what an alert is about.

Flows in: the matches of an incident, the archive. Flows out: per cell and sensor the acquisition that matched and the
last clear one before the incident, with the cell's own vectors. Stops before pixels (`chips`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from alerts.evidence.scores import Floats
from alerts.evidence.told import Told
from archive import Archive, ArchiveFilter
from schemas.messages import Embedding, Match, Sensor

ORDER: tuple[Sensor, ...] = ("s2", "s1")
"""Optical first: people read it without training."""
INSTANT = timedelta(microseconds=1)
"""Filters end before their time: this much later includes it."""


@dataclass(frozen=True, slots=True)
class Look:
    """One cell as one sensor (Sentinel-1: from one orbit) matched, and what it was before.

    Attributes:
        match: What passed.
        release: Of the vectors that were matched; none where nothing says so any more.
        after: The point that matched; none: the archive does not hold it.
        vector: Its vector, float32 (384,).
        before: The last clear look before the incident; none: there is none.
        baseline: Mean of the earlier vectors, float32 (384,), as the archive has them now.
        earlier: How many that is.
        gap: Why there is no `before`, for people; empty where there is.
    """

    match: Match
    release: str | None
    after: Embedding | None
    vector: Floats | None
    before: Embedding | None
    baseline: Floats | None
    earlier: int
    gap: str = ""


def best_matches(matches: Sequence[Match], cells: int) -> list[Match]:
    """The matches to show: the cells with the highest scores, of each the best match by each sensor, best cells first.

    Scores of two sensors are on two scales, so the sensors take turns in naming cells.
    """
    ranked = {sensor: list(dict.fromkeys(one.cell for one in matches if one.sensor == sensor)) for sensor in ORDER}
    turns = [cell for pair in _in_turns(*ranked.values()) for cell in pair]
    chosen = list(dict.fromkeys(turns))[:cells]
    best: dict[tuple[str, str], Match] = {}
    for match in matches:
        best.setdefault((match.cell, match.sensor), match)
    return [best[cell, sensor] for cell in chosen for sensor in ORDER if (cell, sensor) in best]


def looks(
    told: Told,
    archive: Archive,
    matches: Sequence[Match],
    *,
    max_cloud: float,
    max_points: int,
    release: str | None = None,
) -> list[Look]:
    """What the archive holds of some matches.

    Args:
        told: The alert.
        archive: Read only.
        matches: Of its incident.
        max_cloud: Cloud fraction up to which a look counts as clear.
        max_points: Longest time series that is read of a cell.
        release: Whose vectors go first, where an acquisition was matched with those of several.

    Raises:
        StoreUnavailable: the archive does not answer.
    """
    begun = told.alert.incident.first_sensing_at
    return [_look(told, archive, match, begun, max_cloud, max_points, release) for match in matches]


def _look(
    told: Told,
    archive: Archive,
    match: Match,
    begun: datetime,
    max_cloud: float,
    max_points: int,
    preferred: str | None,
) -> Look:
    releases = told.releases.get(match.acquisition_id, ())
    if not releases:
        return Look(match, None, None, None, None, None, 0, "the ledger does not say which release was matched")
    release = preferred if preferred in releases else releases[-1]
    only = ArchiveFilter(cells=(match.cell,), sensors=(match.sensor,), until=match.sensing_at + INSTANT)
    points, vectors = archive.history(release=release, filter=only, max_points=max_points)
    at = next((i for i, point in enumerate(points) if point.physical_key == match.physical_key), None)
    orbit = _orbit(told, match, None if at is None else points[at])
    past = [
        i
        for i, point in enumerate(points)
        if point.sensing_at < match.sensing_at
        and point.physical_key != match.physical_key
        and (match.sensor == "s2" or point.relative_orbit == orbit)
    ]
    before = clear_before([points[i] for i in past], begun, max_cloud)
    return Look(
        match=match,
        release=release,
        after=None if at is None else points[at],
        vector=None if at is None else vectors[at],
        before=before,
        baseline=vectors[past].mean(axis=0, dtype=np.float32) if past else None,
        earlier=len(past),
        gap="" if before else _gap(match, len(past)),
    )


def clear_before(points: Sequence[Embedding], begun: datetime, max_cloud: float) -> Embedding | None:
    """The last point before a time that is clear; where none is, the clearest one, the later of equals."""
    earlier = sorted((point for point in points if point.sensing_at < begun), key=lambda point: point.sensing_at)
    clear = [point for point in earlier if point.cloud_fraction <= max_cloud]
    if clear:
        return clear[-1]
    return min(reversed(earlier), key=lambda point: point.cloud_fraction, default=None)


def _orbit(told: Told, match: Match, point: Embedding | None) -> int | None:
    if point is not None:
        return point.relative_orbit
    acquisition = told.acquisitions.get(match.acquisition_id)
    return None if acquisition is None else acquisition.relative_orbit


def _gap(match: Match, earlier: int) -> str:
    orbit = " from this orbit" if match.sensor == "s1" else ""
    when = "before the incident began" if earlier else f"before {match.sensing_at:%Y-%m-%d}"
    return f"the archive has no look at cell {match.cell} by this sensor{orbit} {when}"


def _in_turns(one: Sequence[str], other: Sequence[str]) -> list[list[str]]:
    longest = max(len(one), len(other))
    return [[each[i] for each in (one, other) if i < len(each)] for i in range(longest)]
