"""The slope of a line through zero, also where some points do not belong to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Tukey's: 95 % of the efficiency of least squares where there are no outliers.
_TUKEY = 4.685


@dataclass(frozen=True)
class Scale:
    """k, its standard error, and from how many pixels it is."""

    k: float
    error: float
    pixels: int


def least_squares(y: Array, x: Array) -> Scale:
    """Least squares: PULSAR's formula with the sky taken out."""
    k = float(np.sum(y * x) / np.sum(x * x))
    rest = y - k * x
    return Scale(k, float(np.sqrt(np.sum((rest * x) ** 2)) / np.sum(x * x)), len(y))


def biweight(y: Array, x: Array, variance_of: Callable[[float], Array] | None) -> Scale:
    """Tukey's biweight from the weighted median of the ratios; the error from the sandwich formula
    (Huber and Ronchetti, Robust Statistics, 2nd edition, section 7.6).

    Parameters
    ----------
    y, x : ndarray of float64, shape (n,)
        y = k*x + noise.
    variance_of : callable, optional
        From k the variance of each y; None: all have one, which the scatter tells.
    """
    k = _weighted_median(y / x, x)
    for _ in range(30):
        variance = np.ones(len(y)) if variance_of is None else variance_of(k)
        rest = (y - k * x) / np.sqrt(variance)
        spread = 1.4826 * float(np.median(np.abs(rest)))
        spread = max(spread, 1.0 if variance_of is not None else spread) or 1.0
        u = rest / (_TUKEY * spread)
        weight = np.where(np.abs(u) < 1, (1 - u**2) ** 2, 0.0) / variance
        new = float(np.sum(weight * x * y) / np.sum(weight * x * x))
        done = abs(new - k) < 1e-7 * abs(k)
        k = new
        if done:
            break
    # psi and its derivative at the end
    size = np.sqrt(variance)
    rest = (y - k * x) / size
    u = rest / (_TUKEY * spread)
    inside = np.abs(u) < 1
    psi = np.where(inside, rest * (1 - u**2) ** 2, 0.0)
    slope = np.where(inside, (1 - u**2) * (1 - 5 * u**2), 0.0)
    scaled = x / size
    error = np.sqrt(np.sum((psi * scaled) ** 2)) / np.abs(np.sum(slope * scaled**2))
    return Scale(k, float(error), len(y))


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
