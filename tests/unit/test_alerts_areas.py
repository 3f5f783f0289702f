"""Areas: the tree and the bitmap find what looking at each one finds, while areas come and go."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.percolation import areas as module
from alerts.percolation.areas import EVERYWHERE, Areas
from alerts.percolation.boxes import PackedTree, meet


def boxes(rng: np.random.Generator, n: int) -> np.ndarray:
    corner, size = rng.uniform([-180, -90], [179, 89], (n, 2)), rng.exponential(1.0, (n, 2))
    return np.concatenate([corner, corner + size], axis=1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from([0, 1, 63, 64, 65, 1000, 5000]))
def test_the_tree_finds_what_meets(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    some = boxes(rng, n)
    some[rng.random(n) < 0.2] = some[:1]
    tree = PackedTree(some)
    for box in (*boxes(rng, 5), *some[:3], np.array([-180.0, -90.0, 180.0, 90.0])):
        assert sorted(tree.meeting(box).tolist()) == np.flatnonzero(meet(some.T, box)).tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), loose=st.sampled_from([0, 5, 4096]))
def test_areas_that_come_and_go_are_found_where_they_are(seed: int, loose: int) -> None:
    rng = np.random.default_rng(seed)
    areas, held = Areas(), dict[int, shapely.Polygon]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LOOSE", loose)
        for _ in range(30):
            for number in [number for number in held if rng.random() < 0.3]:
                areas.drop(number)
                del held[number]
            corners = rng.uniform(0, 10, (int(rng.integers(8)), 2))
            new = [shapely.Point(*corner).buffer(rng.exponential(0.5)) for corner in corners]
            held |= dict(zip(areas.hold(new), new, strict=True))
            lon, lat = rng.uniform(0, 2, 5) + rng.uniform(0, 8), rng.uniform(0, 2, 5) + rng.uniform(0, 8)
            scene = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())
            near = np.flatnonzero(areas.near(lon, lat)).tolist()
            meeting = [number for number, area in held.items() if shapely.box(*area.bounds).intersects(scene)]
            assert near == sorted([EVERYWHERE, *meeting])
            pairs = [(number, i) for number in held for i in range(5)]
            numbers, which = np.array(pairs, np.intp).reshape(-1, 2).T
            inside = areas.inside(numbers, lon[which], lat[which])
            assert inside.tolist() == [held[number].contains(shapely.Point(lon[i], lat[i])) for number, i in pairs]
            assert areas.in_box(numbers, lon[which], lat[which])[inside].all()


def test_one_outline_is_kept_once_until_nobody_holds_it() -> None:
    areas, outline = Areas(), shapely.box(1, 2, 3, 4)
    one, other, everywhere = areas.hold([outline, shapely.box(1, 2, 3, 4), None])
    assert (one, other, everywhere, len(areas)) == (one, one, EVERYWHERE, 2)
    areas.drop(one)
    assert areas.near(np.array([2.0]), np.array([3.0])).tolist() == [True, True]
    areas.drop(one)
    areas.drop(EVERYWHERE)
    assert areas.near(np.array([2.0]), np.array([3.0])).tolist() == [True, False]
    assert areas.hold([shapely.box(5, 5, 6, 6)]) == [one]  # its number is given again
    assert areas.outline(one) == shapely.box(5, 5, 6, 6)
    assert areas.outline(EVERYWHERE) is None


def test_a_scene_without_cells_is_nowhere() -> None:
    assert not Areas().near(np.empty(0), np.empty(0)).any()
