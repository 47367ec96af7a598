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
from pulsar_dask.frames.quality import OUTLIER, Quality
from pulsar_dask.kernels.noise import RARE, Noise, quantile

Array = np.ndarray[Any, Any]
#: Pixels at a time, so that what is held on the way is small.
_AT_ONCE = 16_384
#: Error of a median in that of a mean, of 3 to 20 values of normal noise (by quadrature).
_MEDIANS = (
    1.1602, 1.0922, 1.1976, 1.1351, 1.2137, 1.1599, 1.2227, 1.1761, 1.2283, 1.1875, 1.2322, 1.1960,
    1.2351, 1.2025, 1.2373, 1.2077, 1.2390, 1.2119,
)  # fmt: skip
#: Of fewer values a trimmed mean tells no error, but of 3 and 4 it is their median.
_TRIMMED = 5


def needs(planes: tuple[str, ...]) -> tuple[str, ...]:
    """What a method is to make for these planes."""
    wanted = dict.fromkeys(p for p in planes if p not in ("std", "uncertainty", "quality"))
    if "std" in planes:
        wanted |= dict.fromkeys(("count", "deviation"))
    if {"uncertainty", "quality"} & {*planes}:
        wanted |= dict.fromkeys(("count", "low", "high", "outlier", "deviation", "spread"))
    return tuple(wanted)


def asked(
    made: Mapping[str, Array], method: Combine, noise: Noise | None, planes: tuple[str, ...]
) -> dict[str, Any]:
    """What `kernels.errors` has to know for the planes "std" and "uncertainty" beside what a method
    has made (`needs`); `noise` is that of one frame, None: each pixel from its own values."""
    return {
        "table": _table(made, method),
        "noise": noise if noise is not None and "uncertainty" in planes else (),
        "by_spread": method.name in ("median", "minmax"),
        "std": "std" in planes,
        "uncertainty": "uncertainty" in planes,
    }


def _table(made: Mapping[str, Array], method: Combine) -> Array:
    """What follows from numbers of values alone, as `kernels.errors` wants it."""
    places = [made[name] for name in ("count", "low", "high") if name in made]
    most = sum(int(place.max(initial=0)) for place in places)
    n = np.arange(most + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_frame = np.where(n < 2, np.nan, _truncation(method) * _c4(n))
        of_median = median_factor(n) / np.sqrt(n)
        factor, times, over = of_median, of_median, np.ones(most + 1)
        if method.name == "minmax" and len(places) == 3:
            # Tukey and McLaughlin 1963
            some, kept, factors = _trimmed(*places)
            over[some] = kept
            times = np.where(n < _TRIMMED, np.nan, np.sqrt(n))
            factor = np.ones(most + 1)
            factor[some] = factors
            factor = np.where(n < _TRIMMED, of_median, factor / np.sqrt(n))
        of_mean = 1 / np.sqrt(n)
    beyond = quantile(n - 1, RARE)
    return np.stack([of_frame, factor, _c4(n), times, over, of_mean, beyond])


def median_factor(n: Array) -> Array:
    """Standard error of medians of n values in that of their means, for normal noise."""
    many = np.maximum(n, 21).astype(float)
    odd = 1 - (4 - math.pi) / (2 * many)
    even = 1 - 1.37 / many + 1.5 / many**2
    found = np.sqrt(math.pi / 2 * np.where(n % 2, odd, even))
    table = np.array([1.0, 1.0, 1.0, *_MEDIANS])
    factor: Array = np.where(n <= 20, table[np.minimum(n, 20)], found)
    return factor


def _trimmed(count: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Numbers of values that there are; of each how many are kept, and the standard error of means
    without some of the lowest and the highest in that of the mean of all, for normal noise: by the
    variance of values whose ends are pulled in (Stigler 1973)."""
    first: dict[int, int] = {}
    for start in range(0, len(count), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        every = count[part] + low[part] + high[part]
        if every[0] in first and every.min() == every.max():
            continue
        for n, place in zip(*np.unique(every, return_index=True), strict=True):
            first.setdefault(int(n), start + int(place))
    kept = [int(count[place]) for place in first.values()]
    ends = [(int(low[place]), int(high[place])) for place in first.values()]
    factors = [_of_trimmed(k, *e) for k, e in zip(kept, ends, strict=True)]
    return np.array(list(first), int), np.array(kept, float), np.array(factors)


def _of_trimmed(kept: int, low: int, high: int) -> float:
    if not kept or not low + high:
        return 1.0
    n, normal = kept + low + high, NormalDist()
    moments = [0.0, kept / n]
    for share, sign in ((low / n, 1), (high / n, -1)):
        if share:
            edge = sign * normal.inv_cdf(share)
            moments[0] += share * edge + sign * normal.pdf(edge)
            moments[1] += share * edge**2 + sign * edge * normal.pdf(edge)
    return math.sqrt(moments[1] - moments[0] ** 2) * n / kept


def _c4(n: Array) -> Array:
    """Mean of the sample deviation of n values in the true one."""
    factor: Array = 1 - 1 / (4 * np.maximum(n - 1, 1))
    return factor


def _truncation(method: Any) -> float:
    """Deviation of normal noise that is cut off at limits, in that of all of it."""
    if not hasattr(method, "maxiters"):
        return 1.0
    a, b = -float(method.low), float(method.high)
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (a, b)]
    share = (math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) / 2
    mean = (density[0] - density[1]) / share
    return math.sqrt(1 + (a * density[0] - b * density[1]) / share - mean * mean)


def noisy(part: Mapping[str, Array], method: Combine, variance: Array) -> Array:
    """Pixels of which what is kept scatters more than noise of some variance does once in a
    million."""
    seen = part["spread"] if method.name == "median" else part["deviation"]
    count = part["count"]
    bounds = quantile(np.arange(-1, count.max(initial=0)), RARE)  # by number: a power is slow
    found: Array = seen * seen > variance * bounds[count]
    return found & (count > 2)


def of_kept(
    made: Mapping[str, Array], method: Combine, noise: Noise | None, quality: Quality
) -> Array:
    """Bits that what a method has made tells, int32: see `errors.needs` for what that is."""
    bits = np.zeros(len(made["image"]), np.int32)
    for start in range(0, len(bits), _AT_ONCE):
        part = {name: values[start : start + _AT_ONCE] for name, values in made.items()}
        found = bits[start : start + _AT_ONCE]
        if hasattr(method, "maxiters"):  # it has limits
            far = part["low"] + part["high"]
            outlying = far > np.maximum(1, (part["count"] + far) // 4)
            found |= np.where(outlying | (part["outlier"] > 0), OUTLIER, 0).astype(np.int32)
        if noise is not None and quality.unreliable:
            with np.errstate(invalid="ignore"):
                variance = noise.at(part["image"])
                loud = noisy(part, method, variance) & (4 * variance >= quality.grain**2)
            found |= np.where(loud, quality.unreliable, 0).astype(np.int32)
    return bits
