"""A container is healthy while its loop comes round."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from schemas.heartbeat import STALE_S, age_s, beat, main
from schemas.settings import Stack


def test_a_fresh_beat_is_health_and_an_old_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path))
    stack = Stack()
    assert age_s(stack, "encoder") is None
    assert main("encoder") == 1
    beat(stack, "encoder")
    assert main("encoder") == 0
    then = time.time() - STALE_S - 1
    os.utime(stack.run_folder / "encoder.alive", (then, then))
    assert main("encoder") == 1
