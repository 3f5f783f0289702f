"""What is known of catalogues: `presets.toml`, read once.

Flows in: the URL of a catalogue and the id of a collection. Flows out: the preset that fits, with everything that
differs between catalogues. Stops before any request.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from schemas.messages import Sensor


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CollectionPreset(_Data):
    """What is known of one collection of a known catalogue."""

    sensor: Sensor
    time_fields: tuple[str, ...] | None = None
    """Properties that say when an item came or changed; `datetime` means that there is none but the sensing time."""
    look_back_days: float | None = Field(default=None, gt=0)
    """How far each thorough poll looks back, where the usual 5 days are not enough."""
    required: tuple[str, ...] | None = None
    """Bands without which an item is incomplete."""
    unusable: str | None = None
    """Why this collection cannot be watched, and what to use instead."""


class Preset(_Data):
    """What is known of one catalogue."""

    title: str
    hosts: tuple[str, ...]
    """Hosts of its API, by which it is recognised."""
    asset_hosts: tuple[str, ...] = ()
    """Hosts and buckets of its assets, as `schemas.hosts` writes them."""
    signing_url: str | None = None
    page_limit: int = Field(default=100, ge=1, le=10_000)
    collections: Mapping[str, CollectionPreset] = Field(default_factory=dict)


class Generic(_Data):
    """What holds for every catalogue."""

    page_limit: int
    time_fields: tuple[str, ...]
    properties: Mapping[str, tuple[str, ...]]
    """Names of the properties that carry a fact, best first."""
    bands: Mapping[Sensor, Mapping[str, tuple[str, ...]]]
    """Band to asset keys and common names, lower case, best first."""
    required: Mapping[Sensor, tuple[str, ...]]


@cache
def generic() -> Generic:
    """What holds for every catalogue."""
    return Generic.model_validate(_read()["generic"])


@cache
def presets() -> Mapping[str, Preset]:
    """All known catalogues by name."""
    return {name: Preset.model_validate(data) for name, data in _read().items() if name != "generic"}


def preset_for(url: str) -> str | None:
    """Name of the preset that knows the catalogue at this URL, or none."""
    host = urlsplit(url).hostname or ""
    return next((name for name, preset in presets().items() if host in preset.hosts), None)


def preset_named(name: str | None) -> Preset | None:
    """What is known of a catalogue, or none."""
    return presets().get(name) if name else None


def collection_preset(preset: str | None, collection: str) -> CollectionPreset | None:
    """What is known of a collection, or none."""
    known = preset_named(preset)
    return known.collections.get(collection) if known else None


def time_fields(preset: str | None, collection: str) -> tuple[str, ...]:
    """Properties to poll on, best first."""
    known = collection_preset(preset, collection)
    return known.time_fields if known and known.time_fields else generic().time_fields


def page_limit(preset: str | None) -> int:
    """Items asked for in one page."""
    known = preset_named(preset)
    return known.page_limit if known else generic().page_limit


def required_bands(preset: str | None, collection: str, sensor: Sensor) -> tuple[str, ...]:
    """Bands without which an item waits."""
    known = collection_preset(preset, collection)
    return known.required if known and known.required else generic().required[sensor]


def _read() -> dict[str, object]:
    return tomllib.loads(files("ingest").joinpath("presets.toml").read_text("utf-8"))
