"""The bank: rows of vectors that come, change and go in place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.percolation import growing, products
from alerts.percolation.bank import NONE, Bank
from alerts.percolation.growing import Blocks, Column, tiles
from schemas.errors import SettingsError


def vectors(rng: np.random.Generator, k: int) -> np.ndarray:
    return rng.standard_normal((k, 384)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_hold_what_was_last_put_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bank, held = Bank(), dict[int, tuple[int, np.ndarray, float, float, float]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "ROWS_PER_BLOCK", 16)
        for turn in range(12):
            for head in [head for head in held if rng.random() < 0.4]:
                bank.remove(head)
                del held[head]
            slots = [100 * turn + i for i in range(int(rng.integers(6)))]
            some = [vectors(rng, int(rng.integers(1, 5))) for _ in slots]
            heads = bank.add(slots, some)
            score, presence, other = rng.random((3, len(slots)))
            bank.fire("s2", heads, score.tolist(), presence.tolist())
            for each in zip(heads, slots, some, score, presence, other, strict=True):
                held[each[0]] = each[1:]
                bank.fire_in("s2", "33T/summer", each[0], each[-1], -np.inf)
            check(bank, held)
    assert bank.rows <= 12 * 5 * 4


def check(bank: Bank, held: dict[int, tuple[int, np.ndarray, float, float, float]]) -> None:
    score, presence = bank.in_force("s2")
    there, _ = bank.in_force("s2", "33T/summer")
    elsewhere, _ = bank.in_force("s2", "33T/winter")
    free = np.ones(bank.rows, bool)
    for head, (slot, some, least, present, other) in held.items():
        rows = np.arange(head, head + len(some))
        assert free[rows].all()  # no row belongs to two
        free[rows] = False
        assert np.array_equal(bank.vectors.take(rows), some)
        assert (bank.slots.values[rows] == slot).all()
        assert (bank.heads.values[rows] == head).all()
        assert (bank.counts.values[rows] == len(some)).all()
        assert (score[rows] == least).all() and (elsewhere[rows] == least).all() and (there[rows] == other).all()
        assert (presence[rows] == present).all()
    assert (score[free] == np.inf).all() and (there[free] == np.inf).all()
    assert (bank.slots.values[free] == NONE).all()


def test_rows_that_went_are_used_again() -> None:
    rng = np.random.default_rng(0)
    bank = Bank()
    for slot in range(100):
        (head,) = bank.add([slot], [vectors(rng, 1 + slot % 3)])
        bank.remove(head)
    assert bank.rows <= 6


def test_a_sensor_without_thresholds_fires_nothing() -> None:
    bank = Bank()
    bank.add([0], [np.ones((2, 384), np.float32)])
    score, presence = bank.in_force("s1", "33T/summer")
    assert score.tolist() == [np.inf, np.inf]
    assert presence.tolist() == [-np.inf, -np.inf]


def test_numpy_multiplies_while_there_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def remember(name: str, blocks: Blocks, norms: Column[np.float64]) -> products.Fp32Product:
        asked.append(name)
        return products.Fp32Product(blocks, norms)

    monkeypatch.setattr("alerts.percolation.bank.product", remember)
    bank = Bank(large=10)
    for slot in range(30):
        bank.add([slot], [np.ones((1, 384), np.float32)])
        bank.product  # noqa: B018 - chosen when it is looked at
    assert asked == ["fp32", "auto"]
    fixed = Bank("int8", large=10)
    fixed.product  # noqa: B018
    assert asked[2:] == ["int8"]


def test_an_arithmetic_that_cannot_run_here_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    products.unavailable.cache_clear()
    products.best.cache_clear()
    monkeypatch.setattr(products, "_has_int8_dot_products", lambda: False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"TOCSIN_MATCHER_ARITHMETIC=cuda cannot run here: torch is not installed"):
        Bank("cuda").product  # noqa: B018
    assert Bank("auto", large=0).product.name == "fp32"
    products.unavailable.cache_clear()
    products.best.cache_clear()


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(1, 100),
    size=st.sampled_from([1, 4, 16]),
    share=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_tiles_name_every_wanted_row_once(*, rows: int, size: int, share: float, seed: int) -> None:
    wanted = np.flatnonzero(np.random.default_rng(seed).random(rows) < share)
    named = [list(tile) for tile in tiles(wanted, rows, size)]
    assert all(len(tile) <= size for tile in named)
    flat = [row for tile in named for row in tile]
    assert len(flat) == len(set(flat))
    assert set(wanted.tolist()) <= set(flat)
    assert len(flat) <= len(wanted) / growing.DENSE
