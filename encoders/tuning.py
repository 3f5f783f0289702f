"""In: a release and a scene to practise on. Out: the threads, batches and read-ahead that are fastest on this machine.

Stops at measuring: `encoders.tuned` keeps the values; the encoder service and `encoders.load` take them from there.

    threads         that encode one block
    chips_per_run   that go through the network together, with those threads
    read_threads    that fetch and decode files, over the whole way from a scene's files to its vectors
    read_ahead      blocks read while one is encoded, likewise

Each is chosen with those before it. The values of one setting take turns and their medians are compared, so that
what else the machine does meanwhile falls on all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryFile
from typing import cast

import structlog

from encoders.cache import tuned_folder
from encoders.chips import ChipBlock
from encoders.encode import ahead
from encoders.interface import Encoder, Pixels
from encoders.machine import busy_cores
from encoders.reading import read_scene
from encoders.release import load
from encoders.runtime import available_cores
from encoders.settings import EncoderSettings
from encoders.tuned import Tunable, Tuned, reading_settings, tuned_for, writable, write_tuned
from schemas.backends import Backend, Precision
from schemas.messages import Acquisition

ROUNDS = 5
"""Measurements of each value."""

MARGIN = 1.03
"""A value must be this much faster than the one in force to replace it: less is within the noise."""

HOPELESS = 1.5
"""A value that took this much longer than the best so far is not measured again."""

CHIPS_PER_RUN = (4, 8, 16, 32, 64)
"""From a core's caches to what large matrix products want."""

READ_THREADS = (4, 8, 16)
"""Never fewer than the default: the files to practise on come from this machine, real ones over a slow network."""

READ_AHEAD = (1, 2, 4)
"""A block is 30 MB."""

BUSY = 0.5
"""Cores in use by others from which the figures are doubtful."""

Work = Callable[[], object]
Clock = Callable[[], float]
Progress = Callable[[str, int, int], None]
"""Told of every round: the setting, rounds done, rounds in all."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Compares ways of doing the same work.

    Attributes:
        clock: seconds, from any start.
        progress: told of every round.
    """

    clock: Clock = time.perf_counter
    progress: Progress = lambda _step, _done, _rounds: None

    def seconds(self, step: str, works: Mapping[int, Work]) -> dict[int, float]:
        """Median seconds of each work, after one run that does not count."""
        took: dict[int, list[float]] = {value: [] for value in works}
        racing = list(works)
        self.progress(step, 0, ROUNDS)
        for work in works.values():
            work()
        for done in range(1, ROUNDS + 1):
            for value in racing:
                start = self.clock()
                works[value]()
                took[value].append(self.clock() - start)
            medians = {value: statistics.median(times) for value, times in took.items()}
            racing = [value for value in racing if medians[value] <= HOPELESS * min(medians.values())]
            self.progress(step, done, ROUNDS)
        return medians


def tune(
    name: str,
    scene: Acquisition,
    *,
    backend: Backend = "auto",
    precision: Precision = "auto",
    settings: EncoderSettings | None = None,
    stopwatch: Stopwatch = Stopwatch(),
) -> Tuned:
    """Measure this machine and keep what is fastest; nothing is kept unless all of it was measured.

    Args:
        name: of a release, as `encoders.load` takes it.
        scene: to practise on; its files should be near, so that reading is decoding.
        backend, precision: as `encoders.load` takes them.
        settings: of reading; ``None``: from the environment.
        stopwatch: how to measure.

    Raises:
        ReleaseNotFound, ReleaseMismatch, SettingsError: see `encoders.load`.
        SettingsError: what is found could not be kept.
        Rejected, Retryable: the scene cannot be read.
    """
    check_writable()
    if (busy := busy_cores()) > BUSY:
        log.warning("other processes use this machine: tune again when it is quiet", busy_cores=round(busy, 1))

    def opened(threads: int | None) -> Tunable:
        return cast(Tunable, load(name, threads=threads, backend=backend, precision=precision))

    encoder = opened(None)
    conditions, held = encoder.conditions, tuned_for(encoder)
    race = Race(scene, reading_settings(settings or EncoderSettings(), held), stopwatch)
    cores = available_cores()
    now = held.threads if held else cores
    encoders = {each: opened(each) for each in _sorted(now, cores, cores // 2, cores // 4)}
    threads = race.encoding("threads", encoders, now)
    encoder = encoders[threads]
    encoders = {each: encoder.in_runs_of(each) for each in _sorted(encoder.chips_per_run, *CHIPS_PER_RUN)}
    chips_per_run = race.encoding("chips_per_run", encoders, encoder.chips_per_run)
    encoder = encoders[chips_per_run]
    read_threads = race.reading("read_threads", "threads", READ_THREADS, encoder)
    read_ahead = race.reading("read_ahead", "read_ahead", READ_AHEAD, encoder)
    tuned = Tuned(
        conditions=conditions,
        name=name,
        tuned_at=datetime.now(UTC),
        threads=threads,
        chips_per_run=chips_per_run,
        read_threads=read_threads,
        read_ahead=read_ahead,
        measured=race.measured,
    )
    write_tuned(tuned)
    return tuned


class Race:
    """Lets the values of one setting after another compete on a scene.

    Args:
        scene: to read and encode.
        settings: of reading, in force now; a setting that was chosen stays chosen.
        stopwatch: how to measure.
    """

    def __init__(self, scene: Acquisition, settings: EncoderSettings, stopwatch: Stopwatch) -> None:
        self.measured: dict[str, dict[int, float]] = {}
        self._scene, self._settings, self._stopwatch = scene, settings, stopwatch
        blocks = [seen(block) for block in read_scene(scene, settings)]
        self._block, self._bands = max(blocks, key=lambda block: len(block[0]))
        self._chips = sum(len(pixels) for pixels, _ in blocks)

    def encoding(self, step: str, encoders: Mapping[int, Encoder], now: int) -> int:
        """The fastest of some encoders on one block."""
        works = {value: partial(self._encode, encoder) for value, encoder in encoders.items()}
        return self._fastest(step, works, len(self._block), now)

    def reading(self, step: str, setting: str, values: Sequence[int], encoder: Encoder) -> int:
        """The fastest value of a setting of reading over the whole scene."""
        now: int = getattr(self._settings, setting)
        tried = {value: self._settings.model_copy(update={setting: value}) for value in _sorted(now, *values)}
        works = {value: partial(self._whole, encoder, settings) for value, settings in tried.items()}
        chosen = self._fastest(step, works, self._chips, now)
        self._settings = tried[chosen]
        return chosen

    def _fastest(self, step: str, works: Mapping[int, Work], chips: int, now: int) -> int:
        seconds = self._stopwatch.seconds(step, works)
        self.measured[step] = {value: round(chips / took, 1) for value, took in seconds.items()}
        return fastest(seconds, now)

    def _encode(self, encoder: Encoder) -> None:
        encoder.images(self._block, self._scene.sensor, self._bands)

    def _whole(self, encoder: Encoder, settings: EncoderSettings) -> None:
        scene = read_scene(self._scene, settings, device=encoder.device)
        with closing(ahead(scene, settings.read_ahead)) as blocks:
            for pixels, bands in map(seen, blocks):
                encoder.images(pixels, self._scene.sensor, bands)


def fastest(seconds: Mapping[int, float], now: int) -> int:
    """The value that took least; the one in force now, if that is as fast within the margin."""
    best = min(seconds, key=lambda value: seconds[value])
    return best if seconds[best] * MARGIN < seconds[now] else now


def seen(block: ChipBlock) -> tuple[Pixels, tuple[str, ...]]:
    """The pixels of a block that are encoded, and their bands."""
    return block.pixels[block.seen], block.present_bands


def check_writable() -> None:
    """Find out now, not after the measurements.

    Raises:
        SettingsError: tuned values could not be kept.
    """
    with writable(tuned_folder()) as folder, TemporaryFile(dir=folder):
        pass


def _sorted(*values: int) -> list[int]:
    return sorted({value for value in values if value > 0})
