"""In: what `tocsin encoder tune` wrote. Out: the values for a release on this machine, or none.

Stops at files: `encoders.tuning` measures. Values of another machine, runtime, release or version of this file are
ignored with one warning, because a guess that fitted elsewhere is worse than the defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import structlog
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from encoders.cache import tuned_folder
from encoders.interface import Encoder
from encoders.machine import processor, runtimes
from encoders.runtime import available_cores
from encoders.settings import EncoderSettings
from schemas.backends import Backend, Precision
from schemas.errors import SettingsError

VERSION = 1
"""Raise it when a stored value would mean something else."""

Several = Annotated[int, Field(ge=1, le=4096)]
"""One or more; what is larger is no measurement but damage."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What tuned values hold for.

    Attributes:
        version: of the file.
        processor: model.
        cores: that a process could use.
        runtimes: packages that can run an encoder, with their versions.
        release: with its content hash.
        backend, precision: as asked of `encoders.load`.
    """

    version: int
    processor: str
    cores: int
    runtimes: str
    release: str
    backend: Backend
    precision: Precision

    @classmethod
    def here(cls, release: str, backend: Backend = "auto", precision: Precision = "auto") -> Conditions:
        """Those of this process."""
        return cls(
            version=VERSION,
            processor=processor(),
            cores=available_cores(),
            runtimes=runtimes(),
            release=release,
            backend=backend,
            precision=precision,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What is fastest for a release on a machine.

    Attributes:
        conditions: what it holds for.
        name: what the release was called when it was tuned.
        tuned_at: when.
        threads: threads that encode.
        chips_per_run: chips that go through the network together.
        read_threads: files that are fetched and decoded at once.
        read_ahead: blocks that are read while one is encoded.
        measured: chips/s, by setting and by each of its values that was tried.
    """

    conditions: Conditions
    name: str
    tuned_at: AwareDatetime
    threads: Several
    chips_per_run: Several
    read_threads: Annotated[int, Field(ge=1, le=64)]
    read_ahead: Annotated[int, Field(ge=1, le=16)]
    measured: dict[str, dict[int, float]]


STORED = TypeAdapter(Tuned)
"""Checks what a file holds, and writes it."""


@runtime_checkable
class Tunable(Encoder, Protocol):
    """An encoder that runs with tuned values where there are some."""

    @property
    def conditions(self) -> Conditions:
        """What values have to hold for."""
        ...

    @property
    def chips_per_run(self) -> int:
        """Chips that go through its network together."""
        ...

    def in_runs_of(self, chips: int) -> Tunable:
        """The same encoder with so many chips a run."""
        ...


def tuned_path(conditions: Conditions) -> Path:
    """Where the values of a release are; the file may be deleted at any time."""
    return tuned_folder() / f"{conditions.release}.{conditions.backend}.{conditions.precision}.json"


def read_tuned(here: Conditions) -> Tuned | None:
    """The values for a release on this machine.

    Returns:
        ``None`` where it was never tuned; and, with one warning, where the file is damaged or of other conditions.
    """
    path = tuned_path(here)
    tuned = _read(path)
    if tuned is None:
        return None
    there, wanted = asdict(tuned.conditions), asdict(here)
    different = [f"{name} {there[name]!r}, here {wanted[name]!r}" for name in wanted if there[name] != wanted[name]]
    if different:
        _warn(path, f"measured under other conditions: {'; '.join(different)}")
        return None
    return tuned


def tuned_for(encoder: Encoder) -> Tuned | None:
    """The values that an open encoder runs with."""
    return read_tuned(encoder.conditions) if isinstance(encoder, Tunable) else None


def tuned_as(name: str) -> Tuned | None:
    """The latest values that were measured here for a release of this name, without opening the release."""
    kept = (_read(path) for path in sorted(tuned_folder().glob("*.json")))
    here = [each for each in kept if each is not None and each.name == name and _is_of_here(each.conditions)]
    return max(here, key=lambda each: each.tuned_at, default=None)


def write_tuned(tuned: Tuned) -> Path:
    """Keep values, all or nothing.

    Raises:
        SettingsError: the folder cannot be written.
    """
    path = tuned_path(tuned.conditions)
    draft = path.with_suffix(f".{os.getpid()}.part")
    with writable(path.parent):
        draft.write_bytes(STORED.dump_json(tuned, indent=1) + b"\n")
        draft.replace(path)
    return path


@contextmanager
def writable(folder: Path) -> Iterator[Path]:
    """Make a folder, and say what to do where it or a file in it cannot be written.

    Raises:
        SettingsError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        raise SettingsError(f"cannot write {folder}: {error.strerror}; set TOCSIN_CACHE to another folder") from error


def reading_settings(settings: EncoderSettings, tuned: Tuned | None) -> EncoderSettings:
    """Settings with the tuned values in place of defaults; what the environment says stays."""
    if tuned is None:
        return settings
    found = {"threads": tuned.read_threads, "read_ahead": tuned.read_ahead}
    unsaid = {name: value for name, value in found.items() if name not in settings.model_fields_set}
    return settings.model_copy(update=unsaid)


def _read(path: Path) -> Tuned | None:
    try:
        return STORED.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _warn(path, f"damaged: {str(error).splitlines()[0]}")
        return None


def _is_of_here(conditions: Conditions) -> bool:
    return conditions == Conditions.here(conditions.release, conditions.backend, conditions.precision)


@cache
def _warn(path: Path, reason: str) -> None:
    """Once in a process, however often the file is looked at."""
    log.warning("tuned values ignored, defaults are used: run `tocsin encoder tune`", file=str(path), reason=reason)
