"""Which bands carried a match.

Flows in: the chip that matched, the chip from before, the query. Flows out: what each band, and each group of bands
that see alike, has brought to the score. Stops before pictures.

    drop(b)  = score(after) - score(after with b from before)
    alone(b) = score(before with b from after) - score(before)
    share(g) = mean of what g adds, over all orders in which the groups could have changed from before to after

Neighbouring bands say the same, and an encoder that reads both loses little when one is taken away: so groups are
measured too, and their shares (Shapley values, all 2^groups mixtures are scored) add up to score(after) - score(before)
whatever they have in common. Where there is no look from before, bands are declared missing instead, which every
encoder knows how to read; only `drop` is known then.

Source: Zeiler, Fergus, Visualizing and Understanding Convolutional Networks (2014), section 4, for occlusion; with
another image's content in place of grey it measures a change, not a silence. Shapley, A Value for n-Person Games
(1953), for the shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from alerts.evidence.chips import Pixels, Seen
from alerts.evidence.scores import Floats, Scorer
from encoders.bands import BANDS
from encoders.interface import Encoder
from schemas.messages import Sensor

GROUPS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "s2": {
        "visible": ("B01", "B02", "B03", "B04"),
        "red edge": ("B05", "B06", "B07"),
        "near infrared": ("B08", "B8A"),
        "short-wave infrared": ("B11", "B12"),
        "water vapour and cirrus": ("B09", "B10"),
    },
    "s1": {"VV": ("VV",), "VH": ("VH",)},
}
"""Bands that see the same of the ground, per sensor."""

Method = Literal["before", "missing"]
Scored = Callable[[Pixels, Sequence[str]], list[float]]
"""Scores of chips (n, bands, 120, 120) with some bands present."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one band, or group of bands, is worth.

    Attributes:
        name: Of the band or group.
        bands: What it consists of, of those that the scene has.
        drop: Score lost when it alone is as before, or missing.
        alone: Score that it brings by itself; none where that cannot be known.
        share: Of the difference in score between before and after; none for single bands, and without a before.
    """

    name: str
    bands: tuple[str, ...]
    drop: float
    alone: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Occlusion:
    """One match taken apart.

    Attributes:
        cell, sensor: Of the match.
        method: "before": bands were replaced by those of the earlier look; "missing": they were left out.
        score: Of the chip as it is read now.
        before: Score of the earlier look; none without one.
        groups: The largest share first, or the largest drop where there are no shares.
        bands: The largest drop first.
    """

    cell: str
    sensor: Sensor
    method: Method
    score: float
    before: float | None
    groups: tuple[Share, ...]
    bands: tuple[Share, ...]


def occlude(
    cell: str,
    sensor: Sensor,
    after: Seen,
    before: Seen | None,
    encoder: Encoder,
    scorer: Scorer,
    baseline: Floats | None,
) -> Occlusion:
    """Take a match apart.

    Args:
        cell: Of the match.
        sensor: Of the match.
        after: The chip that matched.
        before: The same cell before, or none.
        encoder: Of the release that made the match.
        scorer: The query's.
        baseline: float32 (384,), mean of the cell's earlier vectors, or none.

    Raises:
        Rejected: the encoder cannot read the chip.
    """
    have = tuple(band for band in after.present_bands if before is None or band in before.present_bands)
    groups = {name: tuple(band for band in bands if band in have) for name, bands in GROUPS[sensor].items()}
    groups = {name: bands for name, bands in groups.items() if bands}
    singles = {band: (band,) for band in have}

    def scored(chips: Pixels, present: Sequence[str]) -> list[float]:
        return [float(one) for one in scorer.score(encoder.images(chips, sensor, present), baseline)]

    (whole,) = scored(after.pixels[None], after.present_bands)
    past: float | None = None
    if before is None:
        shares = [_missing(name, bands, after, whole, scored) for name, bands in (groups | singles).items()]
    else:
        past, with_all = scored(np.stack([before.pixels, _mixed(before, after, sensor, have)]), have)
        shares = _shares(groups, before, after, sensor, have, scored)
        for band in have:
            pair = [_mixed(after, before, sensor, [band]), _mixed(before, after, sensor, [band])]
            without, brought = scored(np.stack(pair), have)
            shares.append(Share(band, (band,), round(with_all - without, 4), round(brought - past, 4), None))
    return Occlusion(
        cell,
        sensor,
        "missing" if before is None else "before",
        round(whole, 4),
        None if past is None else round(past, 4),
        _largest_first(shares[: len(groups)]),
        _largest_first(shares[len(groups) :]),
    )


def _shares(
    groups: Mapping[str, tuple[str, ...]], before: Seen, after: Seen, sensor: str, have: Sequence[str], scored: Scored
) -> list[Share]:
    """Every mixture of groups from before and after, and what each group adds on average."""
    names = list(groups)
    mixtures = [
        _mixed(before, after, sensor, [band for i, name in enumerate(names) if mask >> i & 1 for band in groups[name]])
        for mask in range(1 << len(names))
    ]
    value = scored(np.stack(mixtures), have)
    full = len(value) - 1
    found = []
    for i, name in enumerate(names):
        others = [mask for mask in range(len(value)) if not mask >> i & 1]
        weights = [1 / (len(names) * math.comb(len(names) - 1, mask.bit_count())) for mask in others]
        share = sum(w * (value[mask | 1 << i] - value[mask]) for w, mask in zip(weights, others, strict=True))
        drop, alone = value[full] - value[full ^ 1 << i], value[1 << i] - value[0]
        found.append(Share(name, groups[name], round(drop, 4), round(alone, 4), round(share, 4)))
    return found


def _missing(name: str, bands: tuple[str, ...], after: Seen, whole: float, scored: Scored) -> Share:
    """A band declared missing; without any band a chip says nothing, and has no score."""
    left = [band for band in after.present_bands if band not in bands]
    (without,) = scored(after.pixels[None], left) if left else (0.0,)
    return Share(name, bands, round(whole - without, 4), None, None)


def _mixed(onto: Seen, source: Seen, sensor: str, bands: Sequence[str]) -> Pixels:
    """A chip with some bands of another look; where that has no data, the pixel stays."""
    out = onto.pixels.copy()
    for index in (BANDS[sensor].index(band) for band in bands):
        out[index] = np.where(np.isnan(source.pixels[index]), out[index], source.pixels[index])
    return out


def _largest_first(shares: Sequence[Share]) -> tuple[Share, ...]:
    return tuple(sorted(shares, key=lambda one: (-(one.drop if one.share is None else one.share), one.name)))
