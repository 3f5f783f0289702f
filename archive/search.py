"""Search by sentence, and hits as GeoJSON.

Flows in: a sentence, a filter. Flows out: hits, and a FeatureCollection of their cells. Stops before screens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from archive.interface import Archive, ArchiveFilter, Hit, Vectors
from schemas.cells import cell_of
from schemas.geometry import split_antimeridian, to_geojson
from schemas.messages import utc


class TextEncoder(Protocol):
    """What a search needs of an encoder."""

    @property
    def release(self) -> str:
        """Which archive points its sentences can be compared with."""
        ...

    def texts(self, sentences: list[str]) -> Vectors:
        """Sentences as float32 (n, 384), unit rows."""
        ...


def search_text(
    archive: Archive,
    encoder: TextEncoder,
    sentence: str,
    filter: ArchiveFilter,
    limit: int,
    min_score: float | None = None,
) -> list[Hit]:
    """The cells most like a sentence, the best first.

    Raises:
        Rejected: the sentence is blank.
        UsageError: limit below 1, a filter that cannot be.
        StoreUnavailable: the archive does not answer.
    """
    vector = encoder.texts([sentence])[0]
    return archive.search(vector, release=encoder.release, filter=filter, limit=limit, min_score=min_score)


def to_features(hits: Sequence[Hit]) -> dict[str, object]:
    """Hits as a GeoJSON FeatureCollection, one polygon per cell, in the order of the hits."""
    return {"type": "FeatureCollection", "features": [_feature(hit) for hit in hits]}


def _feature(hit: Hit) -> dict[str, object]:
    point = hit.embedding
    return {
        "type": "Feature",
        "id": str(point.point_id),
        "geometry": to_geojson(split_antimeridian(cell_of(point.cell).polygon)),
        "properties": {
            "item_id": point.item_id,
            "cell": point.cell,
            "sensor": point.sensor,
            "datetime": utc(point.sensing_at),
            "score": round(hit.score, 6),
            "release": point.release,
            "source": point.source,
            "collection": point.collection,
            "physical_key": point.physical_key,
            "acquisition_id": str(point.acquisition_id),
            "platform": point.platform,
            "relative_orbit": point.relative_orbit,
            "cloud_fraction": point.cloud_fraction,
            "valid_fraction": point.valid_fraction,
            "simulated": point.simulated,
        },
    }
