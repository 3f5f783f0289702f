"""Exact arithmetic of rare counts: how many alarms are compatible with how many expected.

Flows in: counts and expectations. Flows out: probabilities and intervals. Stops before what they are counts of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

CONFIDENCE = 0.9
"""Of every interval that is stored or shown here: one in ten lies outside, half of those on each side."""
_STEPS = 80
"""Halvings of a search: beyond the precision of a float."""
_MEANS = 41


def poisson_at_most(count: int, mean: float) -> float:
    """Probability of at most so many events, when `mean` are expected; 0 for a negative count."""
    if count < 0:
        return 0.0
    if mean <= 0:
        return 1.0
    log_mean = math.log(mean)
    return min(math.fsum(math.exp(k * log_mean - mean - math.lgamma(k + 1)) for k in range(count + 1)), 1.0)


def poisson_at_least(count: int, mean: float) -> float:
    """Probability of so many events or more.

    The upper tail is summed itself where it is the small one: one less nearly one would be rounding.
    """
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if count <= mean:
        return 1.0 - poisson_at_most(count - 1, mean)
    term = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    total, k = 0.0, count
    while term > total * 1e-17 and term > 0:
        total += term
        k += 1
        term *= mean / k
    return min(total, 1.0)


def likely_count(mean: float) -> int:
    """The number of events nearest to the one behind which the mean is as likely below `mean` as above it.

    The mean behind a count is rather more than the count, by two thirds: the median of a gamma distribution.

    Source: Garwood 1936, Biometrika 28, 437, at 50 %; Choi 1994, Proceedings of the AMS 121, 245 (the median).
    """
    return max(round(mean - 2 / 3), 0)


def two_sided(count: int, mean: float) -> float:
    """How surprising a count is in either direction: twice the smaller tail, at most 1.

    Source: Cox & Hinkley, Theoretical Statistics (1974), section 3.4(iv); the exact test of a Poisson mean.
    """
    return min(1.0, 2 * min(poisson_at_most(count, mean), poisson_at_least(count, mean)))


def mean_interval(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Means that are compatible with a count.

    Source: Garwood 1936, Biometrika 28, 437: the exact interval for a Poisson mean.

    Args:
        count: Events that were seen, 0 or more.
        confidence: 0-1, of the two-sided interval.
    """
    side = (1 - confidence) / 2
    highest = count + 10 * math.sqrt(count + 1) + 20
    low = 0.0 if count == 0 else _where(lambda mean: poisson_at_least(count, mean) >= side, 0.0, float(count))
    high = _where(lambda mean: poisson_at_most(count, mean) < side, float(count), highest)
    return low, high


def count_interval(mean: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Counts to expect of a Poisson mean: the lowest and highest that are not in the tails beyond `confidence`."""
    side = (1 - confidence) / 2
    low = 0
    while poisson_at_most(low, mean) < side:
        low += 1
    high = low
    while poisson_at_least(high + 1, mean) > side:
        high += 1
    return low, high


def future_interval(mean: float, low: float, high: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Counts to expect while the mean itself is known only within an interval.

    The mean is taken for one of `_MEANS`, drawn evenly from a law that has the interval: its logarithm is normal on
    either side. Where nothing was seen (a mean of 0), it is exponential below `high`.

    Args:
        mean: The most likely mean of the count.
        low: Lower end of its interval of the same confidence.
        high: Upper end.
        confidence: 0-1.
    """
    side = (1 - confidence) / 2
    edge = NormalDist().inv_cdf(1 - side)
    means = [_quantile((i + 0.5) / _MEANS, mean, max(low, mean * 1e-3), max(high, mean), edge) for i in range(_MEANS)]
    lowest = 0
    while sum(poisson_at_most(lowest, one) for one in means) / _MEANS < side:
        lowest += 1
    highest = lowest
    while sum(poisson_at_least(highest + 1, one) for one in means) / _MEANS > side:
        highest += 1
    return lowest, highest


def _quantile(share: float, mean: float, low: float, high: float, edge: float) -> float:
    """The mean that lies in such a place among the possible ones; `edge` is the normal quantile of the interval."""
    if mean <= 0:
        return high * math.log(1 - share) / math.log((1 - CONFIDENCE) / 2)
    normal = NormalDist().inv_cdf(share) / edge
    return mean * math.pow(high / mean, normal) if normal > 0 else mean * math.pow(low / mean, -normal)


def _where(holds: Callable[[float], bool], below: float, above: float) -> float:
    """Between `below`, where it does not hold, and `above`, where it does: the place where it begins to."""
    for _ in range(_STEPS):
        middle = (below + above) / 2
        if holds(middle):
            above = middle
        else:
            below = middle
    return (below + above) / 2
