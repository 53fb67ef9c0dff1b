"""Least squares that explain motion by few units: bounded, and with a price for every unit that takes part."""

from __future__ import annotations

import numpy as np

from facemotion.head.compiled import compiled

_SWEEPS = 500
_SETTLED = 1e-4


def sparse_fit(
    normal: np.ndarray, right: np.ndarray, *, low: np.ndarray, high: np.ndarray, price: np.ndarray
) -> np.ndarray:
    """The x (n,) in [low, high] that minimises ``x @ normal @ x / 2 - right @ x + price @ abs(x)``.

    normal: (n, n) positive definite. By coordinate descent (Friedman et al. 2010, "Regularization Paths for Generalized
    Linear Models via Coordinate Descent", J. Stat. Softw. 33), until nothing changes by more than 1e-4.
    """
    arrays = (np.ascontiguousarray(each, np.float64) for each in (normal, right, low, high, price))
    return _descend(*arrays)


@compiled()
def _descend(normal, right, low, high, price):
    x = np.zeros(len(right))
    pull = np.zeros(len(right))  # normal @ x
    for _ in range(_SWEEPS):
        largest = 0.0
        for i in range(len(x)):
            free = right[i] - pull[i] + normal[i, i] * x[i]
            if free > price[i]:
                wanted = (free - price[i]) / normal[i, i]
            elif free < -price[i]:
                wanted = (free + price[i]) / normal[i, i]
            else:
                wanted = 0.0
            wanted = min(max(wanted, low[i]), high[i])
            step = wanted - x[i]
            if step != 0.0:
                for j in range(len(x)):
                    pull[j] += normal[j, i] * step
                x[i] = wanted
                largest = max(largest, abs(step))
        if largest < _SETTLED:
            break
    return x
