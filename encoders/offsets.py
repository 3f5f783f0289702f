"""What a file's numbers mean: reflectance or linear backscatter, whatever the catalogue says.

In: samples of a scene's files and the declared scale and offset. Out: one calibration per file. Stops before cutting.

Sentinel-2 products of processing baselines from 04.00 carry +1000 in their numbers, and catalogues are wrong about
it in both directions. The darkest pixels tell: reflectance is never much below zero, and a scene's dark pixels do
not stop at 0.1 in several bands at once. Where they do not tell (bright scenes) the catalogue is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from encoders.arrays import library

Raw = NDArray[Any]
"""Numbers as a file has them: integer or float, any shape."""

OFFSET = -0.1
"""Reflectance to add where the +1000 is in the numbers. Source: Sentinel-2 Products Specification, BOA_ADD_OFFSET."""
DN_SCALE = 1e-4
"""Reflectance of one count. Source: Sentinel-2 Products Specification, quantification value 10000."""
SATURATED_DN = 65535
"""Count of saturated pixels: their value is unknown."""
DARK_PERCENTILE = 1.0
"""Of a band's valid pixels: low enough for shadow and water, high enough to pass over resampling artefacts."""
BELOW_FLOOR = 0.075
"""A dark percentile under this (0.025 below the +1000's floor) would be negative reflectance: no +1000 there."""
ON_FLOOR = (0.095, 0.15)
"""Dark percentiles of at least `FLOOR_BANDS` bands in here, and none below, mean that the +1000 is there."""
FLOOR_BANDS = 3
"""One band or two can be that dark by themselves (bright soil in blue and green); three at once are not."""

_log = structlog.get_logger("encoders")


class Evidence(Enum):
    """What dark pixels say about the +1000."""

    ABSENT = "absent"
    PRESENT = "present"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a file's numbers to physical values.

    Attributes:
        scale: Physical value of one count.
        offset: Added after scaling.
        nodata: Number that means no data, besides NaN.
        decibel: The numbers are 10 log10 of the power.
        positive: Values at or below zero mean no data (power); otherwise they are cut at zero (reflectance).
    """

    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    decibel: bool = False
    positive: bool = False

    def values(self, raw: Raw) -> NDArray[np.float32]:
        """Reflectance 0-1 or linear power, float32, the shape of `raw`; NaN is no data.

        Of torch tensors as well, on the device that they are on: both libraries have all that is called here.
        """
        xp = library(raw)
        with np.errstate(over="ignore"):  # the lowest float64, a usual no data, is minus infinity then, on both sides
            values: NDArray[np.float32] = xp.asarray(raw, dtype=xp.float32, copy=True)
            gaps = xp.isnan(values)
            if self.nodata is not None:
                gaps |= values == self.nodata
        if raw.dtype == xp.uint16 and not self.positive:
            gaps |= values == SATURATED_DN
        if self.scale != 1.0:
            values *= self.scale
        if self.offset != 0.0:
            values += self.offset
        if self.decibel:
            values[gaps] = 0.0
            values = 10.0 ** (values / 10.0)
        if self.positive:
            gaps |= ~((values > 0) & xp.isfinite(values))
        else:
            values = xp.clip(values, 0, None, out=values)
        values[gaps] = xp.nan
        return values


def dark_evidence(darkest: list[float]) -> Evidence:
    """Whether the +1000 is in files that are declared alike.

    Args:
        darkest: `DARK_PERCENTILE` of each band, counts times scale, without any offset.
    """
    if darkest and min(darkest) < BELOW_FLOOR:
        return Evidence.ABSENT
    on_floor = sum(value <= ON_FLOOR[1] for value in darkest)
    if darkest and min(darkest) >= ON_FLOOR[0] and on_floor >= FLOOR_BANDS:
        return Evidence.PRESENT
    return Evidence.UNCLEAR


def reflectance(
    samples: Mapping[str, Raw], declared: Mapping[str, Calibration], item_id: str
) -> dict[str, Calibration]:
    """Calibrations of a Sentinel-2 scene, checked against its dark pixels.

    Files that are declared alike are judged together, files that are declared otherwise apart.

    Args:
        samples: Per band, numbers as in the file, (n,).
        declared: Per band, what the catalogue says.
        item_id: For the log.
    """
    declared = {band: _count_scale(samples[band], calibration) for band, calibration in declared.items()}
    checked: dict[str, Calibration] = {}
    for offset in sorted({calibration.offset for calibration in declared.values()}):
        alike = {band: calibration for band, calibration in declared.items() if calibration.offset == offset}
        evidence = dark_evidence([_dark(samples[band], calibration) for band, calibration in alike.items()])
        true_offset = _true_offset(offset, evidence)
        if true_offset != offset:
            _log.warning(
                "declared offset contradicts dark pixels",
                item_id=item_id,
                bands=sorted(alike),
                declared=offset,
                used=true_offset,
            )
        checked |= {band: replace(calibration, offset=true_offset) for band, calibration in alike.items()}
    return checked


def backscatter(
    samples: Mapping[str, Raw], declared: Mapping[str, Calibration], item_id: str
) -> dict[str, Calibration]:
    """Calibrations of a Sentinel-1 scene: power is never negative, so a negative median means decibels.

    Args:
        samples, declared, item_id: as for `reflectance`.
    """
    checked = {}
    for band, calibration in declared.items():
        values = replace(calibration, positive=True)
        raw = _valid(samples[band], calibration)
        decibel = raw.size > 0 and float(np.median(raw * calibration.scale + calibration.offset)) < 0
        if decibel:
            _log.warning("backscatter is in decibels, made linear", item_id=item_id, band=band)
        checked[band] = replace(values, decibel=decibel)
    return checked


def _true_offset(declared: float, evidence: Evidence) -> float:
    if declared < 0 and evidence is Evidence.ABSENT:
        return 0.0
    if declared == 0 and evidence is Evidence.PRESENT:
        return OFFSET
    return declared


def _count_scale(raw: Raw, calibration: Calibration) -> Calibration:
    """Whole numbers cannot be reflectance 0-1: without a declared scale they are counts of 1/10000."""
    undeclared = raw.dtype.kind in "iu" and calibration.scale == 1.0
    return replace(calibration, scale=DN_SCALE) if undeclared else calibration


def _dark(raw: Raw, calibration: Calibration) -> float:
    valid = _valid(raw, calibration)
    return float(np.percentile(valid, DARK_PERCENTILE)) * calibration.scale if valid.size else np.inf


def _valid(raw: Raw, calibration: Calibration) -> Raw:
    keep = np.isfinite(raw) if raw.dtype.kind == "f" else np.ones(raw.shape, bool)
    if calibration.nodata is not None:
        keep &= raw != calibration.nodata
    return raw[keep]
