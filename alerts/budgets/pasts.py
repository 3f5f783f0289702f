"""The archive's history, read once for many queries.

Flows in: the archive, and how much of it the ledger calls matched. Flows out: histories of areas, kept for some
minutes. Stops before scores (`thresholds`).

Only acquisitions that have been matched count as history: what is on its way, the event itself above all, must not
raise the threshold that it has to pass.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from shapely.geometry.base import BaseGeometry

from alerts.budgets.background import History, read_history
from alerts.settings import MatcherSettings
from archive.interface import Archive, ArchiveFilter
from schemas.messages import Sensor

GREW = 1.1
"""A history is read again when the ledger knows so many times the cells that it knew: a tenth more moves no quantile
by more than the interval that is stated with it."""


@dataclass
class Past:
    """The archive's history of one sensor, read when first asked for.

    Attributes:
        archive: Where it is.
        release: Whose vectors.
        sensor: Whose pictures.
        settings: How much is read and kept.
        unmatched: Acquisitions that don't count.
        fetches: How many areas may still be read on their own.
    """

    archive: Archive
    release: str
    sensor: Sensor
    settings: MatcherSettings
    unmatched: frozenset[UUID] = frozenset()
    fetches: int = 0
    _everywhere: History | None = None
    _areas: OrderedDict[bytes, History] = field(default_factory=OrderedDict)

    @property
    def everywhere(self) -> History:
        """A sample of all cells."""
        if self._everywhere is None:
            self._everywhere = self._read(ArchiveFilter(sensors=(self.sensor,)))
        return self._everywhere

    def here(self, area: BaseGeometry | None) -> History:
        """The cells of an area: out of the sample where that has enough of them, else read for themselves."""
        if area is None:
            return self.everywhere
        kept = self._areas.get(area.wkb)
        if kept is not None:
            self._areas.move_to_end(area.wkb)
            return kept
        inside = self.everywhere.within(area)
        enough = len(inside.changed) >= self.settings.least_background
        if enough or self.everywhere.share >= 1 or self.fetches <= 0:
            return inside
        self.fetches -= 1
        return self._keep(area.wkb, self._read(ArchiveFilter(area=area, sensors=(self.sensor,))))

    def _keep(self, name: bytes, history: History) -> History:
        """Keep what was read for an area, and forget what was not asked for longest."""
        self._areas[name] = history
        while sum(len(one.cells) for one in self._areas.values()) > self.settings.kept_points:
            self._areas.popitem(last=False)
        return history

    def _read(self, wanted: ArchiveFilter) -> History:
        there = self.archive.count(release=self.release, filter=wanted)
        found, vectors = self.archive.history(
            release=self.release, filter=wanted, max_points=self.settings.history_points
        )
        share = len(found) / there if there else 1.0
        kept = [i for i, embedding in enumerate(found) if embedding.acquisition_id not in self.unmatched]
        return read_history(
            [found[i] for i in kept], vectors[kept], min_baseline=self.settings.min_baseline, share=min(share or 1, 1)
        )


class Pasts:
    """The histories of both sensors, for as long as they say what the archive says."""

    def __init__(
        self, archive: Archive, release: str, settings: MatcherSettings, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is read yet.

        Args:
            archive: Where the history is.
            release: Whose vectors.
            settings: How much is read, and for how long it is kept.
            now: A clock, seconds.
        """
        self._archive, self._release, self._settings, self._now = archive, release, settings, now
        self._kept: dict[Sensor, tuple[Past, int, float]] = {}

    def of(self, sensor: Sensor, *, seen: int, unmatched: frozenset[UUID]) -> Past:
        """The history of one sensor; what was read before where it still holds.

        Args:
            sensor: Whose.
            seen: Cells of matched acquisitions, by the ledger.
            unmatched: Acquisitions that don't count, now.
        """
        found = self._kept.get(sensor)
        now = self._now()
        if found is None or not self._holds(found[1], found[2], seen, now):
            found = Past(self._archive, self._release, sensor, self._settings), seen, now
            self._kept[sensor] = found
        past = found[0]
        past.unmatched, past.fetches = unmatched, self._settings.areas_per_round
        return past

    def _holds(self, seen_then: int, read_at: float, seen: int, now: float) -> bool:
        fresh = now - read_at < self._settings.keep_history_s
        return fresh and max(seen_then, 1) / GREW < max(seen, 1) < max(seen_then, 1) * GREW
