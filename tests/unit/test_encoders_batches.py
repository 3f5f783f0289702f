"""Batches of any size in the few sizes that an engine was made for: nothing lost, nothing twice, little wasted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.runtime import EngineRefused, Inputs
from encoders.runtimes.batches import BUCKETS, check_rows, fill, rows_of, split

bucket_sets = st.sets(st.integers(1, 300), min_size=1, max_size=6).map(tuple)


@given(count=st.integers(0, 2000), buckets=bucket_sets)
def test_every_row_runs_once_in_order_and_in_a_bucket_that_holds_it(count: int, buckets: tuple[int, ...]) -> None:
    parts = split(count, buckets)
    assert [row for part in parts for row in range(count)[part.rows]] == list(range(count))
    assert all(0 < len(part) <= part.bucket and part.bucket in buckets for part in parts)


@given(count=st.integers(1, 2000), buckets=bucket_sets)
def test_less_than_twice_the_rows_are_computed(count: int, buckets: tuple[int, ...]) -> None:
    computed = sum(part.bucket for part in split(count, buckets))
    assert computed <= 2 * count or computed - count < min(buckets)


@given(count=st.integers(1, 2000), buckets=bucket_sets)
def test_only_the_last_run_is_padded(count: int, buckets: tuple[int, ...]) -> None:
    assert all(len(part) == part.bucket for part in split(count, buckets)[:-1])


@pytest.mark.parametrize(
    ("count", "runs"),
    [(0, []), (1, [1]), (3, [1, 1, 1]), (4, [8]), (9, [8, 1]), (33, [32, 1]), (70, [128]), (300, [128, 128, 32, 8, 8])],
)
def test_usual_buckets(count: int, runs: list[int]) -> None:
    assert [part.bucket for part in split(count, BUCKETS)] == runs


def test_no_buckets() -> None:
    with pytest.raises(ValueError, match="no buckets"):
        split(1, ())


@given(rows=st.integers(0, 6), tokens=st.integers(1, 5), before=st.integers(1, 9))
def test_padding_is_zero_whatever_was_in_the_buffer(rows: int, tokens: int, before: int) -> None:
    buffer = np.full((6, 5), before, dtype=np.int64)
    fill(buffer, np.full((rows, tokens), 7, dtype=np.int64))
    assert (buffer[:rows, :tokens] == 7).all()
    assert buffer.sum() == 7 * rows * tokens


def chips(count: int, side: int = 4, dtype: type = np.float32) -> Inputs:
    return {"pixels": np.zeros((count, 2, side, side), dtype=dtype)}


def words(count: int, tokens: int, masks: int | None = None) -> Inputs:
    return {
        "input_ids": np.ones((count, tokens), dtype=np.int64),
        "attention_mask": np.ones((count if masks is None else masks, tokens), dtype=np.int64),
    }


def test_batch_that_fits_is_counted() -> None:
    assert check_rows(chips(5), rows_of(chips(1)), "engine") == 5
    assert check_rows(words(3, 7), rows_of(words(1, 64)), "engine") == 3


@pytest.mark.parametrize(
    ("inputs", "made_for", "reason"),
    [
        (chips(1, 3), chips(1), r"takes pixels of float32 \(2, 4, 4\), not float32 \(2, 3, 3\)"),
        (chips(1, dtype=np.float64), chips(1), "not float64"),
        (words(1, 65), words(1, 64), r"not int64 \(65,\)"),
        (words(2, 8, masks=1), words(1, 64), r"different lengths, \[1, 2\]"),
        (chips(1), words(1, 64), "takes input_ids, attention_mask, not pixels"),
    ],
    ids=["smaller chip", "float64", "too many tokens", "lengths differ", "another input"],
)
def test_batch_that_does_not_fit_is_refused(inputs: Inputs, made_for: Inputs, reason: str) -> None:
    with pytest.raises(EngineRefused, match=reason):
        check_rows(inputs, rows_of(made_for), "engine")
