"""The archive's light import, its folder, names and rectangles."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive import ArchiveFilter, open_archive
from archive.edge import EdgeStore
from archive.filters import InBoxes, boxes, conditions
from archive.lock import FolderLock, is_owned
from archive.manifest import MANIFEST
from archive.points import month, months_near, slug, unslug
from schemas.errors import SettingsError, StoreUnavailable
from schemas.settings import Stack


def test_importing_the_archive_loads_no_engine() -> None:
    code = "import sys, archive, archive.search; print([m for m in sys.modules if m.startswith(('qdrant', 'grpc'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_in_process_engine_does_without_the_servers_client() -> None:
    code = "import sys, archive.owner; print('qdrant_client' in sys.modules, 'qdrant_edge' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False True"


def test_without_the_engine_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"tocsin\[embedded\]"):
        open_archive(Stack(data=tmp_path))


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    assert is_owned(tmp_path)
    with pytest.raises(StoreUnavailable, match="in use by process"):
        FolderLock(tmp_path)
    lock.release()
    assert not is_owned(tmp_path)


def test_a_folder_of_a_later_build_is_refused_and_left_alone(tmp_path: Path) -> None:
    stack = Stack(data=tmp_path)
    stack.archive_folder.mkdir()
    (stack.archive_folder / MANIFEST).write_text(json.dumps({"format_version": 99, "dimension": 384}))
    with pytest.raises(SettingsError, match="format 99"):
        open_archive(stack)
    with pytest.raises(SettingsError, match="format 99"):
        EdgeStore(stack.archive_folder)
    assert not is_owned(stack.archive_folder)
    assert json.loads((stack.archive_folder / MANIFEST).read_text())["format_version"] == 99


def test_a_half_made_shard_is_no_shard(tmp_path: Path) -> None:
    left_over = tmp_path / "r" / "points" / "2026-03.new"
    left_over.mkdir(parents=True)
    store = EdgeStore(tmp_path)
    assert store.releases() == []
    assert store.count("r", ArchiveFilter()) == 0
    store.close()


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=20))
@example("..")
@example("~2E./%41")
def test_any_release_name_is_a_folder_name_and_comes_back(release: str) -> None:
    try:
        release.encode()
    except UnicodeEncodeError:
        return
    name = slug(release)
    assert unslug(name) == release
    assert not set(name) & set('/\\:*?"<>| %')
    assert not name.startswith(".")


def test_months_are_utc_and_their_edges_are_near() -> None:
    midday = datetime(2026, 1, 15, 12, tzinfo=UTC)
    last = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert month(midday) == "2026-01"
    assert months_near(midday) == {"2026-01"}
    assert months_near(last) == {"2026-12", "2027-01"}


@pytest.mark.parametrize("parts", [1, 5, 32, 33, 60])
def test_rectangles_hold_the_whole_area(parts: int) -> None:
    corners = np.random.default_rng(parts).uniform((-179, -85), (178, 85), (parts, 2))
    area = shapely.union_all([shapely.Point(lon, lat).buffer(0.7) for lon, lat in corners])
    cover = shapely.union_all([shapely.box(*box) for box in boxes(area)])
    assert cover.covers(area)
    (condition,) = conditions(ArchiveFilter(area=area))
    assert isinstance(condition, InBoxes)
    assert len(condition.boxes) <= 32
