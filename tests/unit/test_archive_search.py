"""Search by sentence, and hits as GeoJSON."""

from datetime import UTC, datetime

import numpy as np
import pytest
from shapely.geometry import shape

from archive import ArchiveFilter, Hit
from archive.search import search_text, to_features
from schemas.cells import cell_at, cell_of
from schemas.messages import Embedding, stable_id


def hit(lon: float, lat: float, score: float) -> Hit:
    cell = cell_at(lon, lat)
    return Hit(
        Embedding(
            point_id=stable_id(cell.id),
            cell=cell.id,
            sensor="s1",
            sensing_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
            physical_key="scene",
            acquisition_id=stable_id("a"),
            processed_at=datetime(2026, 5, 1, 18, tzinfo=UTC),
            source="pc",
            collection="sentinel-1-rtc",
            item_id="S1C_1",
            platform="sentinel-1c",
            relative_orbit=44,
            release="nano-1",
            lon=cell.centre[0],
            lat=cell.centre[1],
            valid_fraction=1.0,
            cloud_fraction=0.25,
        ),
        score,
    )


def test_features_carry_what_others_rely_on() -> None:
    first, second = hit(14.5, 46.5, 0.123456789), hit(-70.0, -33.0, 0.1)
    collection = to_features([first, second])
    assert collection["type"] == "FeatureCollection"
    feature = collection["features"][0]  # type: ignore[index]
    properties = feature["properties"]
    assert properties["item_id"] == "S1C_1"
    assert properties["cell"] == first.embedding.cell
    assert properties["sensor"] == "s1"
    assert properties["datetime"] == "2026-05-01T12:00:00.000Z"
    assert properties["score"] == pytest.approx(0.123457)
    assert properties["release"] == "nano-1"
    assert properties["relative_orbit"] == 44
    assert properties["cloud_fraction"] == 0.25
    outline = shape(feature["geometry"])
    assert outline.hausdorff_distance(cell_of(first.embedding.cell).polygon) < 1e-5


def test_a_cell_on_the_antimeridian_is_cut_there() -> None:
    feature = to_features([hit(179.9999, -17.0, 0.5)])["features"][0]  # type: ignore[index]
    west, south, east, north = shape(feature["geometry"]).bounds
    assert west >= -180 and east <= 180
    assert north - south < 0.02


def test_no_hits_are_an_empty_collection() -> None:
    assert to_features([]) == {"type": "FeatureCollection", "features": []}


def test_a_sentence_is_searched_among_its_own_release() -> None:
    vector = np.full(384, 384**-0.5, dtype=np.float32)
    asked: list[object] = []

    class Texts:
        release = "nano-1"

        def texts(self, sentences: list[str]) -> np.ndarray:
            asked.append(sentences)
            return vector[None]

    class Hits:
        def search(self, given: np.ndarray, **how: object) -> list[Hit]:
            asked.append((given.tolist(), how))
            return [hit(14.5, 46.5, 0.2)]

    filter = ArchiveFilter(sensors=("s1",))
    hits = search_text(Hits(), Texts(), "flood", filter, 5, 0.1)  # type: ignore[arg-type]
    assert [one.score for one in hits] == [0.2]
    how = {"release": "nano-1", "filter": filter, "limit": 5, "min_score": 0.1}
    assert asked == [["flood"], (vector.tolist(), how)]
