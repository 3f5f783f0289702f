"""Tuned values on disk: kept whole, ignored where they do not belong, and used where nothing else was said."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from encoders import backends, closp_release, nano
from encoders.closp_release import load_closp
from encoders.heads import Head
from encoders.listing import installed_releases
from encoders.nano import FOLDER, load_nano, verified_release
from encoders.runtime import Inputs
from encoders.settings import EncoderSettings
from encoders.tuned import Conditions, Tuned, read_tuned, reading_settings, tuned_as, tuned_for, tuned_path, write_tuned
from schemas.errors import SettingsError

RELEASE = verified_release(FOLDER)
HERE = Conditions.here(RELEASE)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path))
    monkeypatch.delenv("TOCSIN_ENCODER_THREADS", raising=False)
    return tmp_path


def values(release: str = RELEASE, name: str = "nano") -> Tuned:
    return Tuned(
        conditions=Conditions.here(release),
        name=name,
        tuned_at=datetime(2026, 11, 27, 8, tzinfo=UTC),
        threads=1,
        chips_per_run=3,
        read_threads=7,
        read_ahead=5,
        measured={"threads": {1: 100.0, 2: 99.5}},
    )


def kept(**conditions: object) -> Path:
    """A file whose conditions differ from those here."""
    path = write_tuned(values())
    document = json.loads(path.read_text())
    document["conditions"] |= conditions
    path.write_text(json.dumps(document))
    return path


def test_what_was_kept_comes_back() -> None:
    path = write_tuned(values())
    assert read_tuned(HERE) == values()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_release_that_was_never_tuned_has_none_and_nobody_is_warned() -> None:
    with capture_logs() as logs:
        assert read_tuned(HERE) is None
        assert tuned_as("nano") is None
    assert logs == []


def test_a_backend_or_precision_that_was_not_tuned_has_none() -> None:
    write_tuned(values())
    assert read_tuned(Conditions.here(RELEASE, "auto", "bf16")) is None
    assert read_tuned(Conditions.here(RELEASE, "torch")) is None


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("processor", "Another CPU"),
        ("cores", 4096),
        ("runtimes", "onnxruntime 0.1"),
        ("release", "nano-0.0+000000000000"),
        ("backend", "torch"),
        ("precision", "int8"),
        ("version", 0),
    ],
)
def test_values_of_other_conditions_are_ignored_with_one_warning(field: str, other: object) -> None:
    path = kept(**{field: other})
    with capture_logs() as logs:
        assert read_tuned(HERE) is None
        assert read_tuned(HERE) is None
    (warning,) = logs
    assert warning["file"] == str(path)
    assert field in warning["reason"] and repr(other) in warning["reason"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{ half", b"[1]", b"{}", b"\xff\xfe", b'{"threads": 0}', b"null"],
)
def test_a_damaged_file_is_ignored_with_one_warning(content: bytes) -> None:
    path = write_tuned(values())
    path.write_bytes(content)
    with capture_logs() as logs:
        assert read_tuned(HERE) is None
        assert load_nano(1).chips_per_run == nano.CHIPS_PER_RUN
        assert tuned_as("nano") is None
    assert [(each["file"], each["log_level"]) for each in logs] == [(str(path), "warning")]


@pytest.mark.parametrize(("field", "value"), [("chips_per_run", 0), ("threads", "many"), ("read_ahead", 10**6)])
def test_impossible_values_are_damage(field: str, value: object) -> None:
    path = write_tuned(values())
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with capture_logs() as logs:
        assert read_tuned(HERE) is None
    assert "damaged" in logs[0]["reason"]


def test_a_folder_in_place_of_the_file_is_ignored() -> None:
    tuned_path(HERE).mkdir(parents=True)
    with capture_logs() as logs:
        assert read_tuned(HERE) is None
    assert "damaged" in logs[0]["reason"]


def test_where_nothing_can_be_written(cache: Path) -> None:
    (cache / "tuned").write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="set TOCSIN_CACHE to another folder"):
        write_tuned(values())


def test_nano_runs_with_them_and_its_vectors_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(3).uniform(0.02, 0.4, (7, 2, 120, 120)).astype(np.float32)
    before = load_nano(1).images(pixels, "s1")
    write_tuned(values())
    tuned = load_nano()
    batches: list[int] = []
    run = tuned._run
    monkeypatch.setattr(tuned, "_run", lambda part, *rest: (batches.append(len(part)), run(part, *rest))[1])
    np.testing.assert_allclose(tuned.images(pixels, "s1"), before, atol=2e-5)
    assert batches == [3, 2, 2]


def test_threads_that_are_asked_for_go_before_tuned_ones() -> None:
    write_tuned(values())
    assert load_nano()._threads == 1
    assert load_nano(2)._threads == 2


class Counting:
    """An engine that remembers its batches."""

    name = "counting"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        count = len(next(iter(inputs.values())))
        self.batches.append(count)
        return np.ones((count, 384), np.float32)


def test_closp_runs_with_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"content")
    engine, opened = Counting(), []
    monkeypatch.setattr(closp_release, "read_layout", lambda _path: {"s1_encoder.conv1.weight": (64, 2, 7, 7)})
    monkeypatch.setattr(closp_release, "Words", lambda _path: None)
    monkeypatch.setattr(closp_release, "_builder", lambda *_args: None)
    monkeypatch.setattr(closp_release, "_head", lambda *_args: Head(np.eye(384, dtype=np.float32), np.zeros(384)))
    monkeypatch.setattr(closp_release, "digest", lambda *_args: "0" * 64)
    monkeypatch.setattr(backends, "checked_engine", lambda *asked: (opened.append(asked[1].threads), engine)[1])

    def load(threads: int | None = None) -> closp_release.ClospEncoder:
        opened.clear()
        weights, tokenizer = tmp_path / "model.safetensors", tmp_path / "tokenizer.json"
        return load_closp(weights, tokenizer, engines=tmp_path, threads=threads)

    write_tuned(values(load().release, "closp-rn"))
    load().images(np.full((5, 2, 32, 32), 0.1, np.float32), "s1")
    assert (engine.batches, set(opened)) == ([3, 2], {1})
    load().in_runs_of(4).images(np.full((5, 2, 32, 32), 0.1, np.float32), "s1")
    assert engine.batches[2:] == [4, 1]
    load(threads=2)
    assert set(opened) == {2}


def test_reading_takes_them_where_the_environment_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    write_tuned(values())
    assert tuned_for(load_nano(1)) == values()
    silent = reading_settings(EncoderSettings(), values())
    assert (silent.threads, silent.read_ahead) == (7, 5)
    assert reading_settings(EncoderSettings(), None) == EncoderSettings()
    monkeypatch.setenv("TOCSIN_ENCODER_THREADS", "2")
    said = reading_settings(EncoderSettings(), values())
    assert (said.threads, said.read_ahead) == (2, 5)


def test_the_list_says_what_was_tuned_here(cache: Path) -> None:
    write_tuned(values())
    write_tuned(values("closp-rn-0123456789ab", "closp-rn"))
    elsewhere = values("closp-vs-0123456789ab", "closp-vs")
    write_tuned(replace(elsewhere, conditions=replace(elsewhere.conditions, processor="Another CPU")))
    days = {row.name: row.tuned for row in installed_releases()}
    assert str(days["nano"]) == str(days["closp-rn"]) == "2026-11-27"
    assert days["closp-vs"] is None


def test_the_list_forgets_the_values_of_an_older_nano() -> None:
    write_tuned(values("nano-0.0+000000000000"))
    assert installed_releases()[0].tuned is None
