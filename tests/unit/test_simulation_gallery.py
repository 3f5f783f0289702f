"""Contact sheets: pictures have the right shape, titles are drawn, and the file can be opened."""

import builtins
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import SettingsError, UsageError
from simulation.chips import make_chips
from simulation.gallery import (
    GAP,
    HEADER,
    MARGIN,
    SIDE,
    Row,
    centred,
    contact_sheet,
    false_colour,
    lookalike_rows,
    pick,
    radar_colour,
    series_rows,
    true_colour,
    write_sheet,
)

GREY = np.full((SIDE, SIDE, 3), 128, np.uint8)


def test_pictures_of_chips_are_bytes() -> None:
    optical, radar = make_chips(2, seed=5, sensor="s2"), make_chips(1, seed=5, sensor="s1")
    for picture in (true_colour(optical.pixels[0]), false_colour(optical.pixels[0]), radar_colour(radar.pixels[0])):
        assert picture.shape == (120, 120, 3) and picture.dtype == np.uint8 and picture.std() > 2


def test_the_fullest_chips_are_picked_first() -> None:
    chips = make_chips(30, seed=5, sensor="s1")
    trees = chips.fractions[pick(chips, "Trees", 5), 1]
    assert len(trees) > 2 and list(trees) == sorted(trees, reverse=True)


def test_the_sheet_is_a_png_with_titled_rows_for_labels(tmp_path: Path) -> None:
    titles = contact_sheet(tmp_path / "sheet.png", columns=2, draw=14, seed=5)
    assert "Water: radar" in titles and "Trees: true colour" in titles
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        planes = np.asarray(image)
    step = SIDE + GAP
    assert planes.shape == (HEADER + len(titles) * step, MARGIN + 2 * step, 3)
    assert planes[HEADER : HEADER + SIDE, MARGIN : MARGIN + SIDE].std() > 2
    for row in range(len(titles)):  # dark letters on white, in every row's margin
        margin = planes[HEADER + row * step : HEADER + (row + 1) * step, :MARGIN]
        assert margin.min() < 100 and margin.max() == 255


def test_real_chips_stand_to_the_right_and_are_cut_to_the_same_size(tmp_path: Path) -> None:
    real = np.full((13, 300, 200), 0.29, np.float32)
    real[:, 0] = np.nan
    titles = contact_sheet(
        tmp_path / "sheet.png", columns=2, draw=14, seed=5, labels=("Trees",), real={("Trees", "s2"): [real]}
    )
    assert titles == ["Trees: true colour", "Trees: false colour", "Trees: radar"]
    planes = np.asarray(Image.open(tmp_path / "sheet.png"))
    left = MARGIN + 2 * (SIDE + GAP) + 4 * GAP
    assert planes.shape[1] == left + SIDE + GAP
    assert planes[HEADER : HEADER + SIDE, left : left + SIDE].min() > 240  # 0.29 of at most 0.3
    assert planes[HEADER + 2 * (SIDE + GAP) :, left:].min() == 255  # no real radar


def test_small_and_large_pictures_are_centred() -> None:
    assert np.isnan(centred(np.zeros((2, 50, 130), np.float32))[:, 50:]).all()
    large = np.arange(300 * 300, dtype=np.float32).reshape(1, 300, 300)
    assert centred(large)[0, 0, 0] == large[0, 90, 90] and centred(large).shape == (1, 120, 120)


def test_products_without_b08_are_shown_with_b8a() -> None:
    pixels = make_chips(1, seed=5, sensor="s2").pixels[0]
    pixels[7] = np.nan
    assert false_colour(pixels)[..., 1].std() > 2


def test_lookalikes_and_series_have_rows_for_each_sensor_that_has_them() -> None:
    rows = lookalike_rows(("wet snow", "ploughed"), seed=5, columns=2)
    assert [row.title for row in rows] == [
        "wet snow: look-alike, radar",
        "ploughed: look-alike, true colour",
        "ploughed: look-alike, false colour",
        "ploughed: look-alike, radar",
    ]
    cloud = series_rows(("cloud",), seed=5, columns=3)
    assert len(cloud) == 2 and all(len(row.simulated) == 3 for row in cloud)


def test_names_that_do_not_exist_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label is called 'Lava': choose from Water"):
        contact_sheet(tmp_path / "sheet.png", labels=("Lava",))
    with pytest.raises(UsageError, match="no look-alike is called 'ufo': choose from ploughed"):
        lookalike_rows(("ufo",), seed=5, columns=2)
    with pytest.raises(UsageError, match="no series of s2 is called 'ufo'"):
        series_rows(("ufo",), seed=5, columns=2)


def test_a_sheet_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/sheet\.png cannot be written: No such file"):
        write_sheet(tmp_path / "nowhere" / "sheet.png", [Row("Trees: radar", [GREY])])
    with pytest.raises(UsageError, match="nothing to show"):
        write_sheet(tmp_path / "sheet.png", [])


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "PIL":
            raise ImportError("No module named 'PIL'", name="PIL")
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match=r"pip install 'tocsin\[training\]'"):
        write_sheet(tmp_path / "sheet.png", [Row("Trees: radar", [GREY])])
