"""How far simulated pixels lie from real ones: the distances, what is compared, and the whole over a feed."""

import json
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import UsageError
from training.distributions import (
    EVERYTHING,
    PIXELS,
    Shown,
    compare,
    distances,
    kolmogorov,
    main,
    sampled,
    simulated_chips,
    wasserstein,
)
from training.measurands import measurands, texture

RNG = np.random.default_rng(3)


def normal(mean: float, spread: float = 1.0, size: int = 4000) -> np.ndarray:
    return RNG.normal(mean, spread, size).astype(np.float32)


def test_a_shift_is_its_own_wasserstein_distance() -> None:
    sample = normal(0.0)
    assert wasserstein(sample, sample + 2) == pytest.approx(2.0, abs=1e-3)
    assert wasserstein(sample, sample) == 0.0


def test_scaling_about_the_mean_moves_by_the_mean_absolute_deviation() -> None:
    assert wasserstein(normal(0.0, 1.0, 40_000), normal(0.0, 2.0, 40_000)) == pytest.approx(
        np.sqrt(2 / np.pi), abs=0.04
    )


def test_kolmogorov_is_the_largest_gap_and_one_for_disjoint_samples() -> None:
    one = np.array([0.0, 1.0, 2.0, 3.0], np.float32)
    assert kolmogorov(one, one) == 0.0
    assert kolmogorov(one, one + 10) == 1.0
    assert kolmogorov(one, np.array([2.0, 3.0, 4.0, 5.0], np.float32)) == pytest.approx(0.5)


def test_indices_are_there_only_if_their_bands_are() -> None:
    pixels = np.full((13, 8, 8), 0.1, np.float32)
    pixels[7] = 0.3
    five = measurands(pixels, "s2", ("B02", "B03", "B04", "B08", "B12"))
    assert set(five) == {"B02", "B03", "B04", "B08", "B12", "NDVI", "NBR", "NDWI"}
    assert five["NDVI"] == pytest.approx(0.5, abs=1e-6)
    assert five["NDWI"] == pytest.approx(-0.5, abs=1e-6)


def test_cirrus_holds_no_ground_and_is_not_compared() -> None:
    assert "B10" not in measurands(np.full((13, 8, 8), 0.1, np.float32), "s2", ("B10", "B11"))


def test_radar_is_compared_in_decibel_and_speckle_has_the_texture_of_its_looks() -> None:
    power = RNG.gamma(4.4, 0.1 / 4.4, (2, 120, 120)).astype(np.float32)
    planes = measurands(power, "s1", ("VV", "VH"))
    assert set(planes) == {"VV", "VH", "VH-VV", "VV texture", "VH texture"}
    assert np.median(planes["VV"]) == pytest.approx(-10.3, abs=0.3)
    assert np.median(planes["VV texture"]) == pytest.approx(1 / np.sqrt(4.4), abs=0.04)
    assert texture(power[0, :3]).size == 0


def test_no_data_is_never_sampled_and_an_empty_band_is_absent() -> None:
    pixels = np.full((13, 10, 10), np.nan, np.float32)
    pixels[3, :2] = 0.2
    values = sampled(pixels, "s2", ("B03", "B04"), np.random.default_rng(0))
    assert set(values) == {"B04"}
    assert values["B04"].shape == (PIXELS,)
    assert (values["B04"] == np.float32(0.2)).all()


def shown(place: str, mean: float, names: tuple[str, ...] = ()) -> Shown:
    return Shown(place, frozenset({EVERYTHING, *names}), {"B08": normal(mean, 0.05), "B04": normal(0.1, 0.05)})


def test_the_band_that_is_wrong_comes_first_and_is_in_units_of_the_real_spread() -> None:
    real = [shown(str(i), 0.3, ("Grass",)) for i in range(6)]
    found = distances(real, [shown(str(i), 0.4, ("Grass",)) for i in range(6)], "s2")
    assert [d.measurand for d in found[:2]] == ["B08", "B08"]
    assert found[0].wasserstein == pytest.approx(2.0, abs=0.1)
    assert found[0].ordinary < 0.2
    assert found[-1].wasserstein < 0.2
    assert found[0].real[1] == pytest.approx(0.3, abs=0.01)


def test_places_that_differ_among_themselves_make_a_distance_ordinary() -> None:
    real = [shown(str(i), 0.2 + 0.1 * i) for i in range(6)]
    nir = next(d for d in distances(real, real, "s2") if d.measurand == "B08")
    assert nir.wasserstein == 0.0
    assert nir.ordinary > 0.3


def test_chips_of_one_place_are_one_place_and_too_few_chips_are_none() -> None:
    alike = distances([shown("here", 0.3) for _ in range(4)], [shown("x", 0.3)], "s2")
    assert alike[0].places == 1
    assert np.isnan(alike[0].ordinary)
    assert distances([shown("a", 0.3), shown("b", 0.3)], [shown("x", 0.3)], "s2") == []


def test_simulated_chips_stand_for_their_cover_and_their_event_and_repeat_by_seed() -> None:
    chips = simulated_chips(30, seed=5, sensor="s2")
    assert len(chips) == 30
    assert all(EVERYTHING in chip.classes for chip in chips)
    assert {"Burned Area", "Trees"} & frozenset().union(*(chip.classes for chip in chips))
    again = simulated_chips(30, seed=5, sensor="s2")
    assert all((a.values["NBR"] == b.values["NBR"]).all() for a, b in zip(chips, again, strict=True))


def test_a_folder_without_labels_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"labels\.parquet"):
        compare(tmp_path)


def test_no_chips_are_wrong_usage(shared: Path) -> None:
    if not (shared / "feed").is_dir():
        pytest.skip(f"needs the feed of real pixels ({shared / 'feed'} is absent)")
    with pytest.raises(UsageError, match="at least one"):
        compare(shared / "feed", chips=0)


def test_both_sensors_are_compared_with_real_pixels(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "feed"
    if not folder.is_dir():
        pytest.skip(f"needs the feed of real pixels ({folder} is absent)")
    monkeypatch.setattr("sys.argv", ["distributions", "--feed", str(folder), "--chips", "8", "--json"])
    main()
    found = json.loads(capsys.readouterr().out)
    assert {d["sensor"] for d in found} == {"s1", "s2"}
    assert {"NBR", "B02", "VH", "VV texture"} <= {d["measurand"] for d in found if d["shows"] == EVERYTHING}
    ranked = [d["wasserstein"] for d in found]
    assert ranked == sorted(ranked, reverse=True)
    assert all(0 <= d["ks"] <= 1 for d in found)
