"""Messages survive the way through Kafka, and what is none is refused with the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.errors import MalformedMessage
from schemas.export import exported
from schemas.messages import Acquisition, Asset, EmbeddingBatch, stable_id, utc
from schemas.topics import TOPICS

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def acquisition(**changes: object) -> Acquisition:
    fields: dict[str, object] = {
        "acquisition_id": stable_id("c", "i", NOON),
        "physical_key": "s2/33TWN/2026-06-01T12:00:00",
        "processed_at": NOON,
        "source": "test",
        "collection": "sentinel-2-c1-l2a",
        "item_id": "S2C_33TWN",
        "sensor": "s2",
        "sensing_at": NOON,
        "published_at": NOON,
        "seen_at": NOON,
        "footprint": {"type": "Polygon", "coordinates": []},
        "tile": "33TWN",
        "assets": {"B02": Asset(href="https://example.org/B02.tif")},
        "allowed_hosts": ("example.org",),
    }
    return Acquisition.model_validate(fields | changes)


def batch(n: int = 2) -> EmbeddingBatch:
    vectors = np.random.default_rng(0).standard_normal((n, 384)).astype(np.float32)
    return EmbeddingBatch(
        acquisition=acquisition(),
        release="r-1",
        batch=0,
        batches=1,
        cells=tuple(f"33TWN45{i:02d}" for i in range(n)),
        vectors=vectors,
        baselines=np.zeros_like(vectors),
        baseline_counts=(0,) * n,
    )


def test_a_batch_comes_back_bit_for_bit() -> None:
    sent = batch()
    got = EmbeddingBatch.from_bytes(sent.to_bytes())
    assert got.vectors.tobytes() == sent.vectors.tobytes()
    assert got.acquisition == sent.acquisition
    assert not got.vectors.flags.writeable


def test_a_full_batch_fits_kafkas_default_limit() -> None:
    assert len(batch(128).to_bytes()) < 900_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(schema_version=2), "schema_version"),
        (lambda m: m.pop("release"), "release"),
        (lambda m: m.update(cells=["33TWN4500"]), "1 cells"),
        (lambda m: m["vectors"].update(shape=[2, 5]), "vectors"),
        (lambda m: m["vectors"].update(dtype="object"), "vectors"),
        (lambda m: m["vectors"].update(base64="%%%"), "vectors"),
        (lambda m: m["acquisition"].update(sensing_at="2026-06-01T12:00:00"), "sensing_at"),
    ],
)
def test_a_bad_message_names_the_field(change, says: str) -> None:  # type: ignore[no-untyped-def]
    message = json.loads(batch().to_bytes())
    change(message)
    with pytest.raises(MalformedMessage, match=says):
        EmbeddingBatch.from_bytes(json.dumps(message).encode())


def test_nan_never_travels() -> None:
    vectors = np.full((1, 384), np.nan, np.float32)
    with pytest.raises(ValidationError, match="NaN"):
        EmbeddingBatch.model_validate(
            batch(1).model_dump() | {"vectors": vectors, "baselines": np.zeros((1, 384), np.float32)}
        )


def test_fields_of_a_later_build_are_ignored() -> None:
    message = json.loads(acquisition().to_bytes()) | {"colour": "blue"}
    assert Acquisition.from_bytes(json.dumps(message).encode()) == acquisition()


def test_messages_are_frozen() -> None:
    with pytest.raises(ValidationError):
        acquisition().source = "other"  # type: ignore[misc]


def test_ids_are_the_same_in_every_replay() -> None:
    assert str(stable_id("a", 1)) == str(stable_id("a", "1"))
    assert stable_id("ab", "c") != stable_id("a", "bc")
    assert stable_id("point", "33TWN4512").version == 5


def test_scenes_of_one_place_share_a_key() -> None:
    ring = [[15.0, 45.3], [15.1, 45.3], [15.1, 45.4], [15.0, 45.3]]
    radar = {
        "sensor": "s1",
        "tile": None,
        "relative_orbit": 44,
        "footprint": {"type": "Polygon", "coordinates": [ring]},
    }
    assert acquisition(**radar).key == acquisition(**radar, physical_key="another").key == "33TWL/44"
    assert acquisition().key == "33TWN"
    assert acquisition(tile=None).key == acquisition().physical_key


def test_times_are_written_in_utc() -> None:
    assert utc(NOON) == "2026-06-01T12:00:00.000Z"


def test_topics_have_one_name_each() -> None:
    names = [name for topic in TOPICS for name in topic.all_names]
    assert len(set(names)) == len(names)
    assert "embeddings.dlq.v1" in names


def test_exported_schemas_are_current() -> None:
    folder = Path(__file__).parents[2] / "docs" / "schemas"
    on_disk = {path.name: path.read_text() for path in folder.glob("*.json")}
    assert on_disk == exported(), "run: python -m schemas.export"
