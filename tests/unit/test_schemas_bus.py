"""What serve does before there is a broker, and what we change in faust; the rest is among the integration tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from schemas.bus import Step, serve
from schemas.database import connect
from schemas.publisher import Publisher
from schemas.settings import Stack
from schemas.topics import ACQUISITIONS


def test_what_we_change_in_faust() -> None:
    """In a process of its own, without warnings as errors: faust opens event loops that it never closes."""
    probe = Path(__file__).parent / "probe_faust_app.py"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "filterwarnings=default", str(probe)]
    said = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout[-3000:]
    assert "5 passed" in said.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_without_a_broker_can_be_stopped(tmp_path: Path, number: signal.Signals) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'tocsin.sqlite'}")
    step = Step(ACQUISITIONS, lambda message: None)
    timer = threading.Timer(0.3, os.kill, [os.getpid(), number])
    timer.start()
    serve("test", [step], stack=Stack(data=tmp_path, kafka=""), engine=engine, publisher=Publisher("", "test"))
    timer.join()
    engine.dispose()
