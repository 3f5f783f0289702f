"""Points as engines keep them: payloads, months, names, and the checks at the door.

Flows in: embeddings with vectors. Flows out: payloads and back. Stops before any engine.

The engines accept NaN vectors, longitudes of 500° and dates that are none, and lose such points later without a
word: nothing reaches them unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote
from uuid import UUID

import numpy as np
from pydantic import ValidationError

from archive.interface import DIMENSION, Vectors
from schemas.errors import MalformedMessage, ReleaseMismatch
from schemas.messages import Embedding, stable_id

UNIT_TOLERANCE = 1e-3
"""How far a row's norm may be from 1: half precision passes, a vector that nobody normalised does not."""
EARLIEST_YEAR, LATEST_YEAR = 1972, 2200
"""Landsat 1 flew in 1972; beyond these a time is a mistake."""
NEAR_MONTH_EDGE = timedelta(days=1)
"""A reprocessed scene may move in time by less than this; its older point may then lie in the next month."""

DIGITS = 9
"""Decimals kept of degrees (0.1 mm) and fractions: the in-process engine reads numbers back with their last bit off."""

_CELL = re.compile(r"\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]\d{4}")
_ROUNDED = ("lon", "lat", "valid_fraction", "cloud_fraction")
_KEPT = set(Embedding.model_fields) - {"schema_version", "point_id", "lon", "lat"}


def check(embeddings: Sequence[Embedding], vectors: Vectors) -> None:
    """Refuse what the engines would swallow.

    Raises:
        ReleaseMismatch: two releases, or vectors of another length.
        MalformedMessage: rows that are not finite unit vectors, or are not as many as the embeddings; a place or
            time that cannot be.
    """
    if vectors.ndim != 2 or len(vectors) != len(embeddings):
        raise MalformedMessage(f"{len(embeddings)} embeddings with vectors of shape {vectors.shape}: one row each")
    if vectors.shape[1] != DIMENSION:
        raise ReleaseMismatch(f"vectors of {vectors.shape[1]} numbers: the archive holds {DIMENSION}")
    if len({embedding.release for embedding in embeddings}) > 1:
        raise ReleaseMismatch("embeddings of two releases in one call: record each release by itself")
    off = ~(np.abs(np.linalg.norm(vectors, axis=1) - 1) <= UNIT_TOLERANCE)  # also true for NaN
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise MalformedMessage(f"the vector of {_name(embeddings[row])} is not a finite unit vector")
    for embedding in embeddings:
        _check_payload(embedding)


def check_vector(vector: Vectors) -> None:
    """Refuse a question that cannot be scored.

    Raises:
        ReleaseMismatch: another length than the archive's.
        MalformedMessage: NaN or infinity.
    """
    if vector.shape != (DIMENSION,):
        raise ReleaseMismatch(f"a question of shape {vector.shape}: the archive holds vectors of {DIMENSION} numbers")
    if not np.all(np.isfinite(vector)):
        raise MalformedMessage("the question's vector holds NaN or infinity")


def rounded(embedding: Embedding) -> Embedding:
    """The same with the decimals that are kept, so that what comes back is equal to what was stored."""
    numbers = {name: getattr(embedding, name) for name in _ROUNDED}
    kept = {name: round(number, DIGITS) for name, number in numbers.items()}
    return embedding if kept == numbers else embedding.model_copy(update=kept)


def to_payload(embedding: Embedding) -> dict[str, object]:
    """What is stored beside the vector: the message's fields, its place as one field."""
    payload = embedding.model_dump(include=_KEPT, mode="python")
    payload["sensing_at"] = stamp(embedding.sensing_at)
    payload["processed_at"] = stamp(embedding.processed_at)
    payload["acquisition_id"] = str(embedding.acquisition_id)
    payload["simulated"] = int(embedding.simulated)  # qdrant-edge-py 0.9.0 takes MatchValue(True) for the integer 1
    payload["place"] = {"lon": embedding.lon, "lat": embedding.lat}
    return payload


def from_payload(point_id: UUID | str | int, payload: Mapping[str, object]) -> Embedding:
    """The embedding that `to_payload` wrote.

    Raises:
        MalformedMessage: written by a build that this one does not understand.
    """
    place = payload.get("place")
    if not isinstance(place, Mapping):
        raise MalformedMessage(f"point {point_id} has no place: was it written by something else?")
    try:
        return rounded(
            Embedding.model_validate(
                {**payload, "point_id": str(point_id), "lon": place.get("lon"), "lat": place.get("lat")}
            )
        )
    except ValidationError as error:
        raise MalformedMessage(f"point {point_id} is no embedding of schema version 1: {error}") from error


def baseline_id(embedding: Embedding) -> UUID:
    """The series that a point belongs to: cell, sensor, relative orbit for S1, release."""
    orbit = embedding.relative_orbit if embedding.sensor == "s1" else None
    return stable_id("baseline", embedding.cell, embedding.sensor, orbit, embedding.release)


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, microseconds kept."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def month(moment: datetime) -> str:
    """The shard of a sensing time, for example `2026-11`."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def months_near(moment: datetime) -> set[str]:
    """Where an older version of a point may lie: its month, near the edge the neighbour too."""
    return {month(moment - NEAR_MONTH_EDGE), month(moment), month(moment + NEAR_MONTH_EDGE)}


def slug(release: str) -> str:
    """A release as part of a folder's or collection's name; `unslug` reads it back."""
    name = quote(release, safe="").replace("~", "%7E")
    return ("%2E" + name[1:] if name.startswith(".") else name).replace("%", "~")


def unslug(name: str) -> str:
    """The release of a slug."""
    return unquote(name.replace("~", "%"))


def _check_payload(embedding: Embedding) -> None:
    if not _CELL.fullmatch(embedding.cell):
        raise MalformedMessage(f"{_name(embedding)}: no id of a 1 km cell")
    if not (-180 <= embedding.lon <= 180 and -90 <= embedding.lat <= 90):
        raise MalformedMessage(f"{_name(embedding)}: lon {embedding.lon}, lat {embedding.lat} is no place")
    if not (0 <= embedding.cloud_fraction <= 1 and 0 <= embedding.valid_fraction <= 1):
        raise MalformedMessage(f"{_name(embedding)}: cloud and valid fraction lie between 0 and 1")
    for moment in (embedding.sensing_at, embedding.processed_at):
        if moment.tzinfo is None or not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
            raise MalformedMessage(f"{_name(embedding)}: {moment} is no time that a satellite can have seen")
    if not embedding.release:
        raise MalformedMessage(f"{_name(embedding)}: no release")


def _name(embedding: Embedding) -> str:
    return f"cell {embedding.cell!r} of item {embedding.item_id!r}"
