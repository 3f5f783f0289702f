"""Every message and record that services exchange, versioned and frozen.

Flows in: what one service knows. Flows out: JSON that another service, or a later build, reads.
Stops before transport (`bus`) and storage (`tables`).

A version changes only with a breaking change, and then the topic's name changes with it; fields are added freely,
and a reader ignores fields that it does not know.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from shapely.errors import GEOSException
from shapely.geometry import shape

from schemas.arrays import Array
from schemas.cells import cell_at
from schemas.errors import MalformedMessage, UnsupportedPlace

NAMESPACE = UUID("6f0c7a52-0d4e-5f3b-9d6e-7a0c51a0c51a")
"""Root of all our name-based ids (RFC 9562, version 5): the same thing has the same id in every replay."""

Sensor = Literal["s1", "s2"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


def stable_id(*parts: object) -> UUID:
    """The id of what is named by `parts`, the same at every call, on every machine."""
    return uuid5(NAMESPACE, "\x1f".join(str(part) for part in parts))


class Message(BaseModel):
    """What all messages share: frozen, tolerant of fields from a later build."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", arbitrary_types_allowed=True)

    schema_version: Literal[1] = 1
    """1 for all messages of the `.v1` topics."""

    def to_bytes(self) -> bytes:
        """UTF-8 JSON, as it travels."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote, here or in another build.

        Raises:
            MalformedMessage: not JSON, not this message, or of another schema version.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole message"
            raise MalformedMessage(f"not a {cls.__name__} of schema version 1: {where}: {first['msg']}") from error


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


class Chip(Message):
    """What was measured of one cell's window before it was encoded (pixels never travel)."""

    cell: str
    state: CellState
    valid_fraction: Fraction
    """Share of the 120 x 120 window with data in at least one band."""
    cloud_fraction: Fraction
    """Share of the valid pixels under cloud or cloud shadow (SCL 3, 8, 9, 10; 0 for S1)."""


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


class EmbeddingBatch(Message):
    """The cells of one acquisition, at most `MAX_CELLS_PER_BATCH` a message. Topic `embeddings.v1`."""

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


class Mode(StrEnum):
    """When a standing query fires."""

    APPEARANCE = "appearance"
    """It is new here: the place looks like the sentence, and did not before."""
    PRESENCE = "presence"
    """It is here, however long it has been."""


class Budget(Message):
    """How many alarms somebody can bear."""

    alarms: float = Field(gt=0, le=1000)
    per_days: float = Field(gt=0, le=366)
    """Length of the period, days: 7 for "2 a week"."""


class QueryStatus(StrEnum):
    """Whether a standing query is watched."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


class ChipName(Message):
    """One cell as one scene showed it, whatever release encoded it."""

    cell: str
    sensor: Sensor
    physical_key: str


class StandingQuery(Message):
    """A sentence that somebody wants to hear about."""

    query_id: UUID
    version: int = Field(ge=1)
    """Grows with each change; alerts name the version that raised them."""
    sentence: str = Field(min_length=1, max_length=500)
    area: dict[str, object] | None = None
    """GeoJSON geometry, lon/lat, split at the antimeridian; none: everywhere."""
    sensors: tuple[Sensor, ...] = ("s1", "s2")
    mode: Mode = Mode.APPEARANCE
    budget: Budget = Budget(alarms=2, per_days=7)
    threshold: float | None = Field(default=None, ge=-2, le=2)
    """A person's own threshold on the score, instead of the budget's."""
    wordings: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(default=(), max_length=8)
    """The same in other words: a chip's score is the highest over the sentence and these."""
    like: tuple[ChipName, ...] = Field(default=(), max_length=100)
    """Chips that show what is meant."""
    unlike: tuple[ChipName, ...] = Field(default=(), max_length=100)
    """Chips that look similar and are not meant."""
    status: QueryStatus = QueryStatus.ACTIVE
    created_at: AwareDatetime


class Match(Message):
    """A cell of an acquisition that passed a standing query's threshold."""

    query_id: UUID
    query_version: int
    cell: str
    acquisition_id: UUID
    physical_key: str
    item_id: str
    sensor: Sensor
    sensing_at: AwareDatetime
    score: float
    """Presence: cosine of chip and sentence. Appearance: the same less the baseline's."""
    presence: float
    """Cosine of chip and sentence."""
    threshold: float
    """What `score` had to pass."""
    baseline_count: int
    """Acquisitions behind the baseline; 0 in presence mode without history."""


class IncidentState(StrEnum):
    """Life of an incident."""

    OPENED = "opened"
    GROWING = "growing"
    """Later passes matched clearly more cells than the first."""
    CONFIRMED = "confirmed"
    """By the other sensor, or by a second pass over the same cells."""
    RESOLVED = "resolved"
    """Its place was seen again, and matches no longer."""
    EXPIRED = "expired"
    """Nothing matched there within the window, and nobody saw that it is gone."""
    RETRACTED = "retracted"
    """It never was: a newer processing version does not match, or a person said so."""
    MERGED = "merged"
    """Another incident has taken its matches: `Incident.merged_into`."""
    REOPENED = "reopened"
    """Only as a message's kind: what was resolved matches again; the state says opened, growing or confirmed."""
    SPLIT = "split"
    """Only as a message's kind: withdrawn matches cut it in two; never a new event."""


class OtherSensor(Message):
    """What the sensor that did not open an incident has to say about it."""

    sensor: Sensor
    looked_at: AwareDatetime | None = None
    """Sensing time of its newest look at the place since the incident began; none: it has not looked."""
    saw: Literal["matched", "not matched", "obscured", "failed"] | None = None
    """What that look showed."""
    item_id: str | None = None
    """The scene of that look."""
    next_expected_at: AwareDatetime | None = None
    """When it should come next, from its own passes so far; none: too few are known."""
    relative_orbit: int | None = None
    """On which orbit."""
    every_days: float | None = None
    """How often that orbit has come: median of the gaps between its passes, days."""
    passes: int = 0
    """How many passes of that orbit the expectation rests on."""


class Incident(Message):
    """Matched cells of one standing query that belong together in space and time."""

    incident_id: UUID
    query_id: UUID
    query_version: int
    state: IncidentState
    cells: tuple[str, ...]
    sensors: tuple[Sensor, ...]
    item_ids: tuple[str, ...]
    first_sensing_at: AwareDatetime
    last_sensing_at: AwareDatetime
    opened_at: AwareDatetime
    score: float
    """The highest score of its matches."""
    closed_at: AwareDatetime | None = None
    """Sensing time from which it is resolved or expired; when it was retracted or merged; none while it is open."""
    merged_into: UUID | None = None
    """The incident that took its matches."""
    split_from: UUID | None = None
    """The incident that it was part of."""
    why: str | None = None
    """Why it was retracted."""
    expected_every_days: float | None = None
    """How rarely a match at least so strong is to be expected under the query's area, days; none: not known."""


class Alert(Message):
    """What a person is told about an incident. Topic `alerts.v1`."""

    alert_id: UUID
    """stable_id("alert", query id, query version, incident id): one for the life of the incident."""
    sequence: int = Field(ge=1)
    """1 when it opens, then one more with each update."""
    kind: IncidentState
    """What happened (docs/incidents.md): opened, growing, confirmed, resolved, expired, retracted, merged, reopened,
    split."""
    query: str
    """The sentence."""
    mode: Mode
    incident: Incident
    geometry: dict[str, object]
    """Union of the cells, GeoJSON, lon/lat."""
    matches: tuple[Match, ...] = Field(max_length=2000)
    """The matches that this message is about, the highest scores first."""
    sent_at: AwareDatetime
    """When the matcher wrote it."""
    simulated: bool = False
    other_sensor: OtherSensor | None = None
    """What the other sensor has seen since, or when it comes; none where the query does not watch with it."""


class DeliveryState(StrEnum):
    """What became of one alert at one receiver."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SILENCED = "silenced"
    """A silence was in force: it is on record and is not told."""
    WITHDRAWN = "withdrawn"
    """There is no need of it any more: a repeat of what has been acknowledged."""


class Delivery(Message):
    """One alert message to one receiver."""

    delivery_id: UUID
    """stable_id("delivery", alert id, sequence, receiver), with occasion and route where it is told again: also the
    idempotency key that receivers get."""
    alert_id: UUID
    sequence: int
    receiver: str
    state: DeliveryState
    attempts: int = 0
    error: str | None = None
    delivered_at: AwareDatetime | None = None


class DeadLetter(Message):
    """A message that could not be handled, with the reason. Topics `*.dlq.v1`."""

    dead_letter_id: UUID
    """stable_id("dead letter", topic, key, value): the same bad message twice is one dead letter."""
    topic: str
    partition: int
    offset: int
    key: str | None
    value: Array
    """uint8 (n,), the message as it came."""
    error: str
    """Class of the error."""
    reason: str
    """What happened, with which id, and what to do."""
    item_id: str | None = None
    service: str
    attempts: int
    failed_at: AwareDatetime


ALL: tuple[type[Message], ...] = (
    Asset,
    Acquisition,
    Chip,
    Coverage,
    Embedding,
    EmbeddingBatch,
    Budget,
    ChipName,
    StandingQuery,
    Match,
    OtherSensor,
    Incident,
    Alert,
    Delivery,
    DeadLetter,
)
"""What is exported to `docs/schemas/`."""

MAX_CELLS_PER_BATCH = 128
"""Cells of one `EmbeddingBatch`: 2 x 384 float32 each, base64: about 0.5 MB, half of Kafka's default limit."""


def utc(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, for people and files."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
