"""In: a model, simulated chips it has not seen. Out: how well it finds each label.

Stops at figures of merit on simulated pools; real chips, intervals and calibration are `evaluate`'s.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from simulation.chips import Sensor
from training.calibration import fit_platt
from training.fit import Loaded, embedded
from training.losses import presence
from training.metrics import average_precision
from training.nano_model import NanoModel
from training.phrases import LABELS

THERE = 0.1
"""Share of a chip from which land cover counts as present."""

EVENTS_THERE = {"Flooded Area": 0.2, "Earthquake Damage": 0.1, "Burned Area": 0.4}
"""Shares from which an event counts, where it differs: those of labelled windows of real scenes."""

ABSENT = 0.02
"""Share up to which a label counts as absent; between the two a chip is left out for the label."""


def known(pool: Loaded) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which labels are there, and of which it is known whether they are: both bool, (n, 12)."""
    fractions, unsure = pool.fractions.cpu().numpy(), pool.unsure.cpu().numpy() > 0
    there = fractions >= np.array([EVENTS_THERE.get(label, THERE) for label in LABELS], np.float32)
    return there, (there | (fractions <= ABSENT)) & ~unsure


def precisions(scores: NDArray[np.float32], pool: Loaded) -> dict[str, float]:
    """Average precision per label, and their mean.

    Args:
        scores: float32, (n, 12), of each chip for each label of `LABELS`.
        pool: the chips.
    """
    there, kept = known(pool)
    found = {}
    for index, label in enumerate(LABELS):
        rows = kept[:, index]
        found[label] = round(average_precision(scores[rows, index], there[rows, index]), 4)
    return found | {"mean": round(float(np.nanmean(list(found.values()))), 4)}


@torch.no_grad()
def validated(
    model: NanoModel,
    pools: Mapping[tuple[str, Sensor], Loaded],
    names: NDArray[np.float32],
    bands: Mapping[Sensor, tuple[float, ...] | None] | None = None,
) -> dict[str, dict[str, float]]:
    """Average precision of each label's own name on each pool.

    Args:
        model: in evaluation mode.
        pools: by name of the set and sensor.
        names: float32, (12, 384), MiniLM's vectors of the labels' names.
        bands: of each sensor, see `training.fit.embedded`.
    """
    device = next(model.parameters()).device
    queries = model.text(torch.from_numpy(names).to(device))
    found = {}
    for (name, sensor), pool in pools.items():
        vectors = embedded(model, pool, sensor, (bands or {}).get(sensor))
        found[f"{name} {sensor}"] = precisions((vectors @ queries.T).cpu().numpy(), pool)
    return found


def label_frequency(pool: Loaded) -> dict[str, float]:
    """Mean presence of each label in a pool."""
    means = presence(pool.fractions).mean(dim=0)
    return {label: round(float(value), 3) for label, value in zip(LABELS, means, strict=True)}


@torch.no_grad()
def calibrated(
    model: NanoModel, pools: Mapping[Sensor, Loaded], names: NDArray[np.float32]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Scale and bias that turn a cosine with a label's name into a probability, per sensor and label.

    Args:
        model: in evaluation mode.
        pools: chips it has not seen, by sensor.
        names: float32, (12, 384), MiniLM's vectors of the labels' names.
    """
    device = next(model.parameters()).device
    queries = model.text(torch.from_numpy(names).to(device))
    rows: dict[str, dict[str, tuple[float, float]]] = {}
    for sensor, pool in pools.items():
        scores = (embedded(model, pool, sensor) @ queries.T).cpu().numpy()
        there, kept = known(pool)
        rows[sensor] = {}
        for index, label in enumerate(LABELS):
            sure = kept[:, index]
            scale, bias = fit_platt(scores[sure, index], there[sure, index])
            rows[sensor][label] = (round(scale, 3), round(bias, 3))
    return rows
