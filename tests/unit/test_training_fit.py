"""Training is repeatable, learns, and keeps to its recipe."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from simulation.chips import Sensor
from training.bank import Bank, bank_of
from training.captions import Caption
from training.compare import table
from training.fit import Loaded, balanced, embedded, fit, loaded, multiplies_bf16
from training.label_sets import label_sets
from training.phrases import LABELS
from training.pool import CHUNK, simulate_pool
from training.recipes import FINDINGS, RECIPES, Recipe, shortened
from training.text_head import TextHead
from training.validate import calibrated, precisions, validated
from training.whereabouts import is_prone, lon_lat_of

CPU = torch.device("cpu")


def _loaded(sensor: Sensor, count: int = 48) -> Loaded:
    """Chips whose brightness is their label: dark ones are water, bright ones are bare."""
    still = np.random.default_rng(2)
    bands, fine = (13, 4) if sensor == "s2" else (2, 2)
    bright = np.arange(count) % 2 == 0
    level = np.where(bright, 0.4, 0.02) if sensor == "s2" else np.where(bright, -8.0, -24.0)
    means = level[:, None, None, None] * (1 + 0.05 * still.standard_normal((count, bands, 20, 20)))
    fractions = np.zeros((count, 12), np.float32)
    fractions[bright, LABELS.index("Bare")] = fractions[~bright, LABELS.index("Water")] = 1
    known = torch.from_numpy(fractions)
    return Loaded(
        torch.from_numpy(means.astype(np.float16)),
        torch.zeros(count, fine, 20, 20, dtype=torch.float16),
        torch.ones(count, 1, 20, 20, dtype=torch.float16),
        known,
        torch.ones(count, 12),
        torch.zeros(count, 12),
        torch.randn(count, 100, generator=torch.Generator().manual_seed(0)),
        balanced(known),
    )


def _words() -> tuple[Bank, TextHead, np.ndarray]:
    random = np.random.default_rng(4)
    names = random.standard_normal((12, 384)).astype(np.float32)
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    bank = bank_of([Caption(name, (i,)) for i, name in enumerate(LABELS)], names, CPU)
    return bank, TextHead(torch.zeros(384), torch.from_numpy(names)), names


def test_training_learns_and_repeats() -> None:
    bank, head, names = _words()
    pools = {"s2": _loaded("s2"), "s1": _loaded("s1")}
    recipe = Recipe("tiny", steps=40, batch=16, sentences=12)
    one, two = (fit(recipe, pools, bank, head, seed=3, device=CPU) for _ in range(2))
    torch.testing.assert_close(one.model.state_dict(), two.model.state_dict())
    assert one.curve[-1]["s2"] < one.curve[0]["s2"]
    assert one.curve[-1]["s1"] < one.curve[0]["s1"]
    figures = validated(one.model, {("all", "s2"): pools["s2"]}, names)["all s2"]
    assert figures["Water"] > 0.9 and figures["Bare"] > 0.9 and np.isnan(figures["Trees"])


@pytest.mark.parametrize("recipe", RECIPES + FINDINGS, ids=lambda each: each.name)
def test_every_recipe_runs(recipe: Recipe) -> None:
    bank, head, names = _words()
    pools = {s: _loaded(s, 16) for s in recipe.sensors}
    sets = label_sets(lambda texts: np.resize(names, (len(texts), 384)), CPU)
    fitted = fit(shortened(recipe, 3, 16), pools, bank, head, seed=0, device=CPU, sets=sets)
    for sensor, pool in pools.items():
        vectors = embedded(fitted.model, pool, sensor)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(16), atol=1e-4, rtol=0)
    assert (fitted.located is None) == (recipe.location == "none")


def test_closps_recipe_needs_its_captions() -> None:
    bank, head, _ = _words()
    closp = next(recipe for recipe in RECIPES if recipe.loss == "closp")
    with pytest.raises(ValueError, match="label sets"):
        fit(shortened(closp, 1, 16), {"s2": _loaded("s2"), "s1": _loaded("s1")}, bank, head, seed=0, device=CPU)


def test_a_label_that_is_neither_there_nor_absent_is_left_out() -> None:
    pool = _loaded("s2", 8)
    pool.fractions[0, LABELS.index("Bare")] = 0.05
    scores = np.zeros((8, 12), np.float32)
    scores[:, LABELS.index("Bare")] = [9, 0, 5, 0, 5, 0, 5, 0]
    assert precisions(scores, pool)["Bare"] == 1.0


def test_calibration_has_a_curve_for_each_label() -> None:
    bank, head, names = _words()
    recipe = Recipe("tiny", sensors=("s2",), steps=5, batch=8, sentences=12)
    pool = _loaded("s2")
    fitted = fit(recipe, {"s2": pool}, bank, head, seed=1, device=CPU)
    assert set(calibrated(fitted.model, {"s2": pool}, names)["s2"]) == set(LABELS)


def test_an_interrupted_pool_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = simulate_pool(tmp_path / "a", "s1", 2 * CHUNK, 5)
    simulate_pool(tmp_path / "b", "s1", 2 * CHUNK, 5)
    home = next((tmp_path / "b").iterdir())
    done = np.load(home / "done.npy")
    done[1] = False
    np.save(home / "done.npy", done)
    means = np.lib.format.open_memmap(home / "means.npy", mode="r+")
    means[CHUNK:] = 0
    means.flush()
    again = simulate_pool(tmp_path / "b", "s1", 2 * CHUNK, 5, workers=2)
    np.testing.assert_array_equal(whole.means, again.means)
    batch = loaded(again, CPU).batch(torch.arange(4))
    assert batch.means.shape == (4, 2, 60, 60) and batch.means.dtype == torch.float32


def test_fires_lie_where_they_are_known_or_where_none_was() -> None:
    random = np.random.default_rng(0)
    burnt = {"biome": "mediterranean", "event": "burn"}
    known = [is_prone(lon_lat_of(burnt, random, moved=False)) for _ in range(50)]
    moved = [is_prone(lon_lat_of(burnt, random, moved=True)) for _ in range(50)]
    assert sum(known) > 45 and sum(moved) < 5


def test_rare_labels_are_drawn_oftener_than_they_come() -> None:
    fractions = torch.zeros(100, 12)
    fractions[:99, 0] = fractions[99, 5] = 1
    odds = balanced(fractions)
    assert abs(float(odds.sum()) - 1) < 1e-5
    assert odds[99] > 10 * odds[0]


def test_a_budget_of_seconds_ends_and_anneals() -> None:
    bank, head, _ = _words()
    recipe = Recipe("tiny", sensors=("s1",), steps=10_000_000, batch=8, sentences=12)
    fitted = fit(recipe, {"s1": _loaded("s1")}, bank, head, seed=1, device=CPU, seconds=1.0)
    assert 1 < fitted.curve[-1]["step"] < 10_000


def test_the_table_means_over_seeds(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="without --table first"):
        table(tmp_path)
    rows = [{"recipe": "nano", "seed": seed, "seen s2": {"mean": mean}} for seed, mean in ((0, 0.8), (1, 0.9))]
    (tmp_path / "figures-0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "| nano | 2 | 0.850 ± 0.050 |" in table(tmp_path)


@pytest.mark.parametrize(("able", "expected"), [({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)])
def test_bf16_only_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], *, expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)

    assert multiplies_bf16(CPU) is expected


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch builds encoders with g++, which is not installed")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.compile importing its own parts
def test_built_encoders_learn_the_same() -> None:
    bank, head, _ = _words()
    pools = {"s2": _loaded("s2")}
    recipe = Recipe("tiny", sensors=("s2",), steps=10, batch=16, sentences=12)
    plain, built = (fit(recipe, pools, bank, head, seed=3, device=CPU, compiled=each) for each in (False, True))
    one, two = (embedded(each.model, pools["s2"], "s2") for each in (plain, built))

    assert (one * two).sum(dim=1).min() > 0.99
