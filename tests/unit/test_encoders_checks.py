"""The door of every encoder: what cannot be embedded is refused by name."""

import numpy as np
import pytest

from encoders.checks import check_pixels, check_sentences
from schemas.errors import Rejected


def s2(n: int = 2) -> np.ndarray:
    return np.full((n, 13, 64, 64), 0.2, dtype=np.float32)


def s1(n: int = 2) -> np.ndarray:
    return np.full((n, 2, 64, 64), 0.05, dtype=np.float32)


def test_all_bands_are_read_by_default() -> None:
    assert check_pixels(s2(), "s2", None).tolist() == [True] * 13
    assert check_pixels(s1(), "s1", None).tolist() == [True, True]


def test_present_bands_select_planes_in_any_order() -> None:
    mask = check_pixels(s2(), "s2", ["B12", "B02"])
    assert np.flatnonzero(mask).tolist() == [1, 12]


def test_empty_batch_is_fine() -> None:
    assert check_pixels(s2(0), "s2", None).all()


@pytest.mark.parametrize(
    ("pixels", "sensor", "bands", "message"),
    [
        (s2(), "landsat", None, "unknown sensor 'landsat'"),
        (s2(), "s2", ["B02", "B13"], "unknown s2 band 'B13'"),
        (s1(), "s1", ["B02"], "unknown s1 band 'B02'"),
        (s2(), "s2", [], "present_bands is empty"),
        (s1(), "s1", "VV", "present_bands is the string 'VV'"),
        (s2().astype(np.float64), "s2", None, "pixels are float64"),
        (np.full((1, 13, 64, 64), 2000, dtype=np.uint16), "s2", None, "pixels are uint16"),
        ([[0.1]], "s2", None, "pixels are list"),
        (s2()[:, :12], "s2", None, r"s2 needs \(n, 13, h, w\)"),
        (s2()[0], "s2", None, r"shape \(13, 64, 64\)"),
        (s1(), "s2", None, r"s2 needs \(n, 13, h, w\)"),
        (s2()[..., :16], "s2", None, "chips of 64 x 16 px: at least 32"),
        (s2() * 10000, "s2", None, "median 2000 is not reflectance"),
        (10 * np.log10(s1()), "s1", None, "look like decibels"),
    ],
)
def test_refusals(pixels: np.ndarray, sensor: str, bands: list[str] | None, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        check_pixels(pixels, sensor, bands)


def test_chip_without_a_valid_pixel_is_named() -> None:
    pixels = s2(3)
    pixels[1] = np.nan
    with pytest.raises(Rejected, match="chip 1 has no valid pixel"):
        check_pixels(pixels, "s2", None)


def test_values_of_absent_bands_do_not_count_as_valid() -> None:
    pixels = s1()
    pixels[0, 0] = np.nan
    with pytest.raises(Rejected, match="chip 0 has no valid pixel"):
        check_pixels(pixels, "s1", ["VV"])
    assert check_pixels(pixels, "s1", ["VH"]).tolist() == [False, True]


def test_one_valid_pixel_off_the_sampled_rows_is_enough() -> None:
    pixels = np.full((1, 13, 64, 64), np.nan, dtype=np.float32)
    pixels[0, 3, 33, 35] = 0.1
    assert check_pixels(pixels, "s2", None).all()


def test_infinite_values_count_as_no_data() -> None:
    pixels = s2(1)
    pixels[:] = np.inf
    with pytest.raises(Rejected, match="no valid pixel"):
        check_pixels(pixels, "s2", None)


@pytest.mark.parametrize("sentences", [["flood", " \n"], [""]])
def test_blank_sentence(sentences: list[str]) -> None:
    with pytest.raises(Rejected, match=f"sentence {len(sentences) - 1} is blank"):
        check_sentences(sentences)


@pytest.mark.parametrize("sentences", ["flood", [b"flood"], [None]])
def test_not_a_list_of_sentences(sentences: object) -> None:
    with pytest.raises(Rejected, match="list of sentences"):
        check_sentences(sentences)  # type: ignore[arg-type]
