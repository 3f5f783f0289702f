"""Scenes, and what was measured of their cells.

Flows in: what catalogues announce. Flows out: acquisitions, coverage, embeddings. Stops before queries.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator
from shapely.errors import GEOSException
from shapely.geometry import shape

from schemas.arrays import Array
from schemas.cells import cell_at
from schemas.errors import UnsupportedPlace
from schemas.messages.message import Fraction, Message, Sensor


class Asset(Message):
    """One file of an acquisition: one band."""

    href: str
    """Where it is, absolute, unsigned."""
    gsd_m: float | None = None
    """Ground sampling distance, metres, as the catalogue says; the file's own transform decides."""
    scale: float = 1.0
    """Reflectance = DN x scale + offset; for S1 1."""
    offset: float = 0.0
    """As declared (-0.1 for the +1000 of processing baselines from 04.00); checked against dark pixels when read."""
    nodata: float | None = None
    """Value that means no data, besides NaN."""


class Acquisition(Message):
    """One physical scene, as a catalogue announced it. Topic `acquisitions.v1`."""

    acquisition_id: UUID
    """stable_id(collection, item, updated): one announcement."""
    physical_key: str
    """The scene itself, the same for every processing version of it."""
    processed_at: AwareDatetime
    """Processing version: `s2:generation_time`, `processing:datetime`, else `updated`. The highest wins."""
    supersedes: UUID | None = None
    """The announcement of the same scene that this one replaces; such a one never alerts again."""
    source: str
    """Name of the source that the operator gave."""
    collection: str
    item_id: str
    sensor: Sensor
    platform: str | None = None
    """As the catalogue says, lower case; never checked against a list."""
    sensing_at: AwareDatetime
    """When the satellite saw it (the end, where the catalogue gives a range)."""
    published_at: AwareDatetime
    """When the catalogue says that it published this version."""
    seen_at: AwareDatetime
    """When we first read it."""
    footprint: dict[str, object]
    """GeoJSON geometry, lon/lat degrees, split at the antimeridian."""
    epsg: int | None = None
    """CRS of the assets as declared; the files decide."""
    tile: str | None = None
    """MGRS tile of a Sentinel-2 scene, for example `33TWN`."""
    relative_orbit: int | None = None
    orbit_state: Literal["ascending", "descending"] | None = None
    cloud_cover_percent: float | None = None
    processing_baseline: str | None = None
    assets: dict[str, Asset]
    """By band name (`bands.S2`, `bands.S1`), plus `SCL` where there is one."""
    allowed_hosts: tuple[str, ...]
    """Hosts (`host` or `host:port`) that hrefs of this source may lead to."""
    signing_url: str | None = None
    """Endpoint that signs hrefs (Planetary Computer), or none."""
    backfill: bool = False
    """From a date range of the past: feeds archive and baselines, never alerts."""
    simulated: bool = False
    """Made by `simulation`; said in everything that follows from it."""

    @property
    def key(self) -> str:
        """Kafka key: scenes of one 100 km square (S1: and orbit) keep their order."""
        place = self.tile or self._square()
        return place if self.sensor == "s2" else f"{place}/{self.relative_orbit}"

    def _square(self) -> str:
        """The 100 km square of the footprint's middle; the scene itself where there is no usable footprint."""
        try:
            middle = shape(self.footprint).centroid
            return cell_at(middle.x, middle.y).square
        except (UnsupportedPlace, GEOSException, KeyError, ValueError, IndexError):
            return self.physical_key


class CellState(StrEnum):
    """What an acquisition could say about a cell."""

    SEEN = "seen"
    OBSCURED = "obscured"
    NOT_ACQUIRED = "not acquired"
    FAILED = "failed"


class Cause(StrEnum):
    """What hid a cell that was acquired."""

    CLOUD = "cloud"
    SHADOW = "shadow"
    """Of cloud."""
    NO_DATA = "no data"
    """Pixels that the product itself calls saturated or defective."""


class Chip(Message):
    """What was measured of one cell's window before it was encoded (pixels never travel)."""

    cell: str
    state: CellState
    valid_fraction: Fraction
    """Share of the 120 x 120 window with data in at least one band."""
    cloud_fraction: Fraction
    """Share of the valid pixels under cloud or cloud shadow (SCL 3, 8, 9, 10; 0 for S1)."""
    cause: Cause | None = None
    """What hid most of it, where it is obscured; none otherwise, and in what older builds wrote."""


class Coverage(Message):
    """What one acquisition saw, cell by cell."""

    acquisition_id: UUID
    physical_key: str
    source: str
    item_id: str
    sensor: Sensor
    sensing_at: AwareDatetime
    chips: tuple[Chip, ...]
    reason: str | None = None
    """Why, when cells failed."""


class Embedding(Message):
    """One point of the archive: a cell as one acquisition showed it. Its vector travels beside it."""

    point_id: UUID
    """stable_id("point", cell, physical key, release): a newer processing version replaces the older point."""
    cell: str
    sensor: Sensor
    sensing_at: AwareDatetime
    physical_key: str
    acquisition_id: UUID
    processed_at: AwareDatetime
    source: str
    collection: str
    item_id: str
    platform: str | None = None
    relative_orbit: int | None = None
    release: str
    """Which encoder made the vector; vectors of two releases are never compared."""
    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)
    """Centre of the cell, degrees WGS84."""
    valid_fraction: Fraction
    cloud_fraction: Fraction
    simulated: bool = False


MAX_CELLS_PER_BATCH = 128
"""Cells of one `EmbeddingBatch`: 2 x 384 float32 each, base64: about 0.5 MB, half of Kafka's default limit."""


class EmbeddingBatch(Message):
    """The cells of one acquisition, at most `MAX_CELLS_PER_BATCH` a message. Topic `embeddings.v1`.

    None at all: a version of which nothing can be seen takes the place of one that had shown something.
    """

    acquisition: Acquisition
    release: str
    batch: int = Field(ge=0)
    """Number of this batch, from 0."""
    batches: int = Field(ge=1)
    """How many there are of this acquisition."""
    cells: tuple[str, ...]
    vectors: Array
    """float32 (n, 384), L2-normalised, row i belongs to cells[i]."""
    baselines: Array
    """float32 (n, 384), mean of the unit vectors of this cell's earlier acquisitions by the same sensor (S1: and
    relative orbit) and release, without this acquisition; not normalised; zeros where there is none."""
    baseline_counts: tuple[int, ...]
    """How many acquisitions each mean is made of; 0: no history."""

    @model_validator(mode="after")
    def _rows_agree(self) -> Self:
        n = len(self.cells)
        for name in ("vectors", "baselines"):
            shape = getattr(self, name).shape
            if len(shape) != 2 or shape[0] != n:
                raise ValueError(f"{name} has shape {shape} for {n} cells")
        if self.vectors.shape != self.baselines.shape or len(self.baseline_counts) != n:
            raise ValueError("vectors, baselines and counts disagree")
        return self
