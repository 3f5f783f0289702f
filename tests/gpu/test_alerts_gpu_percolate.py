"""A GPU finds what the processor finds: pytest -m gpu."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")

from alerts.percolation.bank import Bank
from alerts.percolation.int8 import Int8Product
from alerts.percolation.percolate import percolate
from alerts.percolation.products import product
from benchmarks.percolate_work import OFTEN, points, standing

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(("cells", "queries"), [(1, 1), (1, 30_000), (1000, 17), (5000, 40_000)])
def test_the_gpu_finds_what_numpy_finds(cells: int, queries: int) -> None:
    made, there = standing(np.random.default_rng(0), queries, OFTEN), points(np.random.default_rng(1), cells)
    found = []
    for arithmetic in ("fp32", "cuda"):
        for side in (made.present, made.appeared):
            side.bank.use(product(arithmetic, side.bank.vectors))  # type: ignore[arg-type]
        found.append(percolate(made, there))
    for name in ("rows", "slots", "scores", "presence"):
        assert np.array_equal(getattr(found[0], name), getattr(found[1], name))


def test_auto_takes_the_gpu_when_there_are_many() -> None:
    bank = Bank("auto", large=0)
    assert isinstance(bank.product, Int8Product)
    assert bank.product.name == "cuda"


def test_vectors_on_the_gpu_change_in_place() -> None:
    rng = np.random.default_rng(2)
    made, there = standing(rng, 20_000, OFTEN), points(rng, 500)
    bank, slot = made.present.bank, 20  # every tenth slot is everywhere, every second one asks for presence
    bank.use(product("cuda", bank.vectors))
    head = int(np.flatnonzero(bank.slots.values == slot)[0])
    bank.remove(head)
    assert not (percolate(made, there).slots == slot).any()
    assert bank.add([slot], [there.vectors[:1]]) == [head]
    bank.fire("s2", [head], [0.9], [-np.inf])
    found = percolate(made, there)
    assert found.rows[found.slots == slot].tolist() == [0]
