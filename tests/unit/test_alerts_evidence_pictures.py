"""Pictures: before and after alike, colours that mean what they say, maps at the edges of the world."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from alerts.evidence import colours
from alerts.evidence.canvas import Canvas
from alerts.evidence.cell_scores import cell_scores, to_features
from alerts.evidence.chips import Seen
from alerts.evidence.looks import best_matches, clear_before
from alerts.evidence.plates import plate
from alerts.evidence.score_map import PANEL, STATES, score_map, view_of
from alerts.incidents.announce import outline
from alerts.places import centres
from encoders.bands import BANDS
from schemas.cells import cell_at
from schemas.geometry import to_geojson
from schemas.messages import (
    Acquisition,
    Alert,
    CellState,
    Chip,
    Embedding,
    Incident,
    IncidentState,
    Match,
    Mode,
    stable_id,
)

NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)
CELL = cell_at(14.5, 41.2).id


def acquisition(sensor: str = "s2", **more) -> Acquisition:
    moments = dict.fromkeys(("sensing_at", "processed_at", "published_at", "seen_at"), NOW)
    fields = {
        "acquisition_id": stable_id(sensor),
        "physical_key": "key",
        "source": "test",
        "collection": "c",
        "item_id": "S1C_IW_GRDH_1SDV_20260525T165807_20260525T165832_010376_011BB8_rtc",
        "sensor": sensor,
        "footprint": {},
        "assets": {},
        "allowed_hosts": (),
    }
    return Acquisition(**{**fields, **moments, **more})


def seen(bands: dict[str, float | np.ndarray], sensor: str = "s2", **more) -> Seen:
    pixels = np.full((len(BANDS[sensor]), 120, 120), np.nan, np.float32)
    for band, value in bands.items():
        pixels[BANDS[sensor].index(band)] = value
    chip = Chip(cell=CELL, state=CellState.SEEN, valid_fraction=1, cloud_fraction=0.09)
    return Seen(acquisition(sensor, **more), pixels, chip, tuple(bands))


def match(cell: str = CELL, sensor: str = "s2", score: float = 0.5, **more) -> Match:
    fields = {
        "query_id": stable_id("q"),
        "query_version": 1,
        "acquisition_id": stable_id(sensor),
        "physical_key": "key",
        "item_id": "item",
        "sensing_at": NOW,
        "presence": score,
        "threshold": 0.1,
        "baseline_count": 3,
    }
    return Match(cell=cell, sensor=sensor, score=score, **{**fields, **more})


def alert(cells: list[str], **more) -> Alert:
    incident = Incident(
        incident_id=stable_id("i"),
        query_id=stable_id("q"),
        query_version=1,
        state=IncidentState.OPENED,
        cells=tuple(cells),
        sensors=("s2",),
        item_ids=("item",),
        first_sensing_at=NOW,
        last_sensing_at=NOW,
        opened_at=NOW,
        score=0.5,
    )
    fields = {
        "alert_id": stable_id("a"),
        "sequence": 1,
        "kind": IncidentState.OPENED,
        "query": "a burn scar " * 30,
        "mode": Mode.PRESENCE,
        "geometry": to_geojson(outline(cells)),
        "matches": (),
        "sent_at": NOW,
    }
    return Alert(incident=incident, **{**fields, **more})


def pixels_of(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


RAMP = np.linspace(0, 1, 120 * 120, dtype=np.float32).reshape(120, 120)


def test_the_same_reflectance_is_the_same_colour_before_and_after():
    """The burn is dark in both, whatever else there is: each on its own would have been stretched to full contrast."""
    before = seen({"B02": 0.3 * RAMP, "B03": 0.3 * RAMP, "B04": 0.3 * RAMP})
    after = seen({"B02": 0.02, "B03": 0.02, "B04": 0.02})
    first, second = colours.true_colour([before, after])
    same = np.argmin(np.abs(0.3 * RAMP - 0.02))
    assert np.abs(first.reshape(-1, 3)[same].astype(int) - second[0, 0]).max() <= 2
    assert second.max() < 80 and first.max() > 240


def test_a_cloud_in_a_corner_does_not_make_the_ground_black():
    land = 0.02 + 0.08 * RAMP
    cloudy = land.copy()
    cloudy[:30, :30] = 0.9
    clear, clouded = colours.true_colour([seen(dict.fromkeys(("B02", "B03", "B04"), one)) for one in (land, cloudy)])
    assert clear.mean() > 90 and clouded[:30, :30].min() == 255


def test_no_data_is_grey_and_never_black():
    holed = RAMP.copy()
    holed[:20] = np.nan
    (picture,) = colours.true_colour([seen(dict.fromkeys(("B02", "B03", "B04"), holed))])
    assert (picture[:20] == colours.NO_DATA).all()
    (nothing,) = colours.radar([seen({"VV": np.full((120, 120), np.nan), "VH": np.nan}, "s1")])
    assert (nothing == colours.NO_DATA).all()


def test_radar_change_is_red_where_it_got_darker_and_cyan_where_brighter():
    before, after = seen({"VV": 0.1, "VH": 0.02}, "s1"), seen({"VV": 0.01, "VH": 0.2}, "s1")
    darker, brighter = (colours.radar_change(before, after, band)[60, 60].astype(int) for band in ("VV", "VH"))
    assert darker[0] > darker[1] + 50 and darker[1] == darker[2]
    assert brighter[0] < brighter[1] - 50 and brighter[1] == brighter[2]


def test_index_change_is_red_where_it_burnt_and_blue_where_it_is_wetter():
    before = seen({"B08": 0.35, "B12": 0.1})
    burnt = colours.index_change(before, seen({"B08": 0.1, "B12": 0.3}))[0, 0].astype(int)
    wetter = colours.index_change(before, seen({"B08": 0.35, "B12": 0.01}))[0, 0].astype(int)
    assert burnt[0] > burnt[2] + 80 and wetter[2] > wetter[0] + 30
    assert colours.index_change(before, before)[0, 0].tolist() == [247, 247, 247]


def test_reflectance_change_is_the_mean_over_common_bands():
    change, top = colours.reflectance_change(seen({"B02": 0.1, "B03": 0.1}), seen({"B02": 0.5, "B03": 0.1, "B04": 9}))
    assert top == pytest.approx(np.sqrt(0.4**2 / 2), rel=1e-5) and (change == change[0, 0]).all()


def test_speckle_is_averaged_in_power_and_no_data_does_not_spread():
    power = np.ones((9, 9), np.float32)
    power[4, 4], power[0, 0] = 10, np.nan
    smooth = colours.smoothed(power)
    assert smooth[4, 4] == pytest.approx(2) and np.isnan(smooth[0, 0]) and smooth[1, 1] == 1


FULL = dict.fromkeys(("B02", "B03", "B04", "B08", "B12"), RAMP)


@pytest.mark.parametrize(
    ("sensor", "bands"),
    [("s2", FULL), ("s2", {"B02": RAMP}), ("s2", {"B04": RAMP, "B8A": RAMP, "B11": RAMP}), ("s1", {"VV": RAMP + 0.1})],
)
@pytest.mark.parametrize("pair", [True, False])
def test_any_bands_make_a_plate(sensor: str, bands: dict, pair: bool):
    look = seen(bands, sensor)
    made = plate(alert([CELL]), match(sensor=sensor), look, look if pair else None, "" if pair else "nothing earlier")
    assert made.name == f"{CELL}-{sensor}.png" and pixels_of(made.png).shape[1] >= 390
    assert ("before" in made.caption) == pair or "nothing earlier" in made.caption


def test_simulated_scenes_say_so_on_the_picture():
    real, made_up = (
        plate(alert([CELL], simulated=simulated), match(), seen(FULL, simulated=simulated), None, "none")
        for simulated in (False, True)
    )
    assert made_up.caption.startswith("Simulated.") and not real.caption.startswith("Simulated")
    assert (pixels_of(made_up.png) != pixels_of(real.png)).any()


def test_long_and_hostile_words_stay_on_the_paper():
    canvas = Canvas(200, 40)
    canvas.words((10, 10), "burn\x00\x1b scar " * 50, 20, width=180)
    assert (pixels_of(canvas.png())[:, 195:] == 255).all()


def test_the_best_cells_of_both_sensors_take_turns():
    names = [cell_at(14.5 + 0.02 * i, 41.2).id for i in range(4)]
    found = [
        match(names[0], "s1", 0.9),
        match(names[1], "s1", 0.8),
        match(names[2], "s2", 0.3),
        match(names[0], "s2", 0.2),
    ]
    shown = best_matches(sorted(found, key=lambda one: -one.score), 2)
    assert [(one.cell, one.sensor) for one in shown] == [(names[2], "s2"), (names[0], "s2"), (names[0], "s1")]
    assert best_matches([], 3) == []


def point(day: int, cloud: float) -> Embedding:
    moment = NOW.replace(day=day)
    return Embedding(
        point_id=stable_id(day),
        cell=CELL,
        sensor="s2",
        sensing_at=moment,
        physical_key=str(day),
        acquisition_id=stable_id(day),
        processed_at=moment,
        source="s",
        collection="c",
        item_id=str(day),
        release="r",
        lon=14.5,
        lat=41.2,
        valid_fraction=1,
        cloud_fraction=cloud,
    )


def test_before_is_the_last_clear_look_before_the_incident():
    looks = [point(3, 0.0), point(8, 0.02), point(12, 0.3), point(20, 0.0)]
    assert clear_before(looks, NOW.replace(day=15), 0.05).item_id == "8"
    assert clear_before(looks[2:], NOW.replace(day=15), 0.05).item_id == "12"  # none is clear: the clearest
    assert clear_before([point(3, 0.3), point(8, 0.3)], NOW.replace(day=15), 0.05).item_id == "8"
    assert clear_before(looks, NOW.replace(day=2), 0.05) is None


def test_cells_are_scored_once_per_sensor_by_their_best():
    other = cell_at(14.6, 41.2).id
    scores = cell_scores([match(score=0.2), match(score=0.6), match(other, score=0.3), match(sensor="s1", score=0.1)])
    assert [(one.cell, one.sensor, one.best.score, one.matches) for one in scores] == [
        (CELL, "s1", 0.1, 1),
        (CELL, "s2", 0.6, 2),
        (other, "s2", 0.3, 1),
    ]
    features = to_features(scores)["features"]
    assert features[1]["properties"]["score"] == 0.6 and features[1]["geometry"]["type"] == "Polygon"
    assert to_features([])["features"] == []


@pytest.mark.parametrize(("lon", "lat"), [(14.5, 41.2), (179.99, -16.5), (-179.995, 66.0), (25.0, 78.0), (-70, -54)])
def test_a_map_shows_its_cells_wherever_they_lie(lon: float, lat: float):
    cells = list(dict.fromkeys(cell_at(lon + dx, lat + dy).id for dx in (0, 0.02, 0.04) for dy in (0, 0.02)))
    view = view_of(cells)
    places = view.place(centres(cells))
    assert (places > 0).all() and (places < PANEL).all() and view.km < 30
    made = score_map(alert(cells), cell_scores([match(cell) for cell in cells]), {"s2": {}}, cells[:1], view)
    picture = pixels_of(made.png)
    assert ((picture == (128, 0, 38)).all(axis=-1)).sum() > 200  # the highest score's colour


def test_north_is_up_and_east_is_right():
    south_west, north_east = cell_at(14.5, 41.2).id, cell_at(14.6, 41.3).id
    places = view_of([south_west, north_east]).place(centres([south_west, north_east]))
    assert places[0, 0] < places[1, 0] and places[0, 1] > places[1, 1]


def test_what_was_not_seen_is_not_drawn_like_what_was():
    near = cell_at(14.515, 41.2).id
    shown = {}
    for state in (CellState.SEEN, CellState.OBSCURED, CellState.NOT_ACQUIRED):
        made = score_map(alert([CELL]), cell_scores([match()]), {"s2": {near: state}}, [], view_of([CELL]))
        shown[state] = pixels_of(made.png)[200:500]
    assert (shown[CellState.SEEN] != shown[CellState.OBSCURED]).any()
    assert ((shown[CellState.OBSCURED] == STATES[CellState.OBSCURED][0]).all(axis=-1)).sum() > 1000
    assert ((shown[CellState.NOT_ACQUIRED] == STATES[CellState.SEEN][0]).all(axis=-1)).sum() == 0


def test_a_large_incident_fits_a_message():
    cells = [f"{cell_at(14.5, 41.2).square}{east:02d}{north:02d}" for east in range(60) for north in range(60)]
    made = score_map(alert(cells), cell_scores([match(cell) for cell in cells]), {}, [], view_of(cells))
    assert len(made.png) < 300_000
