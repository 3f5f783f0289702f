"""The memory of messages that ended the process."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from schemas.crashes import FORGOTTEN_AFTER, CrashLog, History, identity_of


def test_what_was_begun_is_remembered_over_a_restart(tmp_path: Path) -> None:
    assert CrashLog(tmp_path).begin("a") == History(0, 0)
    assert CrashLog(tmp_path).begin("a") == History(1, 0)
    CrashLog(tmp_path).crashed("a")
    assert CrashLog(tmp_path).begin("a") == History(2, 1)
    CrashLog(tmp_path).end("a")
    assert CrashLog(tmp_path).begin("a") == History(0, 0)


def test_ending_twice_is_no_error(tmp_path: Path) -> None:
    log = CrashLog(tmp_path)
    log.end("a")
    log.end("a")
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_short_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("3")
    (tmp_path / "b").write_text("")
    assert CrashLog(tmp_path).begin("a") == CrashLog(tmp_path).begin("b") == History(0, 0)


def test_old_files_are_dropped(tmp_path: Path) -> None:
    CrashLog(tmp_path).begin("old")
    CrashLog(tmp_path).begin("new")
    past = time.time() - (FORGOTTEN_AFTER + timedelta(hours=1)).total_seconds()
    os.utime(tmp_path / "old", (past, past))
    CrashLog(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_message_is_the_same_wherever_it_stands() -> None:
    assert identity_of("acquisitions.v1", b"k", b"v") == identity_of("acquisitions.v1", b"k", b"v")
    others = [("acquisitions.v1", b"k", b"w"), ("acquisitions.v1", None, b"v"), ("alerts.v1", b"k", b"v")]
    assert identity_of("acquisitions.v1", b"k", b"v") not in [identity_of(*other) for other in others]
