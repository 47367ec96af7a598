"""Robust figures of values in order: what a few odd ones do not move."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pulsar_dask.masters.measured import medians

Array = np.ndarray[Any, Any]
#: Frames of which all pairs are compared.
PAIRED = 100
#: Fewer values have no slope.
FEWEST = 5


def running_median(values: Array) -> Array:
    """Of three in a row; at the ends by Tukey's rule."""
    out = values.copy()
    out[1:-1] = np.sort([values[:-2], values[1:-1], values[2:]], axis=0)[1]
    out[0] = sorted([values[0], out[1], 3 * out[1] - 2 * out[2]])[1]
    out[-1] = sorted([values[-1], out[-2], 3 * out[-2] - 2 * out[-3]])[1]
    return out


def straight_line(values: Array) -> tuple[float, float, float]:
    """A straight line through values in order: the share of their variance that it takes, the
    change from the first to the last, and the error of that."""
    n = len(values)
    x = np.arange(n) - (n - 1) / 2
    y = values - values.mean()
    slope = float((x * y).sum() / (x * x).sum())
    left = float(((y - slope * x) ** 2).sum())
    total = float((y * y).sum())
    error = math.sqrt(left / max(1, n - 2) / float((x * x).sum())) * (n - 1)
    return (1 - left / total if total > 0 else 0.0), slope * (n - 1), error


def common_slope(x: Array, y: Array, least: float, odd: set[int], usable: Array) -> Array | None:
    """How each column of `y` changes with `x`: the median of the slopes between frames, which a
    few odd ones do not move; None where `x` hardly changes."""
    good = np.array([i not in odd for i in usable])
    if good.sum() < FEWEST or np.ptp(x[good]) < least:
        return None
    first, second = np.triu_indices(len(x), 1)[:2] if len(x) <= PAIRED else _halves(x)
    apart = x[second] - x[first]
    far = (np.abs(apart) > 0.2 * np.ptp(x[good])) & good[first] & good[second]
    if not far.any():
        return None
    return medians((y[second] - y[first])[far] / apart[far, None])


def _halves(x: Array) -> tuple[Array, Array]:
    """Pairs of as many lower as higher places, where all pairs would be too many."""
    order, half = np.argsort(x, kind="stable"), len(x) // 2
    return order[:half], order[-half:]
