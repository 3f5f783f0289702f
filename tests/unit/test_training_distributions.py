"""Distances between real and simulated bands, on made arrays."""

import json
from pathlib import Path

import numpy as np
import pytest

from simulation.chips import make_chips
from training import distributions
from training.distributions import compare, groups_of, kolmogorov, like, quantities, sample, wasserstein
from training.feed import LabelledChip


def _chip(labels: set[str], level: str = "item", state: str = "") -> LabelledChip:
    pixels = np.random.default_rng(len(labels)).uniform(0.02, 0.5, (13, 20, 20)).astype(np.float32)
    pixels[10] = np.nan
    names = ("B02", "B03")
    return LabelledChip("a", level, "x", "s2", pixels, names, frozenset(labels), frozenset(), state, (0, 0))


def test_a_shift_by_one_spread_is_a_distance_of_one() -> None:
    values = np.random.default_rng(0).normal(3, 2, 20000)
    assert wasserstein(values, values) == 0
    assert wasserstein(values, values + values.std()) == pytest.approx(1, abs=0.01)
    assert kolmogorov(values, values) == 0 and kolmogorov(values, values + 100) == 1
    assert kolmogorov(values, values + values.std()) == pytest.approx(0.383, abs=0.02)  # 2 Phi(1/2) - 1


def test_indices_of_a_leaf_and_of_a_radar_echo() -> None:
    pixels = np.full((13, 1), 0.1, np.float32)
    pixels[7], pixels[3] = 0.4, 0.04
    found = quantities(pixels, "s2")
    assert found["NDVI"][0] == pytest.approx(0.818, abs=1e-3) and found["NBR"][0] == pytest.approx(0.6)
    assert "B10" not in found and found["NDWI"][0] == pytest.approx(-0.6)
    echo = quantities(np.array([[0.1], [0.01]], np.float32), "s1")
    assert echo["VV"][0] == pytest.approx(-10) and echo["VH-VV"][0] == pytest.approx(-10)


def test_absent_bands_and_missing_pixels_are_left_out() -> None:
    chip = _chip({"Crops"})
    chip.pixels[:, :10] = np.nan
    samples = sample([chip.pixels], "s2")
    assert len(samples["B02"]) == distributions.PIXELS_PER_CHIP and np.isfinite(samples["NBR"]).all()
    assert sample([np.full((13, 3, 3), np.nan, np.float32)], "s2") == {}
    assert {d.quantity for d in compare("all", samples, samples, 1)} >= {"B02", "NBR", "BSI"}


def test_groups_take_items_of_one_label_and_positive_windows() -> None:
    chips = [_chip({"Crops"}), _chip({"Crops", "Trees"}), _chip({"Burned Area"}, "window", "positive")]
    groups = groups_of([*chips, _chip({"Burned Area"}, "window", "ambiguous")])
    assert {name: len(found) for name, found in groups.items()} == {"all": 2, "Crops": 1, "Burned Area (windows)": 1}


def test_simulated_chips_of_a_group_hold_the_label() -> None:
    made = make_chips(40, seed=1, sensor="s2")
    burnt = sum("Burned Area" in names for names in made.labels)
    assert len(like("Burned Area (windows)", made)) == burnt > 0
    assert 0 < len(like("all", made)) < 40
    assert len(like("Trees", made)) <= sum("Trees" in names for names in made.labels)


def test_the_command_prints_the_worst_first(monkeypatch, capsys) -> None:
    monkeypatch.setattr(distributions, "read_feed", lambda folder: iter([_chip({"Crops"}), _chip({"Trees", "Grass"})]))
    assert distributions.main(["--feed", str(Path("anywhere")), "--json", "--count", "12"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["wasserstein"] == max(row["wasserstein"] for row in rows) and rows[0]["chips"] >= 1
    assert distributions.main(["--feed", "anywhere", "--count", "12"]) == 0
    assert "wasserstein" in capsys.readouterr().out
