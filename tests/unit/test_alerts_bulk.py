"""Ten thousand queries in a file: all or none, every fault named, a second time nothing new."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from typer.testing import CliRunner

from alerts import queries
from alerts.bulk import MOST_FAULTS, read_queries, write_queries
from schemas.database import connect, migrate, reading
from schemas.errors import UsageError
from schemas.tables import QueryRow
from tocsin import app

BOX = {"type": "Polygon", "coordinates": [[[14, 45], [15, 45], [15, 46], [14, 46], [14, 45]]]}
CROSSED = {"type": "Polygon", "coordinates": [[[14, 45], [15, 46], [15, 45], [14, 46], [14, 45]]]}


def feature(sentence: object = "flooded fields", geometry: object = BOX, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": {"sentence": sentence, **properties}}


def collection(*features: object, **more: object) -> str:
    return json.dumps({"type": "FeatureCollection", "features": features, **more})


def test_every_property_is_read_and_written_back():
    chip = {"cell": "33TWN4512", "sensor": "s2", "physical_key": "s2/33TWN/20260701"}
    examples = {"like": [chip], "unlike": [{**chip, "cell": "33TWN4513"}]}
    text = collection(
        feature(
            "a", budget="1/month", mode="presence", sensors=["s1"], threshold=0.25, wordings=["b", "c"], **examples
        ),
        feature("d", None),
    )
    one, other = read_queries(text)
    assert (one.sentence, one.mode, one.sensors, one.threshold) == ("a", "presence", ("s1",), 0.25)
    assert (one.budget.alarms, one.budget.per_days, one.wordings) == (1, 30, ("b", "c"))
    assert (other.area, other.sensors, other.mode, other.budget.per_days) == (None, ("s1", "s2"), "appearance", 7)
    again = read_queries(json.dumps(write_queries([one, other])))
    assert [each.cell for each in (*one.like, *one.unlike)] == ["33TWN4512", "33TWN4513"]
    kept = {"sentence", "area", "mode", "sensors", "threshold", "budget", "wordings", "like", "unlike"}
    assert [q.model_dump(include=kept) for q in again] == [q.model_dump(include=kept) for q in (one, other)]


@pytest.mark.parametrize("separator", ["\n", "\n\n", "\r\n", "\n\x1e"])
def test_one_feature_a_line(separator: str):
    text = separator.join(json.dumps(feature(name)) for name in ("a", "b"))
    assert [query.sentence for query in read_queries(text)] == ["a", "b"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (feature(""), "sentence is empty"),
        (feature(7), "'sentence' is 7"),
        (feature(geometry=CROSSED), "not valid"),
        (feature(geometry={"type": "Point", "coordinates": [1, 2]}), "no polygon"),
        (feature(geometry="14,45"), "no GeoJSON geometry"),
        (feature(budget="0/week"), "budget '0/week'"),
        (feature(mode="sudden"), "mode 'sudden'"),
        (feature(sensors=["s3"]), "sensors s3"),
        (feature(sensors="s1"), "list of texts"),
        (feature(threshold="high"), "'threshold' is \"high\""),
        (feature(like=["33TWN4512@item"]), "'like.0'"),
        (feature(unlike=[{"cell": "33TWN4512", "sensor": "s3"}]), "'unlike.0.sensor'"),
        (feature(treshold=0.2), "unknown property 'treshold'"),
        ({"type": "Feature", "geometry": BOX}, "no properties"),
        (BOX, "no Feature"),
        (None, "no Feature"),
    ],
)
def test_a_fault_is_named_with_its_number(bad: object, says: str):
    with pytest.raises(UsageError) as raised:
        read_queries(collection(feature(), bad, feature()))
    assert says in str(raised.value)
    assert "1 of 3 queries cannot be used" in str(raised.value)
    assert "query 2: " in str(raised.value)


def test_a_crs_of_the_whole_file_counts_for_each():
    with pytest.raises(UsageError, match="reproject"):
        read_queries(collection(feature(), crs={"type": "name", "properties": {"name": "EPSG:32633"}}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no query"),
        (collection(), "no query"),
        ("[1]", "no GeoJSON"),
        ('{"type": "Feature"\n}x', "line 1 is no JSON"),
    ],
)
def test_a_file_that_is_none(text: str, says: str):
    with pytest.raises(UsageError, match=says):
        read_queries(text)


def test_many_faults_are_counted():
    with pytest.raises(UsageError) as raised:
        read_queries(collection(*[feature("")] * 50))
    assert str(raised.value).count("sentence is empty") == MOST_FAULTS
    assert f"and {50 - MOST_FAULTS} more" in str(raised.value)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'tocsin.db'}"
    migrate(url)
    return connect(url)


def test_ten_thousand_at_once(engine: Engine):
    wanted = read_queries(collection(*[feature(f"burn scar number {number}") for number in range(10_000)]))
    assert queries.add_new(engine, wanted) == wanted
    assert queries.add_new(engine, wanted) == []
    with reading(engine) as session:
        assert session.execute(select(func.count(), func.max(QueryRow.revision))).one() == (10_000, 10_000)


def test_one_sentence_in_both_modes_is_two_queries(engine: Engine):
    wanted = read_queries(collection(feature("a"), feature("a", mode="presence"), feature("a", sensors=["s1"])))
    assert queries.add_new(engine, wanted) == wanted


def test_by_hand(tmp_path: Path):
    file, run = tmp_path / "queries.geojson", CliRunner()
    file.write_text(collection(feature("a"), feature("b"), feature("b")))
    where = ["--data", str(tmp_path / "data")]
    done = run.invoke(app, ["query", "import", str(file), *where])
    assert done.exit_code == 0
    assert "2 queries registered, 1 stood already" in done.output
    again = run.invoke(app, ["query", "import", str(file), *where, "--json"])
    assert json.loads(again.output)["registered"] == []
    out = run.invoke(app, ["query", "export", *where])
    assert [each["properties"]["sentence"] for each in json.loads(out.output)["features"]] == ["a", "b"]
