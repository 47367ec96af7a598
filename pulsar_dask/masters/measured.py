"""Figures of each frame of a stack, from a sample of it beside what the frames were combined to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: From a median absolute deviation to the standard deviation of normal noise.
MAD = 1.4826
#: Noises of a frame within which values are its own, and not hits or hot pixels.
WITHIN = 5.0
#: Values that tell where these lie.
SOME = 2048
#: Most that a row adds to that: one that is read out badly is not a frame.
ROW_SHARE = 0.05


@dataclass(frozen=True)
class Measured:
    """Figures of each frame, float64."""

    level: Array
    noise: Array
    hits: Array
    corners: Array
    """Of the 2 x 2 quadrants what they differ from the frame's own level; shape (frames, 4)."""
    base: float
    """Level of the master."""
    size: float
    """Values in a quadrant."""


def measure(
    frames: Iterable[Array],
    n: int,
    width: int,
    master: Array,
    quadrant: Array,
    *,
    flat: bool,
    grain: float = 0.0,
) -> Measured:
    """Measure frames by a sample of each.

    Parameters
    ----------
    frames : iterable of ndarray, one-dimensional
        Values, missing ones NaN.
    n : int
        How many frames.
    width : int
        Values in a row of the sample.
    master : ndarray
        Their combination at the same places.
    quadrant : ndarray of int
        0 to 3.
    flat : bool
        Whether hits are looked for where there is light; else not in hot pixels, which vary with
        the temperature.
    grain : float
        Least difference of two values: noise that rounding hides is not 0.
    """
    found = np.full((n, 3), np.nan)
    corners = np.full((n, 4), np.nan)
    cool: Array | None = None
    base = median_there(master) if np.isfinite(master).any() else math.nan
    for i, values in enumerate(frames):
        away = values - master
        there = np.isfinite(away)
        if not there.any():
            continue
        # every few of the values tell enough of which are to be taken
        some = away[there][:: max(1, len(away) // SOME)]
        middle = median_of(some)
        noise = max(_scatter(some - middle), 0.5 * grain)
        if cool is None:  # hot pixels follow the temperature, and are not the frame's level
            cool = master < base + max(WITHIN * noise, 0.5 * abs(base) if flat else 0.0)
        near = cool & (np.abs(away - middle) <= WITHIN * noise)
        if not near.any():
            continue
        kept, own = away[near], quadrant[near]
        level, noise = float(kept.mean()), _without_pattern(kept, master[near], grain)
        counts = np.bincount(own, minlength=4)
        with np.errstate(invalid="ignore", divide="ignore"):
            corners[i] = np.bincount(own, kept, minlength=4) / counts - level
        sky = there & (master > 0.5 * base if flat else master < base + 3 * noise)
        bright = (sky & (away > middle + WITHIN * noise)).reshape(-1, width).mean(axis=1)
        share = float(np.minimum(bright, ROW_SHARE).mean()) / max(sky.mean(), 0.01)
        found[i] = base + level, noise, share
    size = float(np.bincount(quadrant, minlength=4).min())
    return Measured(found[:, 0], found[:, 1], found[:, 2], corners, base, size)


def median_of(values: Array) -> float:
    """The median of values of which none is missing: `numpy.median`, which takes five times as long
    for a few thousand, of which there are thousands of frames, and loads `numpy.ma`."""
    half = len(values) // 2
    ordered = np.partition(values, half)
    if len(values) % 2:
        return float(ordered[half])
    return float((ordered[:half].max() + ordered[half]) / 2)


def median_there(values: Array) -> float:
    """Of those that are not missing; NaN where there is none."""
    there = values[~np.isnan(values)]
    return median_of(there) if len(there) else math.nan


def medians(values: Array) -> Array:
    """Of each column those that are not missing."""
    return np.array([median_there(column) for column in values.T])


def _scatter(away: Array) -> float:
    """A robust noise, of what values differ from their median."""
    noise = MAD * median_of(np.abs(away))
    if not noise:  # most are equal
        noise = float(np.ptp(np.percentile(away, [1, 99]))) / 4.65
    return noise or 1e-300


def _without_pattern(away: Array, master: Array, grain: float) -> float:
    """The noise of what a frame differs from the master by, but for what follows the master: the
    pattern of warmer darks is no noise."""
    x = master - master.mean()
    y = away - away.mean()
    square, spread = _sum(y * y), _sum(x * x)
    if spread > 0:
        square -= _sum(x * y) ** 2 / spread
    return max(math.sqrt(max(square, 0.0) / len(y)), 0.29 * grain, 1e-300)


def _sum(values: Array) -> float:
    """Without BLAS: for so few values its threads cost many times what they save."""
    return float(np.add.reduce(values))
