"""Events before, after, among look-alikes and in series, by an encoder that sees one number of a chip."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulation.chips import Chips, Sensor
from simulation.labels import LABELS, S1_BANDS, S2_BANDS
from training.appearance import appearance, read_series
from training.crises import Pairs, figures_of, lookalike_ranks, simulated_pairs
from training.figures import Figure, nested
from training.holdout import SEED_OF_LOOKALIKES, SEED_OF_SERIES
from training.metrics import Measured


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
    names = frozenset({label} if label else ())
    return Chips(
        sensor=sensor,
        bands=bands,
        pixels=pixels,
        fractions=np.zeros((len(values), len(LABELS)), np.float32),
        labels=[names] * len(values),
        ambiguous=[frozenset()] * len(values),
        attributes=[{}] * len(values),
    )


def value(figures: list[Figure], subject: str, measure: str) -> Measured:
    return next(f.value for f in figures if (f.subject, f.measure) == (subject, measure))


def test_pairs_by_hand() -> None:
    before, after = np.array([0.1, 0.6], np.float32), np.array([0.5, 0.4], np.float32)
    found = figures_of(Pairs(before, after, ("a", "b")), "made", "s2", "Burned Area")
    assert value(found, "Burned Area", "pairs").value == 2
    assert value(found, "Burned Area", "share in order").value == 0.5
    assert value(found, "Burned Area", "AUC").value == 0.5  # 0.5 and 0.4 are above 0.1, below 0.6


def test_simulated_pairs_hold_only_places_where_the_event_shows() -> None:
    figures, events = simulated_pairs(Brightness(), 6, "s2")  # type: ignore[arg-type]
    for label in ("Burned Area", "Flooded Area", "Earthquake Damage"):
        assert 0 < len(events[label]) <= 6
        assert value(figures, label, "pairs").value == len(events[label])


def test_an_event_is_ranked_among_its_lookalikes() -> None:
    asked: list[tuple[int, str]] = []

    def make(n: int, *, seed: int, sensor: Sensor, kind: str, biomes: tuple[str, ...] | None = None) -> Chips:
        asked.append((seed, kind))
        return batch(sensor, [0.1, 0.2, 0.3, 0.7][:n] if kind == "ploughed" else [0.1, 0.1, 0.1, math.nan])

    events = {"Burned Area": np.zeros((2, 384), np.float32), "Flooded Area": np.zeros((0, 384), np.float32)}
    events["Burned Area"][:, 0] = [0.9, 0.25]
    kinds = {"Burned Area": ("ploughed", "dark conifer"), "Flooded Area": ("calm lake",)}
    found = lookalike_ranks(
        Brightness(),  # type: ignore[arg-type]
        events,
        4,
        "s2",
        lambda label, sensor: kinds[label],
        make,
    )
    assert asked == [(SEED_OF_LOOKALIKES, "ploughed"), (SEED_OF_LOOKALIKES, "dark conifer")]
    assert value(found, "ploughed", "median rank").value == (1 + 3) / 2
    assert value(found, "ploughed", "AP").value == pytest.approx((1 + 2 / 4) / 2)
    assert value(found, "dark conifer", "look-alikes").value == 3
    assert value(found, "dark conifer", "AP").value == 1
    assert value(found, "dark conifer", "median rank").value == 1


def test_a_lookalike_that_scores_as_high_counts_against_the_event() -> None:
    events = {"Burned Area": np.zeros((1, 384), np.float32)}
    events["Burned Area"][:, 0] = 0.5
    found = lookalike_ranks(
        Brightness(),  # type: ignore[arg-type]
        events,
        2,
        "s1",
        lambda label, sensor: ("same",),
        lambda n, *, seed, sensor, kind, biomes=None: batch(sensor, [0.5] * n),
    )
    assert value(found, "same", "median rank").value == 3
    assert value(found, "same", "AP").value == pytest.approx(1 / 3)


def series(n: int, *, seed: int, sensor: Sensor, kind: str, looks: int = 6, biomes: object = None) -> list[Chips]:
    """Lakes are always bright; floods become so; the second flood is too small to carry the label."""
    assert seed == SEED_OF_SERIES
    earlier, last = {"flood": (0.1, 0.6), "permanent water": (0.8, 0.8)}.get(kind, (0.1, 0.2))
    chips = [batch(sensor, [earlier] * n) for _ in range(looks - 1)]
    chips.append(batch(sensor, [last] * n, "Flooded Area" if kind == "flood" else None))
    if kind == "flood":
        chips[-1].labels[1] = frozenset()
    return chips


def test_appearance_tells_a_flood_from_a_lake_and_presence_does_not() -> None:
    found = appearance(Brightness(), 3, "s1", ("permanent water", "harvest"), series)  # type: ignore[arg-type]
    assert {f.rule for f in found} == {"Flooded Area"}  # neither burns nor damage came to carry their labels
    assert value(found, "all distractors", "events").value == 2
    assert value(found, "permanent water", "AP by appearance").value == 1
    assert value(found, "all distractors", "AP by appearance").value == 1
    assert value(found, "permanent water", "AP by presence").value == pytest.approx((1 / 4 + 2 / 5) / 2)
    assert value(found, "harvest", "AP by presence").value == 1


def test_looks_that_show_nothing_are_not_averaged() -> None:
    looks = [batch("s2", [math.nan, math.nan, 0.2]), batch("s2", [0.3, math.nan, 0.4]), batch("s2", [0.5, 0.5, 0.9])]
    found = read_series(Brightness(), looks)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.change[:, 0], [0.2, 0.6], rtol=1e-5)  # the second has no earlier look


def test_figures_nest_and_what_was_not_measured_is_null() -> None:
    figures = [
        Figure("pairs", "made", "s2", "Burned Area", "pairs", Measured(2)),
        Figure("pairs", "made", "s2", "Burned Area", "AUC", Measured(0.51239, 0.4, 0.6)),
        Figure("pairs", "made", "s2", "Flooded Area", "AUC", Measured(math.nan)),
    ]
    burnt = {"pairs": 2, "AUC": {"value": 0.5124, "low": 0.4, "high": 0.6}}
    assert nested(figures) == {"pairs": {"made": {"s2": {"Burned Area": burnt, "Flooded Area": {"AUC": None}}}}}
