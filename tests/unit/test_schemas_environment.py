"""A setting that cannot be used ends every process with one line: which, what it is, what it may be."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from alerts.settings import CoverageSettings, MatcherSettings, NotifierSettings
from commands.configuration import settings_classes
from encoders.settings import EncoderSettings
from ingest.settings import IngestSettings
from schemas.environment import Environment, allowed, variable
from schemas.errors import SettingsError
from schemas.handling import BusSettings
from schemas.settings import Stack

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("settings", "name", "value", "may_be"),
    [
        (Stack, "PARTITIONS", "many", "a whole number from 1 to 1000 (default 4)"),
        (Stack, "PARTITIONS", "0", "a whole number from 1 to 1000 (default 4)"),
        (Stack, "LOG_LEVEL", "loud", "one of debug, info, warning, error (default info)"),
        (BusSettings, "BUS_PRODUCTION", "soon", "true or false"),
        (MatcherSettings, "MATCHER_WINDOW_DAYS", "0", "a number above 0 and up to 366 (default 45)"),
        (MatcherSettings, "MATCHER_PLAUSIBLE", "1", "a number above 0 and below 1 (default 0.25)"),
        (MatcherSettings, "MATCHER_ARITHMETIC", "fp8", "one of auto, fp32, int8, cuda (default auto)"),
        (CoverageSettings, "COVERAGE_BLIND_DAYS", "soon", "a number above 0 and up to 3650"),
        (NotifierSettings, "NOTIFIER_CAP_SENDER", "a b", r"text that matches ^[^\s<&,]+$ (default tocsin@localhost)"),
        (EncoderSettings, "ENCODER_TIMEOUT_S", "0", "a number above 0 (default 30.0)"),
        (IngestSettings, "INGEST_LOOK_BACK_DAYS", "inf", "a number from 0 to 3660 (default 5.0)"),
        (IngestSettings, "INGEST_OVERLAP_MINUTES", "nan", "a number from 0 to 527040 (default 30.0)"),
    ],
)
def test_what_it_is_and_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, settings: type[BaseSettings], name: str, value: str, may_be: str
) -> None:
    monkeypatch.setenv(f"TOCSIN_{name}", value)
    with pytest.raises(SettingsError) as refused:
        settings()
    assert str(refused.value) == f"the environment cannot be used: TOCSIN_{name} is {value!r}; it may be {may_be}"


def test_all_that_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_PARTITIONS", "x" * 5000 + "\n")
    monkeypatch.setenv("TOCSIN_REPLICATION", "0")
    with pytest.raises(
        SettingsError, match=r"TOCSIN_PARTITIONS is 'xxx.*'…; it may .*; TOCSIN_REPLICATION is '0'"
    ) as refused:
        Stack()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Stack.model_fields, "partitions", hidden := Stack.model_fields["partitions"]._copy())
    hidden.repr = False
    monkeypatch.setenv("TOCSIN_PARTITIONS", "hunter2")
    with pytest.raises(SettingsError, match="TOCSIN_PARTITIONS cannot be used; it may be a whole number") as refused:
        Stack()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("level", ["INFO", "Warning"])
def test_a_level_in_capitals_is_one(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("TOCSIN_LOG_LEVEL", level)
    assert Stack().log_level == level.lower()


@pytest.mark.parametrize("settings", settings_classes())
def test_every_default_is_allowed_and_every_class_says_what_is_wrong(settings: type[BaseSettings]) -> None:
    assert issubclass(settings, Environment)
    settings()
    for name, field in settings.model_fields.items():
        assert variable(settings, name).startswith("TOCSIN_") and allowed(field)


@pytest.mark.parametrize(
    ("module", "name", "bad"),
    [
        ("ingest/run.py", "poller", "TOCSIN_INGEST_INTERVAL_S"),
        ("encoders/run.py", "encoder", "TOCSIN_ENCODER_THREADS"),
        ("alerts/matcher.py", "matcher", "TOCSIN_MATCHER_GAP_CELLS"),
        ("alerts/matcher.py", "matcher", "TOCSIN_COVERAGE_RAW_DAYS"),
        ("alerts/notifier.py", "notifier", "TOCSIN_NOTIFIER_TIMEOUT_S"),
        ("alerts/notifier.py", "notifier", "TOCSIN_EVIDENCE_CELLS"),
        ("archive/owner.py", "archive", "TOCSIN_PARTITIONS"),
        ("embedded/broker.py", "broker", "TOCSIN_LOG_LEVEL"),
        ("schemas/heartbeat.py", "matcher", "TOCSIN_PARTITIONS"),
    ],
)
def test_a_service_started_by_hand_says_it_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    name: str,
    bad: str,
) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("TOCSIN_DATA", str(data))
    monkeypatch.setenv(bad, "some")
    monkeypatch.setattr(sys, "argv", [module, *(["matcher"] if "heartbeat" in module else [])])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / module), run_name="__main__")
    assert end.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(
        f"{name}: the environment cannot be used: {bad} is 'some'; it may be "
    )
    assert not data.exists(), "nothing was touched before"
