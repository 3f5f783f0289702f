"""Tuning: the fastest value wins, by a clock that tests hold in their hands; half a measurement leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from structlog.testing import capture_logs

from encoders import tuning
from encoders.chips import ChipBlock
from encoders.settings import EncoderSettings
from encoders.tuned import Conditions, read_tuned, tuned_folder
from encoders.tuning import ROUNDS, Stopwatch, fastest, tune
from schemas.errors import ReleaseNotFound, SettingsError
from schemas.messages import Acquisition, CellState, Chip

if TYPE_CHECKING:
    from tests.conftest import SceneMaker

RELEASE = "toy-1"
HERE = Conditions.here(RELEASE)


@dataclass
class Clock:
    """Time that passes only when work is done."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Toy:
    """An encoder that is fastest with 2 threads and 16 chips a run."""

    clock: Clock
    threads: int
    chips_per_run: int = 8
    release: str = RELEASE
    sensors: tuple[str, ...] = ("s2", "s1")
    device: str | None = None
    conditions: Conditions = HERE

    def texts(self, sentences: list[str]) -> np.ndarray:
        raise AssertionError("no sentence is needed")

    def in_runs_of(self, chips: int) -> Toy:
        return replace(self, chips_per_run=chips)

    def images(self, pixels: np.ndarray, sensor: str, present_bands: tuple[str, ...]) -> np.ndarray:
        self.clock.now += 0.01 * abs(self.threads - 2) + 0.001 * abs(self.chips_per_run - 16) + 0.01
        return np.zeros((len(pixels), 384), np.float32)


@dataclass
class Bench:
    """What `tune` opens and reads, replaced."""

    clock: Clock = field(default_factory=Clock)
    opened: list[int | None] = field(default_factory=list)
    interrupt_at: float = np.inf

    def load(self, name: str, *, threads: int | None, backend: str, precision: str) -> Toy:
        if name != "toy":
            raise ReleaseNotFound(f"no encoder release {name}")
        self.opened.append(threads)
        return Toy(self.clock, threads or 4)

    def read_scene(
        self, scene: Acquisition, settings: EncoderSettings, device: str | None = None
    ) -> Iterator[ChipBlock]:
        """Two blocks; 8 threads and 4 blocks ahead are fastest."""
        self.clock.now += 0.01 * abs(settings.threads - 8) + 0.01 * abs(settings.read_ahead - 4)
        if self.clock.now > self.interrupt_at:
            raise KeyboardInterrupt
        for count in (3, 2):
            chips = tuple(
                Chip(cell=f"cell {i}", state=state, valid_fraction=1, cloud_fraction=0)
                for i, state in enumerate([CellState.SEEN] * count + [CellState.OBSCURED])
            )
            yield ChipBlock((), np.zeros((count + 1, 2, 1, 1), np.float32), chips, ("VV",))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path))
    monkeypatch.delenv("TOCSIN_ENCODER_THREADS", raising=False)
    made = Bench()
    monkeypatch.setattr(tuning, "load", made.load)
    monkeypatch.setattr(tuning, "read_scene", made.read_scene)
    monkeypatch.setattr(tuning, "available_cores", lambda: 4)
    monkeypatch.setattr(tuning, "busy_cores", lambda: 0.0)
    return made


@pytest.fixture
def scene(scenes: SceneMaker) -> Acquisition:
    return scenes.acquisition({})


def test_the_fastest_value_of_every_setting_is_kept(bench: Bench, scene: Acquisition) -> None:
    told: list[tuple[str, int, int]] = []
    found = tune("toy", scene, stopwatch=Stopwatch(bench.clock, lambda *round_: told.append(round_)))
    assert (found.threads, found.chips_per_run, found.read_threads, found.read_ahead) == (2, 16, 8, 4)
    assert read_tuned(HERE) == found
    assert found.name == "toy"
    assert {step: sorted(rates) for step, rates in found.measured.items()} == {
        "threads": [1, 2, 4],
        "chips_per_run": [4, 8, 16, 32, 64],
        "read_threads": [4, 8, 16],
        "read_ahead": [1, 2, 4],
    }
    assert found.measured["chips_per_run"][16] == pytest.approx(3 / 0.01)
    assert [done for step, done, _ in told if step == "read_ahead"] == list(range(ROUNDS + 1))


def test_values_in_force_take_part_and_stay_where_nothing_is_faster(bench: Bench, scene: Acquisition) -> None:
    first = tune("toy", scene, stopwatch=Stopwatch(bench.clock))
    again = tune("toy", scene, stopwatch=Stopwatch(bench.clock))
    assert replace(again, tuned_at=first.tuned_at, measured=first.measured) == first


def test_what_the_environment_says_takes_part(
    bench: Bench, scene: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_ENCODER_THREADS", "3")
    assert 3 in tune("toy", scene, stopwatch=Stopwatch(bench.clock)).measured["read_threads"]


def test_one_core(bench: Bench, scene: Acquisition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "available_cores", lambda: 1)
    found = tune("toy", scene, stopwatch=Stopwatch(bench.clock))
    assert (found.threads, list(found.measured["threads"])) == (1, [1])


def test_an_interrupted_measurement_leaves_the_old_values(bench: Bench, scene: Acquisition) -> None:
    before = tune("toy", scene, stopwatch=Stopwatch(bench.clock))
    bench.interrupt_at = bench.clock.now + 0.5
    with pytest.raises(KeyboardInterrupt):
        tune("toy", scene, stopwatch=Stopwatch(bench.clock))
    assert read_tuned(HERE) == before
    assert len(list(tuned_folder().iterdir())) == 1


def test_an_unknown_release_is_refused_before_anything_is_measured(bench: Bench, scene: Acquisition) -> None:
    with pytest.raises(ReleaseNotFound):
        tune("nobody", scene, stopwatch=Stopwatch(bench.clock))
    assert list(tuned_folder().iterdir()) == []


def test_a_cache_that_cannot_be_written_is_found_out_first(bench: Bench, scene: Acquisition, tmp_path: Path) -> None:
    (tmp_path / "tuned").write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="TOCSIN_CACHE"):
        tune("toy", scene, stopwatch=Stopwatch(bench.clock))
    assert bench.opened == []


def test_a_busy_machine_is_said(bench: Bench, scene: Acquisition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "busy_cores", lambda: 1.23)
    with capture_logs() as logs:
        tune("toy", scene, stopwatch=Stopwatch(bench.clock))
    assert [(each["log_level"], each["busy_cores"]) for each in logs] == [("warning", 1.2)]


def test_a_gain_within_the_noise_changes_nothing() -> None:
    assert fastest({1: 1.00, 2: 0.98}, now=1) == 1
    assert fastest({1: 1.00, 2: 0.96}, now=1) == 2


def test_the_median_counts_not_the_mean() -> None:
    clock, runs = Clock(), {1: iter([9.0, 1, 1, 1, 1, 9]), 2: iter([0.0, 1.2, 1.2, 1.2, 1.2, 1.2])}

    def work(value: int) -> None:
        clock.now += next(runs[value])

    seconds = Stopwatch(clock).seconds("threads", {value: lambda value=value: work(value) for value in runs})
    assert seconds == {1: pytest.approx(1), 2: pytest.approx(1.2)}


def test_a_hopeless_value_is_measured_once() -> None:
    clock, runs = Clock(), {1: 0, 2: 0}

    def work(value: int) -> None:
        runs[value] += 1
        clock.now += value

    Stopwatch(clock).seconds("threads", {value: lambda value=value: work(value) for value in runs})
    assert runs == {1: 1 + ROUNDS, 2: 1 + 1}
