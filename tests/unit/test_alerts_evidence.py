"""An alert explained as a whole: small scenes on a web server, a real database, a short fake of the archive."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import zipfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lxml import etree
from PIL import Image
from sqlalchemy import Engine, select

from alerts.evidence import artist, packer
from alerts.evidence import explain as explain_module
from alerts.evidence.bundle import bundle, document, path_of, write
from alerts.evidence.enclosed import within
from alerts.evidence.explain import Explanation, Sources, explain
from alerts.evidence.told import find_alert, told
from alerts.evidence.unsigned import unsigned
from alerts.evidence.words import lines
from alerts.incidents.announce import outline
from alerts.settings import EvidenceSettings
from alerts.telling.kinds.kind import Picture
from archive import ArchiveFilter, Hit
from encoders.bands import BANDS
from encoders.settings import EncoderSettings
from schemas.cells import cell_of
from schemas.database import connect, migrate, transaction
from schemas.errors import NotFound, UsageError
from schemas.geometry import to_geojson
from schemas.messages import (
    Acquisition,
    Alert,
    CellState,
    Chip,
    Coverage,
    Embedding,
    Incident,
    IncidentState,
    Match,
    Mode,
    OtherSensor,
    StandingQuery,
    stable_id,
)
from schemas.tables import (
    AcquisitionRow,
    AlertRow,
    CoverageRow,
    IncidentRow,
    MatchedBatchRow,
    MatchRow,
    QueryRow,
    ThresholdRow,
    VerdictRow,
)
from schemas.verdicts import Answer, Reason, Verdict

if TYPE_CHECKING:
    from tests.conftest import FileServer, SceneMaker

FIRE = datetime(2026, 7, 1, 9, 50, tzinfo=UTC)
CELLS = ("31TEK0198", "31TEK0298")
RELEASE = "fake-1"
QUERY = stable_id("query")
WORDS = np.zeros(384, np.float32)
WORDS[:2] = (0.6, -0.8)


class FakeEncoder:
    """Band i's mean is component i of the vector; sensors, releases and checks as the real ones have them."""

    release, sensors, device = RELEASE, ("s2", "s1"), None

    def images(self, pixels, sensor, present_bands=None):
        have = [BANDS[sensor].index(band) for band in present_bands or BANDS[sensor]]
        out = np.zeros((len(pixels), 384), np.float32)
        planes = {7: 1, 12: 0} if sensor == "s2" else {0: 0, 1: 1}  # near and short-wave infrared carry it
        for plane, component in planes.items():
            if plane in have:
                out[:, component] = np.nanmean(pixels[:, plane], axis=(1, 2))
        out[:, 2] = 0.1
        return out / np.linalg.norm(out, axis=1, keepdims=True)


class FakeArchive:
    """Points in a list; history and search as the interface has them."""

    def __init__(self):
        self.points: list[Embedding] = []
        self.vectors: list[np.ndarray] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def add(self, acquisition: Acquisition, cell: str, vector: np.ndarray, cloud: float = 0.0) -> None:
        lon, lat = cell_of(cell).centre
        self.points.append(
            Embedding(
                point_id=stable_id("point", cell, acquisition.physical_key, RELEASE),
                cell=cell,
                release=RELEASE,
                lon=lon,
                lat=lat,
                valid_fraction=1,
                cloud_fraction=cloud,
                **{
                    name: getattr(acquisition, name)
                    for name in (
                        "sensor",
                        "sensing_at",
                        "physical_key",
                        "acquisition_id",
                        "processed_at",
                        "source",
                        "collection",
                        "item_id",
                        "platform",
                        "relative_orbit",
                        "simulated",
                    )
                },
            )
        )
        self.vectors.append(vector.astype(np.float32))

    def _rows(self, release: str, filter: ArchiveFilter) -> list[int]:
        return [
            i
            for i, one in enumerate(self.points)
            if one.release == release
            and (not filter.sensors or one.sensor in filter.sensors)
            and (filter.cells is None or one.cell in filter.cells)
            and (filter.until is None or one.sensing_at < filter.until)
            and (not filter.physical_keys or one.physical_key in filter.physical_keys)
            and (filter.simulated is None or one.simulated is filter.simulated)
            and (filter.area is None or filter.area.contains(cell_of(one.cell).polygon.centroid))
        ]

    def history(self, *, release, filter, max_points, seed=0):
        rows = sorted(self._rows(release, filter), key=lambda i: self.points[i].sensing_at)
        return [self.points[i] for i in rows], np.array([self.vectors[i] for i in rows]).reshape(-1, 384)

    def search(self, vector, *, release, filter, limit, min_score=None):
        hits = [Hit(self.points[i], float(self.vectors[i] @ vector)) for i in self._rows(release, filter)]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]


class World:
    """A fire on two cells: scenes before and after it, seen by both sensors, alerted."""

    def __init__(self, scenes: SceneMaker, engine: Engine):
        self.scenes, self.engine = scenes, engine
        self.archive, self.encoder = FakeArchive(), FakeEncoder()
        self.acquisitions = {
            "s2-old": self.optical("s2-old", -10, burnt=False),
            "s2-cloudy": self.optical("s2-cloudy", -5, burnt=False),
            "s2-fire": self.optical("s2-fire", 0, burnt=True),
            "s1-old": self.radar("s1-old", -6, burnt=False),
            "s1-other-orbit": self.radar("s1-other-orbit", -3, burnt=False, orbit=44),
            "s1-fire": self.radar("s1-fire", 1, burnt=True),
        }
        for name, acquisition in self.acquisitions.items():
            for cell in CELLS:
                self.archive.add(acquisition, cell, self.vector(acquisition), cloud=0.3 if "cloudy" in name else 0.0)
        self.store()

    def optical(self, name: str, day: float, *, burnt: bool) -> Acquisition:
        noise = np.random.default_rng(len(name)).integers(-60, 60, (500, 500))
        levels = {"B02": 500, "B03": 700, "B04": 600, "B08": 900 if burnt else 3600, "B12": 2800 if burnt else 1200}
        assets = {
            band: self.scenes.band(f"{name}/{band}.tif", (level + noise).astype(np.uint16), nodata=0).model_copy(
                update={"scale": 1e-4}
            )
            for band, level in levels.items()
        }
        return self.acquisition(name, day, assets, relative_orbit=36)

    def radar(self, name: str, day: float, *, burnt: bool, orbit: int = 117) -> Acquisition:
        speckle = np.random.default_rng(len(name)).gamma(4, 0.25, (500, 500))
        levels = {"VV": 0.08, "VH": 0.004 if burnt else 0.02}
        assets = {
            band: self.scenes.band(f"{name}/{band}.tif", (level * speckle).astype(np.float32))
            for band, level in levels.items()
        }
        return self.acquisition(name, day, assets, relative_orbit=orbit)

    def acquisition(self, name: str, day: float, assets, **more) -> Acquisition:
        when = FIRE + timedelta(days=day)
        moments = dict.fromkeys(("sensing_at", "processed_at", "published_at", "seen_at"), when)
        return self.scenes.acquisition(assets, item_id=name, **moments, **more)

    def vector(self, acquisition: Acquisition) -> np.ndarray:
        """What the encoder makes of a scene's levels."""
        burnt = "fire" in acquisition.item_id
        pixels = np.full((1, len(BANDS[acquisition.sensor]), 4, 4), np.nan, np.float32)
        if acquisition.sensor == "s2":
            pixels[0, 7], pixels[0, 12] = (0.09, 0.28) if burnt else (0.36, 0.12)
            return self.encoder.images(pixels, "s2", ["B08", "B12"])[0]
        pixels[0, 0], pixels[0, 1] = 0.08, 0.004 if burnt else 0.02
        return self.encoder.images(pixels, "s1")[0]

    def matches(self) -> list[Match]:
        found = []
        for name in ("s1-fire", "s2-fire"):
            one = self.acquisitions[name]
            past = self.vector(self.acquisitions[f"{one.sensor}-old"])
            for i, cell in enumerate(CELLS):
                presence = float(self.vector(one) @ WORDS)
                found.append(
                    Match(
                        query_id=QUERY,
                        query_version=1,
                        cell=cell,
                        acquisition_id=one.acquisition_id,
                        physical_key=one.physical_key,
                        item_id=one.item_id,
                        sensor=one.sensor,
                        sensing_at=one.sensing_at,
                        score=presence - float(past @ WORDS) - i / 100,
                        presence=presence,
                        threshold=0.02,
                        baseline_count=1,
                    )
                )
        return found

    def alert(self, sequence: int = 2) -> Alert:
        matches = self.matches() if sequence == 2 else self.matches()[:2]
        sensors = ("s1", "s2") if sequence == 2 else ("s1",)
        incident = Incident(
            incident_id=stable_id("incident"),
            query_id=QUERY,
            query_version=1,
            state=IncidentState.CONFIRMED if sequence == 2 else IncidentState.OPENED,
            cells=CELLS,
            sensors=sensors,
            item_ids=tuple(dict.fromkeys(match.item_id for match in matches)),
            first_sensing_at=FIRE,
            last_sensing_at=FIRE + timedelta(days=1),
            opened_at=FIRE + timedelta(hours=4),
            score=max(match.score for match in matches),
        )
        return Alert(
            alert_id=stable_id("alert"),
            sequence=sequence,
            kind=incident.state,
            query="burn scar",
            mode=Mode.APPEARANCE,
            incident=incident,
            geometry=to_geojson(outline(CELLS)),
            matches=tuple(matches),
            sent_at=FIRE + timedelta(hours=4 + sequence),
        )

    def store(self) -> None:
        with transaction(self.engine) as session:
            session.add_all(self.ledger_row(one) for one in self.acquisitions.values())
            for one in self.acquisitions.values():
                for row in (MatchedBatchRow, CoverageRow):
                    if "fire" in one.item_id:
                        session.add(self.batch_row(one) if row is MatchedBatchRow else self.coverage_row(one))
            query = StandingQuery(query_id=QUERY, version=1, sentence="burn scar", created_at=FIRE)
            session.add(
                QueryRow(
                    query_id=QUERY,
                    version=1,
                    status="active",
                    message=query.model_dump_json(),
                    revision=1,
                    created_at=FIRE,
                    updated_at=FIRE,
                )
            )
            session.flush()
            for sensor in ("s1", "s2"):
                session.add(
                    ThresholdRow(
                        query_id=QUERY,
                        release=RELEASE,
                        sensor=sensor,
                        stratum="",
                        vector=WORDS.astype("<f4").tobytes(),
                        score=0.02,
                        score_low=0.01,
                        score_high=0.04,
                        basis="archive",
                        background=500,
                        computed_at=FIRE,
                    )
                )
            self.incident_rows(session, stable_id("incident"), self.matches())
            for sequence in (1, 2):
                alert = self.alert(sequence)
                session.add(
                    AlertRow(
                        alert_id=alert.alert_id,
                        sequence=sequence,
                        incident_id=alert.incident.incident_id,
                        query_id=QUERY,
                        kind=alert.kind.value,
                        message=alert.model_dump_json(),
                        sent_at=alert.sent_at,
                    )
                )

    def incident_rows(self, session, incident_id, matches) -> None:
        session.add(
            IncidentRow(
                incident_id=incident_id,
                query_id=QUERY,
                query_version=1,
                state="opened",
                first_sensing_at=FIRE,
                last_sensing_at=FIRE,
                opened_at=FIRE,
                score=1,
                sequence=1,
            )
        )
        session.flush()
        for match in matches:
            session.add(
                MatchRow(
                    match_id=stable_id(incident_id, match.cell, match.physical_key),
                    incident_id=incident_id,
                    query_id=QUERY,
                    cell=match.cell,
                    sensor=match.sensor,
                    sensing_at=match.sensing_at,
                    score=match.score,
                    message=match.model_dump_json(),
                )
            )

    @staticmethod
    def ledger_row(one: Acquisition) -> AcquisitionRow:
        fields = one.model_dump(
            include={
                "acquisition_id",
                "physical_key",
                "source",
                "collection",
                "item_id",
                "sensor",
                "processed_at",
                "sensing_at",
                "published_at",
                "seen_at",
            }
        )
        return AcquisitionRow(**fields, state="matched", message=one.model_dump_json(), topic="acquisitions.v1")

    @staticmethod
    def batch_row(one: Acquisition) -> MatchedBatchRow:
        return MatchedBatchRow(acquisition_id=one.acquisition_id, release=RELEASE, batch=0, matched_at=FIRE)

    @staticmethod
    def coverage_row(one: Acquisition) -> CoverageRow:
        import zlib

        chips = tuple(Chip(cell=cell, state=CellState.SEEN, valid_fraction=1, cloud_fraction=0) for cell in CELLS)
        fields = one.model_dump(include={"acquisition_id", "physical_key", "source", "item_id", "sensor", "sensing_at"})
        coverage = Coverage(**fields, chips=chips)
        box = {"west": 3.0, "south": 45.0, "east": 3.1, "north": 45.2}
        return CoverageRow(**fields, **box, seen=2, obscured=0, failed=0, chips=zlib.compress(coverage.to_bytes()))

    def sources(self, **changes) -> Sources:
        given = {
            "engine": self.engine,
            "archive": self.archive,
            "encoder": self.encoder,
            "no_encoder": "",
            "reading": EncoderSettings(threads=2),
            "settings": EvidenceSettings(),
        }
        return Sources(**{**given, **changes})

    def explain(self, **changes) -> Explanation:
        return explain(self.sources(**changes), find_alert(self.engine, str(stable_id("alert"))))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, made once."""
    path = tmp_path_factory.mktemp("empty") / "db.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def engine(empty: Path, tmp_path: Path) -> Engine:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "db.sqlite"),))
    return connect(f"sqlite:///{tmp_path / 'db.sqlite'}")


@pytest.fixture
def world(scenes: SceneMaker, engine: Engine) -> World:
    return World(scenes, engine)


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_both_sensors_of_both_cells_are_shown_before_and_after(world: World) -> None:
    explanation = world.explain()
    assert {picture.name for picture in explanation.pictures} == {
        "map.png",
        *(f"{cell}-{sensor}.png" for cell in CELLS for sensor in ("s1", "s2")),
    }
    assert explanation.left_out == ()
    for shown in explanation.shown:
        before = "s2-old" if shown.look.match.sensor == "s2" else "s1-old"  # clear, and from the same orbit
        assert shown.look.before is not None and shown.look.before.item_id == before
    for picture in explanation.pictures:
        with Image.open(io.BytesIO(picture.png)) as image:
            assert image.format == "PNG" and min(image.size) > 300
        assert "burn scar" in picture.caption


def test_the_score_is_the_matchs_own_and_the_infrared_carries_it(world: World) -> None:
    """The fake encoder looks at two bands only, so it is known what must come out."""
    occlusions = world.explain().occlusions
    assert len(occlusions) == 4
    for one in occlusions:
        match = next(m for m in world.matches() if (m.cell, m.sensor) == (one.cell, one.sensor))
        assert one.method == "before"
        assert one.score - (one.before or 0) == pytest.approx(sum(share.share for share in one.groups), abs=1e-3)
        if one.sensor == "s2":
            assert one.score == pytest.approx(match.score, abs=0.02)  # the cloudy look counts in the baseline too
            assert {share.name for share in one.groups[:2]} == {"near infrared", "short-wave infrared"}
            assert {share.name for share in one.bands[:2]} == {"B08", "B12"}
            assert all(share.share == pytest.approx(0, abs=1e-3) for share in one.groups[2:])
        else:
            assert one.groups[0].name == "VH" and one.groups[1].share == pytest.approx(0, abs=0.02)


def test_the_bundle_holds_everything_and_its_checksums_hold(world: World) -> None:
    explanation = world.explain()
    files = unzipped(bundle(explanation, "duty@example.org"))
    assert list(files)[:6] == [
        "README.txt",
        "explanation.txt",
        "alert.geojson",
        "alert.cap.xml",
        "cells.geojson",
        "provenance.json",
    ]
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    made = json.loads(files["provenance.json"])
    assert (made["format"], made["version"], made["encoder_release"]) == ("tocsin evidence", 1, RELEASE)
    assert {name: each["sha256"] for name, each in made["files"].items()} == {
        name: digest for name, digest in sums.items() if name != "provenance.json"
    }
    assert made["query"]["query_id"] == str(QUERY) and made["query"]["version"] == 1
    assert {match["acquisition_id"] for match in made["matches"]} == {
        str(world.acquisitions[name].acquisition_id) for name in ("s1-fire", "s2-fire")
    }
    assert all(match["releases"] == [RELEASE] for match in made["matches"])
    assert [one["item_id"] for one in made["acquisitions"]] == ["s2-old", "s1-old", "s2-fire", "s1-fire"]
    assert made["acquisitions"][0]["assets"]["B08"]["href"].startswith("http://127.0.0.1")
    line = made["thresholds"][0]
    assert (line["score_low"], line["score_high"], line["basis"], line["vectors"]) == (0.01, 0.04, "archive", 1)
    assert {band["name"] for band in made["bands"]["s2"]} == set(BANDS["s2"])
    cells = json.loads(files["cells.geojson"])["features"]
    assert [(one["properties"]["cell"], one["properties"]["sensor"]) for one in cells] == [
        (cell, sensor) for sensor in ("s1", "s2") for cell in CELLS
    ]
    assert b"Contains modified Copernicus Sentinel data 2026" in files["README.txt"]
    assert document(explanation, "duty@example.org") == made


def test_its_cap_message_is_valid_and_refers_to_the_first(world: World) -> None:
    files = unzipped(bundle(world.explain(), "duty@example.org"))
    rules = etree.RelaxNG(etree.parse(Path(__file__).parent / "data" / "cap12.rng"))
    message = etree.fromstring(files["alert.cap.xml"])
    rules.assertValid(message)
    (references,) = [each.text for each in message.iter("{urn:oasis:names:tc:emergency:cap:1.2}references")]
    assert references.startswith(f"duty@example.org,{stable_id('alert')}-1,")


def test_the_same_alert_gives_the_same_bytes(world: World) -> None:
    assert bundle(world.explain(), "a@b") == bundle(world.explain(), "a@b")


def test_an_earlier_message_is_explained_as_it_was_told(world: World) -> None:
    alert = find_alert(world.engine, str(stable_id("alert"))[:8], sequence=1)
    explanation = explain(world.sources(), alert)
    assert {match.sensor for match in explanation.told.matches} == {"s1"}
    assert {shown.look.match.sensor for shown in explanation.shown} == {"s1"}


def test_a_match_that_joined_later_is_not_in_it(world: World) -> None:
    """It belongs to the incident by now, but the message knew neither its scene nor its cell."""
    late = world.matches()[0].model_copy(update={"item_id": "later", "physical_key": "later"})
    with transaction(world.engine) as session:
        world.incident_rows(session, stable_id("other"), [late])
        session.flush()
        row = session.get(MatchRow, stable_id(stable_id("other"), late.cell, "later"))
        row.incident_id = stable_id("incident")
    known = told(world.engine, world.alert())
    assert "later" not in {match.item_id for match in known.matches} and len(known.matches) == 4


@pytest.mark.parametrize(("status", "why"), [(404, "HTTP 404"), (503, "HTTP 503"), (403, "HTTP 403")])
def test_scenes_that_cannot_be_had_are_left_out_with_the_reason(
    world: World, file_server: FileServer, status: int, why: str
) -> None:
    file_server.status["s2-fire/B08.tif"] = status
    explanation = world.explain()
    assert {picture.name for picture in explanation.pictures} == {"map.png", *(f"{cell}-s1.png" for cell in CELLS)}
    assert len(explanation.left_out) == 2 and all(why in reason for reason in explanation.left_out)
    assert {one.sensor for one in explanation.occlusions} == {"s1"}
    made = json.loads(unzipped(bundle(explanation, "a@b"))["provenance.json"])
    gone = [one for one in made["shown"] if one["sensor"] == "s2"]
    assert all(one["picture"] is None and "asset B08" in one["left_out"] for one in gone)


def test_a_truncated_scene_from_before_leaves_the_picture_of_now(world: World, file_server: FileServer) -> None:
    path = file_server.folder / "s2-old" / "B04.tif"
    path.write_bytes(path.read_bytes()[:3000])
    explanation = world.explain()
    assert f"{CELLS[0]}-s2.png" in {picture.name for picture in explanation.pictures}
    (reason,) = [one for one in explanation.left_out if CELLS[0] in one]
    assert reason.startswith(f"look from before of {CELLS[0]} by s2: item s2-old: asset B04")
    missing = next(one for one in explanation.occlusions if (one.cell, one.sensor) == (CELLS[0], "s2"))
    assert missing.method == "missing" and missing.before is None
    assert missing.groups[0].name == "short-wave infrared" and missing.groups[0].share is None


def test_another_release_takes_no_bands_apart_and_says_so(world: World) -> None:
    world.encoder.release = "fake-2"
    explanation = world.explain()
    assert explanation.occlusions == ()
    assert any("matched by release fake-1, loaded is fake-2" in reason for reason in explanation.left_out)
    assert len(explanation.pictures) == 5


def test_without_an_encoder_the_reason_is_told(world: World) -> None:
    explanation = world.explain(encoder=None, no_encoder="closp-rn is not on this machine")
    assert any("closp-rn is not on this machine" in reason for reason in explanation.left_out)


def test_time_that_is_up_leaves_pictures_out(world: World) -> None:
    explanation = world.explain(settings=EvidenceSettings(deadline_s=1e-9))
    assert [picture.name for picture in explanation.pictures] == ["map.png"]
    assert all("no time left" in reason for reason in explanation.left_out)


def test_no_pixels_reads_nothing(world: World, file_server: FileServer) -> None:
    file_server.requests.clear()
    explanation = explain(world.sources(), world.alert(), pixels=False)
    assert explanation.pictures == () and explanation.occlusions == () and file_server.requests == []
    assert explanation.lookalikes and "pictures/" not in " ".join(unzipped(bundle(explanation, "a@b")))


def test_an_acquisition_that_the_ledger_forgot_is_said(world: World) -> None:
    with transaction(world.engine) as session:
        session.delete(session.get(AcquisitionRow, world.acquisitions["s2-fire"].acquisition_id))
    assert any("is not in the ledger" in reason for reason in world.explain().left_out)


def test_lookalikes_come_with_what_people_said(world: World) -> None:
    """Another place, far away and earlier, that was alerted and judged."""
    there = "31TDK2098"
    old = world.acquisition("s2-elsewhere", -40, world.acquisitions["s2-fire"].assets, relative_orbit=36)
    world.archive.add(old, there, world.vector(world.acquisitions["s2-fire"]))
    match = world.matches()[2].model_copy(
        update={
            "cell": there,
            "item_id": old.item_id,
            "physical_key": old.physical_key,
            "sensing_at": old.sensing_at,
            "acquisition_id": old.acquisition_id,
        }
    )
    said = Verdict(
        verdict_id=stable_id("verdict"),
        alert_id=stable_id("other alert"),
        incident_id=stable_id("elsewhere"),
        query_id=QUERY,
        answer=Answer.FALSE,
        reason=Reason.AGRICULTURE,
        person="Ada",
        given_at=FIRE,
    )
    with transaction(world.engine) as session:
        world.incident_rows(session, said.incident_id, [match])
        fields = said.model_dump(include={"verdict_id", "alert_id", "incident_id", "query_id", "given_at"})
        session.add(VerdictRow(**fields, answer=said.answer.value, message=said.model_dump_json()))
    explanation = world.explain()
    mine = next(one for one in explanation.lookalikes if one.sensor == "s2")
    assert mine.nearest[0].cell == there and mine.nearest[0].alerted == ("burn scar",)
    (verdict,) = mine.nearest[0].verdicts
    assert (verdict.answer, verdict.reason, verdict.person, verdict.same_query) == ("false", "agriculture", "Ada", True)
    assert [one.cell for one in mine.judged] == [there]
    assert not {one.cell for one in mine.nearest if one.sensing_at >= FIRE} & set(CELLS)  # never the incident itself
    assert any("judged false (agriculture) by Ada for “burn scar”" in line for line in lines(explanation))
    radar = next(one for one in explanation.lookalikes if one.sensor == "s1")
    assert radar.judged == ()


def test_the_words_say_scores_thresholds_and_bands(world: World) -> None:
    text = "\n".join(lines(world.explain()))
    assert "burn scar: confirmed, 2 cells of 1 km" in text
    assert "it had to pass 0.020 (now 0.020, from 500 scores, basis archive, 90 % between 0.010 and 0.040)" in text
    assert "near infrared +" in text and "SIMULATED" not in text


def test_rarity_and_the_other_sensor_are_said_where_the_alert_knows_them(world: World) -> None:
    alert = world.alert()
    other = OtherSensor(
        sensor="s1",
        saw="not matched",
        looked_at=datetime(2026, 7, 2, 16, 58, tzinfo=UTC),
        item_id="s1-fire",
        next_expected_at=datetime(2026, 7, 8, 16, 58, tzinfo=UTC),
        passes=7,
    )
    rare = alert.incident.model_copy(update={"expected_every_days": 63.0})
    fuller = alert.model_copy(update={"incident": rare, "other_sensor": other})
    text = "\n".join(lines(explain(world.sources(), fuller, pixels=False)))
    assert "as strong a match is to be expected once in 9 weeks" in text
    assert "Sentinel-1 radar looked on 2026-07-02 16:58 UTC and did not match" in text
    assert "next expected about 2026-07-08 16:58 UTC" in text
    plain = "\n".join(lines(explain(world.sources(), alert, pixels=False)))
    assert "once in" not in plain and "next expected" not in plain


def test_hostile_words_reach_no_terminal(world: World) -> None:
    alert = world.alert().model_copy(update={"query": "burn\x1b[31m scar"})
    said = lines(explain(world.sources(), alert, pixels=False))
    assert all(letter.isprintable() for line in said for letter in line)


@pytest.mark.parametrize("name", ["", "abc", "ffffffff-0000", "zzzz"])
def test_an_unknown_alert_is_not_found(world: World, name: str) -> None:
    with pytest.raises(NotFound, match="there is no alert"):
        find_alert(world.engine, name)


def test_an_unknown_message_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="has no message 9"):
        find_alert(world.engine, str(stable_id("alert")), sequence=9)


def test_the_bundle_is_written_whole(world: World, tmp_path: Path) -> None:
    path = path_of(tmp_path / "data", world.alert())
    write(path, b"zip")
    assert path.read_bytes() == b"zip" and [one.name for one in path.parent.iterdir()] == [path.name]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out"):
        write(tmp_path / "file" / "a.zip", b"zip")


def test_pictures_for_messages_are_few_and_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EvidenceSettings(mail_cells=1)
    draw = artist(world.engine, lambda: world.archive, settings, EncoderSettings(threads=2))
    drawn = draw(world.alert())
    assert [picture.name for picture in drawn] == [f"{CELLS[0]}-s2.png", "map.png", f"{CELLS[0]}-s1.png"]
    assert all(isinstance(picture, Picture) and picture.png.startswith(b"\x89PNG") for picture in drawn)
    room = len(drawn[0].png) + len(drawn[1].png)
    assert within(drawn, room) == drawn[:2] and within(drawn, 0) == []
    monkeypatch.setattr(explain_module, "read", lambda wanted, *_: dict.fromkeys(wanted, "host is down"))
    assert draw(world.alert()) == drawn, "a message is drawn once, for all its receivers"
    monkeypatch.setattr("alerts.evidence.enclosed.KEPT", 1)
    following = world.alert().model_copy(update={"sequence": 9})
    assert [picture.name for picture in draw(following)] == ["map.png"]
    assert [picture.name for picture in draw(world.alert())] == ["map.png"], "only the latest are kept"


def test_the_bundle_for_messages_has_the_same_few_pictures(world: World) -> None:
    settings = EvidenceSettings(mail_cells=0, lookalikes=0)
    pack = packer(world.engine, lambda: world.archive, settings, EncoderSettings(threads=2), "a@b")
    files = unzipped(pack(world.alert()))
    made = json.loads(files["provenance.json"])
    assert [name for name in files if name.endswith(".png")] == ["pictures/map.png"]
    assert (made["occlusion"], made["lookalikes"], made["encoder_release"]) == ([], [], None)


@pytest.mark.parametrize("there", [True, False])
def test_what_a_catalogue_signs_its_hrefs_with_stays_out_of_the_bundle(
    world: World, file_server: FileServer, there: bool
) -> None:
    with transaction(world.engine) as session:
        for row in session.scalars(select(AcquisitionRow)):
            message = json.loads(row.message)
            for asset in message["assets"].values():
                name = asset["href"] if there else f"{asset['href']}.gone"
                asset["href"] = f"{name}?id=7&X-Amz-Signature=opensesame&token=opensesame"
            row.message = json.dumps(message)
    explanation = world.explain()
    assert bool(explanation.left_out) is not there
    files = unzipped(bundle(explanation, "duty@example.org"))
    assert [name for name, content in files.items() if b"opensesame" in content] == []
    hrefs = [
        asset["href"]
        for one in json.loads(files["provenance.json"])["acquisitions"]
        for asset in one["assets"].values()
    ]
    assert hrefs and all(href.endswith("?id=7") for href in hrefs)


@pytest.mark.parametrize(
    ("href", "shown"),
    [
        ("https://example.org/B08.tif", "https://example.org/B08.tif"),
        ("https://user:pw@example.org:8443/B08.tif?x=1", "https://example.org:8443/B08.tif?x=1"),
        ("https://example.org/B08.tif?Signature=a&Expires=1&uuid=u", "https://example.org/B08.tif?uuid=u"),
        (
            "https://a.blob.core.windows.net/c/B08.tif?sv=1&sig=a%2Bb&se=2&sp=r",
            "https://a.blob.core.windows.net/c/B08.tif",
        ),
        ("s3://bucket/a key/B08.jp2", "s3://bucket/a key/B08.jp2"),
        ("https://[broken/B08.tif?sig=a", "https://[broken/B08.tif"),
    ],
)
def test_hrefs_are_shown_without_what_opens_a_door(href: str, shown: str) -> None:
    assert unsigned(href) == shown
