"""Contact sheets: pictures have the right shape and the file can be opened."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from simulation.chips import make_chips
from simulation.gallery import contact_sheet, false_colour, mosaic, pick, radar_colour, true_colour


def test_pictures_of_chips_are_bytes() -> None:
    optical, radar = make_chips(2, seed=5, sensor="s2"), make_chips(1, seed=5, sensor="s1")
    for picture in (true_colour(optical.pixels[0]), false_colour(optical.pixels[0]), radar_colour(radar.pixels[0])):
        assert picture.shape == (120, 120, 3) and picture.dtype == np.uint8 and picture.std() > 2
    assert mosaic([[true_colour(p) for p in optical.pixels]]).shape == (124, 248, 3)


def test_the_fullest_chips_are_picked_first() -> None:
    chips = make_chips(30, seed=5, sensor="s1")
    trees = chips.fractions[pick(chips, "Trees", 5), 1]
    assert len(trees) > 2 and list(trees) == sorted(trees, reverse=True)


def test_the_sheet_is_a_png_with_rows_for_labels(tmp_path: Path) -> None:
    titles = contact_sheet(tmp_path / "sheet.png", columns=2, draw=14, seed=5)
    assert "Water: radar" in titles and "Trees: true colour" in titles
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "sheet.png") as picture:
            planes = picture.read()
    assert planes.shape == (3, len(titles) * 124, 248)
    assert planes[:, 122:124].min() == 255 and planes[:, :120, :120].std() > 2
