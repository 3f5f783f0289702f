"""The encoder service's wiring: what is opened, which topics it reads, what happens when something is missing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from encoders import run
from encoders.settings import EncoderSettings
from encoders.tuned import Conditions, Tuned
from schemas.environment import ending
from schemas.errors import SettingsError, StoreUnavailable
from schemas.handling import Step
from schemas.settings import Stack


class FakeEncoder:
    release = "fake-1.0"


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A data folder of its own; archive and model are fakes."""
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TOCSIN_KAFKA", "127.0.0.1:9")
    monkeypatch.setattr(run, "open_archive", lambda stack: nullcontext("archive"))
    monkeypatch.setattr(run, "load_for", lambda stack: FakeEncoder())
    monkeypatch.setattr(run, "configure", lambda level, service: None)  # logging is the whole process's
    return Stack()


def test_service_reads_the_present_and_the_past(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict[str, Any] = {}

    def serve(service: str, steps: list[Step], **wiring: object) -> None:
        served.update(service=service, steps=steps, **wiring)

    monkeypatch.setattr(run, "serve", serve)
    stale = stack.data / "scratch"
    stale.mkdir(parents=True)
    run.main()
    assert served["service"] == "encoder"
    assert [step.topic.name for step in served["steps"]] == ["acquisitions.v1", "acquisitions-backfill.v1"]
    assert all(step.on_dead_letter is not None for step in served["steps"])
    encoding = served["steps"][0].handle.__self__
    assert encoding.settings.scratch == stale
    assert encoding.archive == "archive" and encoding.encoder.release == "fake-1.0"


def test_service_reads_as_it_was_tuned(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = Tuned(
        conditions=Conditions.here("fake-1.0"),
        name="fake",
        tuned_at=datetime.now(UTC),
        threads=1,
        chips_per_run=8,
        read_threads=7,
        read_ahead=5,
        measured={},
    )
    settings: list[EncoderSettings] = []
    stack.data.mkdir()
    monkeypatch.delenv("TOCSIN_ENCODER_THREADS", raising=False)
    monkeypatch.setattr(run, "tuned_for", lambda encoder: tuned)
    monkeypatch.setattr(run, "serve", lambda _, steps, **__: settings.append(steps[0].handle.__self__.settings))
    run.main()
    assert [(each.threads, each.read_ahead) for each in settings] == [(7, 5)]


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("archive is away"), 1), (SettingsError("no such release"), 2)]
)
def test_service_that_cannot_work_says_why(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(run, "load_for", fail)
    stack.data.mkdir()
    assert ending("encoder", run.main) == status
    assert capsys.readouterr().err == f"encoder: {error}\n"
    structlog.configure()  # from then on the log says it
    with structlog.testing.capture_logs() as logs:
        assert ending("encoder", run.main) == status
    assert [(log["event"], log["reason"]) for log in logs] == [("encoder cannot work", str(error))]


def test_importing_the_light_modules_brings_no_gdal() -> None:
    code = (
        "import sys, encoders, encoders.settings, encoders.ledger, encoders.buckets; print('rasterio' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
