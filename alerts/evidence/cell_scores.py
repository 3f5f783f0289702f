"""An incident's cells with their scores.

Flows in: the matches of an incident. Flows out: the best score of each cell and sensor, and all of them as GeoJSON.
Stops before drawing (`score_map`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.places import outlines
from alerts.telling.geojson import GeoJSON, collection
from schemas.geometry import to_geojson
from schemas.messages import Match, Sensor, utc


@dataclass(frozen=True, slots=True)
class CellScore:
    """The best match of one cell by one sensor, and how many there were."""

    best: Match
    matches: int

    @property
    def cell(self) -> str:
        """Where."""
        return self.best.cell

    @property
    def sensor(self) -> Sensor:
        """By which sensor."""
        return self.best.sensor


def cell_scores(matches: Sequence[Match]) -> list[CellScore]:
    """The best match of each cell and sensor, by sensor, then the highest scores first."""
    grouped: dict[tuple[Sensor, str], list[Match]] = {}
    for match in matches:
        grouped.setdefault((match.sensor, match.cell), []).append(match)
    best = [
        CellScore(min(group, key=lambda match: (-match.score, match.sensing_at, match.item_id)), len(group))
        for group in grouped.values()
    ]
    return sorted(best, key=lambda one: (one.sensor, -one.best.score, one.cell))


def to_features(scores: Sequence[CellScore]) -> GeoJSON:
    """A FeatureCollection: one square per cell and sensor, in the order given."""
    if not scores:
        return collection([])
    squares = outlines([score.cell for score in scores])
    return collection(_feature(score, to_geojson(square)) for score, square in zip(scores, squares, strict=True))


def _feature(score: CellScore, geometry: dict[str, object]) -> GeoJSON:
    best = score.best
    return {
        "type": "Feature",
        "id": f"{best.cell}-{best.sensor}",
        "geometry": geometry,
        "properties": {
            "cell": best.cell,
            "sensor": best.sensor,
            "score": round(best.score, 6),
            "presence": round(best.presence, 6),
            "threshold": round(best.threshold, 6),
            "datetime": utc(best.sensing_at),
            "item_id": best.item_id,
            "acquisition_id": str(best.acquisition_id),
            "physical_key": best.physical_key,
            "earlier_acquisitions": best.baseline_count,
            "matches": score.matches,
        },
    }
