"""How certain a number is: bootstrap over people, paired differences, intervals of shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean or a share with its 95 % interval and the number of values that it rests on."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(values: Sequence[float], groups: Sequence[str], *, seed: int) -> Estimate:
    """Mean with a percentile bootstrap interval that resamples whole groups (people), not single clips.

    The clips of one person are alike; resampling them one by one would make the interval too narrow. With a single
    group the interval is the mean itself. Raises ValueError without values. Source: Efron & Tibshirani 1993, ch. 13.
    """
    import numpy as np

    if not len(values):
        raise ValueError("no values to take a mean of")
    numbers = np.asarray(values, float)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(index, numbers), np.bincount(index)
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(numbers.mean()), float(low), float(high), len(numbers))


def paired_difference(
    values: Sequence[float], others: Sequence[float], groups: Sequence[str], *, seed: int
) -> Estimate:
    """Mean of ``values - others``, pair by pair on the same clips, with its bootstrap interval over groups.

    An interval that does not hold 0 speaks for a real difference.
    """
    if len(values) != len(others):
        raise ValueError("paired values must be equally many")
    return bootstrap_mean([a - b for a, b in zip(values, others, strict=True)], groups, seed=seed)


def wilson(successes: int, n: int) -> Estimate:
    """A share with Wilson's score interval (Wilson 1927): good for small ``n`` and for shares near 0 and 1."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"no share of {successes} in {n}")
    from scipy.stats import binomtest  # takes half a second to import

    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)
