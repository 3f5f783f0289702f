"""Scale, offset and decibels: catalogues lie, dark pixels do not."""

import numpy as np
import pytest

from encoders.offsets import Calibration, Evidence, backscatter, dark_evidence, reflectance

DECLARED, UNDECLARED = Calibration(1e-4, -0.1, 0), Calibration(1e-4, 0.0, 0)


def ground(low: float, high: float, bands: int = 5, plus: int = 0) -> dict[str, np.ndarray]:
    """Counts of bands whose dark pixels begin at `low`, with a bright rest."""
    rng = np.random.default_rng(7)
    names = ("B02", "B03", "B04", "B08", "B12")[:bands]
    return {name: (rng.uniform(low, high, 5000) + plus).astype(np.uint16) for name in names}


def offsets_of(samples: dict[str, np.ndarray], declared: Calibration) -> set[float]:
    return {c.offset for c in reflectance(samples, dict.fromkeys(samples, declared), "ITEM").values()}


@pytest.mark.parametrize("plus, declared, used", [(0, UNDECLARED, 0.0), (1000, DECLARED, -0.1)])
def test_honest_declaration_is_kept(plus: int, declared: Calibration, used: float) -> None:
    assert offsets_of(ground(150, 3000, plus=plus), declared) == {used}


def test_undeclared_offset_is_found() -> None:
    assert offsets_of(ground(150, 3000, plus=1000), UNDECLARED) == {-0.1}


def test_overdeclared_offset_is_dropped() -> None:
    assert offsets_of(ground(150, 3000), DECLARED) == {0.0}


@pytest.mark.parametrize("declared", [DECLARED, UNDECLARED])
def test_bright_scene_is_left_as_declared(declared: Calibration) -> None:
    assert offsets_of(ground(1800, 6000), declared) == {declared.offset}


def test_desert_bright_in_two_bands_is_not_taken_for_an_offset() -> None:
    """Bright soil alone brings two bands near the floor: that is no proof."""
    assert dark_evidence([0.10, 0.137, 0.176, 0.24, 0.28]) is Evidence.UNCLEAR


def test_negative_reflectance_of_overcorrected_water_keeps_its_offset() -> None:
    assert dark_evidence([0.0879, 0.0998, 0.1034, 0.119, 0.127]) is Evidence.UNCLEAR


def test_scene_without_valid_pixels_says_nothing() -> None:
    empty = {name: np.zeros(100, np.uint16) for name in ("B02", "B03", "B04")}
    assert offsets_of(empty, UNDECLARED) == {0.0}


def test_files_declared_otherwise_are_judged_apart() -> None:
    samples = ground(150, 3000, plus=1000) | {"B11": ground(150, 3000, bands=1)["B02"]}
    declared = dict.fromkeys(samples, UNDECLARED) | {"B11": DECLARED}
    checked = reflectance(samples, declared, "ITEM")
    assert checked["B11"].offset == 0.0
    assert checked["B02"].offset == -0.1


def test_corrected_reflectance_equals_the_honest_one() -> None:
    honest = ground(150, 3000)["B02"]
    np.testing.assert_allclose(
        Calibration(1e-4, -0.1, 0).values(honest + np.uint16(1000)), UNDECLARED.values(honest), atol=1e-7
    )


def test_counts_without_scale_are_ten_thousandths() -> None:
    samples = ground(150, 3000)
    assert reflectance(samples, dict.fromkeys(samples, Calibration()), "ITEM")["B02"].scale == pytest.approx(1e-4)


def test_float_reflectance_keeps_its_scale() -> None:
    samples = {name: counts.astype(np.float32) / 1e4 for name, counts in ground(150, 3000).items()}
    assert reflectance(samples, dict.fromkeys(samples, Calibration()), "ITEM")["B02"].scale == 1.0


def test_gaps_become_nan_and_reflectance_is_never_negative() -> None:
    values = DECLARED.values(np.array([0, 900, 1001, 11000, 65535], np.uint16))
    np.testing.assert_allclose(values, [np.nan, 0, 0.0001, 1.0, np.nan], atol=1e-7)


def test_decibels_become_linear_power() -> None:
    power = np.array([0.1, 0.01, 0.2, np.nan], np.float32)
    decibel = {"VV": 10 * np.log10(power), "VH": np.append(10 * np.log10(power[:3] / 5), -32768).astype(np.float32)}
    checked = backscatter(decibel, dict.fromkeys(decibel, Calibration(nodata=-32768)), "ITEM")
    np.testing.assert_allclose(checked["VV"].values(decibel["VV"]), power, rtol=1e-5)
    np.testing.assert_allclose(checked["VH"].values(decibel["VH"]), [0.02, 0.002, 0.04, np.nan], rtol=1e-5)


def test_linear_power_stays_and_what_is_not_positive_is_a_gap() -> None:
    samples = {"VV": np.array([0.1, 0.02, 0.0, -1e-4, np.nan, np.inf], np.float32)}
    checked = backscatter(samples, {"VV": Calibration()}, "ITEM")
    assert not checked["VV"].decibel
    np.testing.assert_allclose(checked["VV"].values(samples["VV"]), [0.1, 0.02, np.nan, np.nan, np.nan, np.nan])
