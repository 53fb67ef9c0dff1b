"""How certain a share is."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval and the number of values that it rests on."""

    mean: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int) -> Estimate:
    """A share with Wilson's score interval (Wilson 1927): good for small ``n`` and for shares near 0 and 1."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"no share of {successes} in {n}")
    from scipy.stats import binomtest  # takes half a second to import

    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)
