"""Events before, after, among look-alikes and in series, by an encoder that sees one number of a chip."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulation.chips import Chips, Sensor
from simulation.labels import LABELS, S1_BANDS, S2_BANDS
from training.appearance import SEED_SERIES, appearance
from training.crises import SEED_LOOKALIKES, Seen, against, lookalikes, told_apart

FLOOD = "Flooded Area"


class Brightness:
    """The first number of a vector is the mean of the chip's valid pixels, and every sentence asks for that."""

    release = "fake"
    sensors = ("s2", "s1")

    def images(self, pixels: np.ndarray, sensor: str, present_bands: object = None) -> np.ndarray:
        out = np.zeros((len(pixels), 384), np.float32)
        out[:, 0] = [np.nanmean(chip) for chip in pixels]
        return out

    def texts(self, sentences: list[str]) -> np.ndarray:
        out = np.zeros((len(sentences), 384), np.float32)
        out[:, 0] = 1
        return out


def batch(sensor: Sensor, values: list[float], label: str | None = None) -> Chips:
    bands = S2_BANDS if sensor == "s2" else S1_BANDS
    pixels = np.ones((len(values), len(bands), 32, 32), np.float32) * np.array(values, np.float32)[:, None, None, None]
    return Chips(
        sensor=sensor,
        bands=bands,
        pixels=pixels,
        fractions=np.zeros((len(values), len(LABELS)), np.float32),
        labels=[frozenset({label} if label else ())] * len(values),
        ambiguous=[frozenset()] * len(values),
        attributes=[{}] * len(values),
    )


def test_pairs_by_hand() -> None:
    before, after = np.array([0.1, 0.6], np.float32), np.array([0.5, 0.4], np.float32)
    found = told_apart(before, after, ["a", "b"])
    assert (found["pairs"], found["right order"]) == (2, 0.5)
    assert found["AUC after/before"] == 0.5  # 0.5 and 0.4 are above 0.1, below 0.6
    assert (found["right order low"], found["right order high"]) == (0, 1)
    assert math.isnan(told_apart(before[:0], after[:0], [])["right order"])


def test_pairs_of_one_place_have_no_width() -> None:
    before, after = np.array([0.1, 0.6], np.float32), np.array([0.5, 0.4], np.float32)
    found = told_apart(before, after, ["here", "here"])
    assert found["right order low"] == found["right order"] == found["right order high"]


def test_a_lookalike_that_scores_as_high_counts_against_the_event() -> None:
    found = against(np.array([0.5], np.float32), np.array([0.5, 0.5], np.float32))
    assert (found["median rank"], found["AP"]) == (3, pytest.approx(1 / 3))


def test_an_event_is_ranked_among_its_lookalikes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def make(n: int, *, seed: int, sensor: Sensor, kind: str, biomes: object = None) -> Chips:
        asked.append(seed)
        return batch(sensor, [0.1, 0.2, 0.3, math.nan][:n])

    monkeypatch.setattr("training.crises.make_lookalikes", make)
    monkeypatch.setattr("training.crises.kinds_for", lambda label, _: ("lake",) if label == FLOOD else ())
    vectors = np.zeros((2, 384), np.float32)
    vectors[:, 0] = [0.9, 0.25]
    seen = Seen(vectors, {"-VH": np.array([1, -99], np.float32)})
    table, left_out = lookalikes(Brightness(), "s1", 4, lambda _: seen)  # type: ignore[arg-type]
    assert asked == [SEED_LOOKALIKES]
    assert left_out == ["lake 0/3: not one valid value"]
    row = table.rows[f"{FLOOD} / lake"]
    assert (row["events"], row["others"], row["median rank"]) == (2, 3, (1 + 2) / 2)
    assert row["AP"] == pytest.approx((1 + 2 / 3) / 2)


def series(n: int, *, seed: int, sensor: Sensor, kind: str, looks: int = 6, biomes: object = None) -> list[Chips]:
    """Lakes are always bright; floods become so, but the second is too small to carry the label."""
    assert seed == SEED_SERIES
    earlier, last = {"flood": (0.1, 0.6), "permanent water": (0.8, 0.8)}.get(kind, (0.1, 0.2))
    made = [batch(sensor, [earlier] * n) for _ in range(looks - 1)]
    made[0].pixels[0] = math.nan  # one look that shows nothing is not averaged
    made.append(batch(sensor, [last] * n, FLOOD if kind == "flood" else None))
    if kind == "flood":
        made[-1].labels[1] = frozenset()
    return made


def test_appearance_tells_a_flood_from_a_lake_and_presence_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"s1": ("flood", "permanent water", "harvest"), "s2": ("burn", "cloud")}
    monkeypatch.setattr("training.appearance.make_series", series)
    monkeypatch.setattr("training.appearance.kinds_of", kinds.__getitem__)
    table, left_out = appearance(Brightness(), "s1", 3)  # type: ignore[arg-type]
    assert left_out == []
    assert set(table.rows) == {FLOOD, f"{FLOOD} / permanent water", f"{FLOOD} / harvest"}
    assert (table.rows[FLOOD]["events"], table.rows[FLOOD]["others"]) == (2, 6)
    assert table.rows[FLOOD]["AP"] == 1
    lake = table.rows[f"{FLOOD} / permanent water"]
    assert (lake["AP"], lake["AP of presence"]) == (1, pytest.approx((1 / 4 + 2 / 5) / 2))
    assert table.rows[f"{FLOOD} / harvest"]["AP of presence"] == 1
