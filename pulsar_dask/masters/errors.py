"""The noise of one frame and the standard error of a master, of each pixel.

By the model of the noise (`kernels.noise`), which knows it from many pixels; else, and where a
pixel is noisier than that, from its own values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.kernels.noise import Noise, quantile

Array = np.ndarray[Any, Any]
#: Pixels at a time, so that what is held on the way is small.
_AT_ONCE = 16_384
#: Error of a median in that of a mean, of 3 to 20 values of normal noise (by quadrature).
_MEDIANS = (
    1.1602, 1.0922, 1.1976, 1.1351, 1.2137, 1.1599, 1.2227, 1.1761, 1.2283, 1.1875, 1.2322, 1.1960,
    1.2351, 1.2025, 1.2373, 1.2077, 1.2390, 1.2119,
)  # fmt: skip
#: Deviations of normal noise that are seen once in a million.
_RARE = 4.7534
#: Of fewer values a trimmed mean tells no error, but of 3 and 4 it is their median.
_TRIMMED = 5


def needs(planes: tuple[str, ...]) -> tuple[str, ...]:
    """What a method is to make for these planes."""
    wanted = dict.fromkeys(p for p in planes if p not in ("std", "uncertainty"))
    if "std" in planes:
        wanted |= dict.fromkeys(("count", "deviation"))
    if "uncertainty" in planes:
        wanted |= dict.fromkeys(("count", "low", "high", "outlier", "deviation", "spread"))
    return tuple(wanted)


def errors(
    made: Mapping[str, Array], method: Combine, noise: Noise | None, planes: tuple[str, ...]
) -> dict[str, Array]:
    """What of the planes "std" and "uncertainty" is wanted, of what a method has made.

    Parameters
    ----------
    made : mapping
        What `needs` asks for, of shape (n,).
    method : Combine
    noise : Noise, optional
        Of one frame; None: each pixel from its own values.

    Returns
    -------
    dict of ndarray of float32
        NaN where it cannot be told.
    """
    n = len(made["image"])
    found: dict[str, Array] = {
        name: np.empty(n, "f4") for name in ("std", "uncertainty") if name in planes
    }
    for start in range(0, n, _AT_ONCE):
        part = {name: values[start : start + _AT_ONCE] for name, values in made.items()}
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            std = _std(part["deviation"], part["count"], method)
            if "std" in found:
                found["std"][start : start + _AT_ONCE] = std
            if "uncertainty" in found:
                error = _error(part, std, method, noise)
                found["uncertainty"][start : start + _AT_ONCE] = error
    return found


def median_factor(n: Array) -> Array:
    """Standard error of medians of n values in that of their means, for normal noise."""
    many = np.maximum(n, 21).astype(float)
    odd = 1 - (4 - math.pi) / (2 * many)
    even = 1 - 1.37 / many + 1.5 / many**2
    found = np.sqrt(math.pi / 2 * np.where(n % 2, odd, even))
    table = np.array([1.0, 1.0, 1.0, *_MEDIANS])
    factor: Array = np.where(n <= 20, table[np.minimum(n, 20)], found)
    return factor


def _of_trimmed(part: Mapping[str, Array]) -> Array:
    """Standard error of means without some of the lowest and the highest values in that of the mean
    of all, for normal noise: by the variance of values whose ends are pulled in (Stigler 1973)."""
    places = np.stack([part["count"], part["low"], part["high"]])
    ways, which = np.unique(places, axis=1, return_inverse=True)
    factors, normal = np.ones(ways.shape[1]), NormalDist()
    for i, (kept, low, high) in enumerate(ways.T.tolist()):
        if not kept or not low + high:
            continue
        n = kept + low + high
        below, above = low / n, high / n
        moments = [0.0, kept / n]
        for share, sign in ((below, 1), (above, -1)):
            if share:
                edge = sign * normal.inv_cdf(share)
                moments[0] += share * edge + sign * normal.pdf(edge)
                moments[1] += share * edge**2 + sign * edge * normal.pdf(edge)
        factors[i] = math.sqrt(moments[1] - moments[0] ** 2) * n / kept
    return factors[which.ravel()]


def _c4(n: Array) -> Array:
    """Mean of the sample deviation of n values in the true one."""
    factor: Array = 1 - 1 / (4 * np.maximum(n - 1, 1))
    return factor


def _std(deviation: Array, count: Array, method: Combine) -> Array:
    known: Array = deviation / (_truncation(method) * _c4(count))
    known[count < 2] = np.nan
    return known


def _truncation(method: Any) -> float:
    """Deviation of normal noise that is cut off at limits, in that of all of it."""
    if not hasattr(method, "maxiters"):
        return 1.0
    a, b = -float(method.low), float(method.high)
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (a, b)]
    share = (math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) / 2
    mean = (density[0] - density[1]) / share
    return math.sqrt(1 + (a * density[0] - b * density[1]) / share - mean * mean)


def _error(part: Mapping[str, Array], std: Array, method: Combine, noise: Noise | None) -> Array:
    kept = part["count"]
    all_ = kept + part["low"] + part["high"]
    of_median = median_factor(all_) / np.sqrt(all_)
    if method.name == "median":
        factor, own = of_median, part["spread"] / _c4(all_) * of_median
    elif method.name == "minmax":
        # Tukey and McLaughlin 1963
        own = part["spread"] / _c4(all_) * np.sqrt(all_) / kept
        own = np.where(all_ < _TRIMMED, np.nan, own)
        factor = np.where(all_ < _TRIMMED, of_median, _of_trimmed(part) / np.sqrt(all_))
    else:
        factor = np.where(part["outlier"] > 0, of_median, 1 / np.sqrt(kept))
        own = std * factor
    if noise is None:
        return np.where(kept > 0, own, np.nan)
    variance = noise.at(part["image"])
    error = factor * np.sqrt(variance)
    seen = part["spread"] if method.name == "median" else part["deviation"]
    noisy = seen * seen > variance * quantile(kept - 1, _RARE)
    noisy &= kept > 2
    error = np.where(noisy | np.isnan(error), own, error)
    return np.where(kept > 0, error, np.nan)
