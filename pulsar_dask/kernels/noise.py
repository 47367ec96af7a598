"""The noise of one frame as it depends on the level, from some pixels of a stack.

V(c) = variance + slope (c - level) + square max(0, c - level)^2, and at least `floor`: read noise,
photons, and what grows with the level itself (dark current that drifts with the temperature, levels
that differ a little). All three are not negative.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
#: Robust deviations within which a value counts: the limit of the clip itself.
_WITHIN = 5.0
MAD_SIGMA = 1.482602218505602
#: Groups of pixels of like level; the brightest is divided once more.
_BINS, _BRIGHT = 32, 8
_ROUNDS, _CHANGE = 8, 1e-4
#: More of the pixels than this beyond the quantile of 99.9 %: their noise is not one of levels.
_NOISY, _BEYOND = 0.2, 3.0902
#: Of the normal distribution: what is seen once in a million.
RARE = 4.7534
#: A part of the sensor whose noise is off by so much has a noise of its own (another amplifier).
_APART, _SURE = 1.25, 5.0


class Noise(NamedTuple):
    """Variances of a value of one frame, ADU^2."""

    variance: float
    """At the level."""
    slope: float
    """How it grows with what lies above, ADU: one over the gain in electrons per ADU."""
    square: float
    level: float
    """ADU."""
    floor: float
    """Its least."""

    def at(self, level: Array | float) -> Array:
        """Variances at some levels, ADU."""
        above = np.asarray(level) - self.level
        bright = np.maximum(above, 0.0)
        found = self.variance + self.slope * above + self.square * bright * bright
        return np.maximum(found, self.floor)


class NoModelError(ValueError):
    """The noise does not follow the level alone; the text says why."""


def fit(values: Array, grain: float = 0.0, parts: Array | None = None) -> Noise:
    """The noise of frames of one stack.

    Parameters
    ----------
    values : ndarray of float64, shape (frames, pixels)
        NaN where missing. It is sorted on return.
    grain : float
        Least difference of two values.
    parts : ndarray of int, shape (ways, pixels), optional
        Ways to divide the sensor: of each pixel the number of its part.

    Raises
    ------
    NoModelError
        There are less than three frames, no noise at all, or one that differs from pixel to pixel
        or from one part of the sensor to another at the same level.
    """
    frames = len(values)
    values.sort(axis=0)  # NaN last
    there = np.count_nonzero(values == values, axis=0)
    enough = there >= 3
    if not enough.any():
        raise NoModelError("fewer than 3 values of a pixel tell no noise")
    if not enough.all():
        values, there = values[:, enough], there[enough]
        parts = None if parts is None else parts[:, enough]
    index = np.arange(values.shape[1])
    centre = (values[(there - 1) // 2, index] + values[there // 2, index]) / 2
    order = np.argsort(centre, kind="stable")
    centre, values, there = centre[order], values[:, order], there[order]
    parts = None if parts is None else parts[:, order]
    off = np.abs(values - centre)
    starts = _starts(len(centre))
    least = grain / 2
    sigma = max(least, MAD_SIGMA * float(np.nanmedian(off)))
    if not sigma > 0:
        raise NoModelError("the values of most pixels are the same in all frames")
    level = float(np.median(centre))
    ends = [*starts[1:], len(centre)]
    each = [max(least, MAD_SIGMA * _median(off[:, a:b])) for a, b in zip(starts, ends, strict=True)]
    limits = np.repeat(np.maximum(each, 1e-300), np.diff([*starts, len(centre)]))
    above = centre - level
    at = np.add.reduceat(above, starts) / np.diff([*starts, len(centre)])
    bright = np.maximum(above, 0) ** 2
    bright = np.add.reduceat(bright, starts) / np.diff([*starts, len(centre)])
    found = Noise(sigma * sigma, 0.0, 0.0, level, 0.0)
    for _ in range(_ROUNDS):
        squares, dof = _scatter(values, off, limits)
        by_bin = np.add.reduceat(squares, starts)
        dof_by_bin = np.add.reduceat(dof, starts)
        known = (dof_by_bin > 0) & (by_bin > 0)
        if not known.any():
            raise NoModelError("the values of most pixels are the same in all frames")
        variance = by_bin[known] / dof_by_bin[known]
        sigma2 = float(by_bin.sum() / dof_by_bin.sum())
        span = float(at[known].max() - at[known].min())
        new = Noise(sigma2, 0.0, 0.0, level, 0.0)
        if span > max(3.0, 10 / math.sqrt(frames)) * math.sqrt(sigma2):
            terms = np.stack([np.ones(known.sum()), at[known], bright[known]])
            weights = dof_by_bin[known] / (2 * variance**2)
            new = Noise(*_positive(terms, variance, weights), level, 0.0)
        # the darkest of few values a pixel are those that scatter most: not above the line
        lowest = min(float(variance[0]), float(new.at(level + at[known][0])))
        new = new._replace(floor=max(lowest, grain * grain / 12))
        was, now = found.at(centre[starts]), new.at(centre[starts])
        found = new
        limits = np.sqrt(found.at(centre))
        if np.all(np.abs(now - was) <= _CHANGE * was):
            break
    _check(found, centre, values, squares, dof, parts)
    return found


def _starts(pixels: int) -> list[int]:
    """Where groups of pixels that are in order of their level begin."""
    bins = max(1, min(_BINS, pixels // 8))
    edges = [pixels * i // bins for i in range(bins + 1)]
    last = edges[-2]
    more = [last + (pixels - last) * i // _BRIGHT for i in range(_BRIGHT)]
    return list(dict.fromkeys([*edges[:-2], *more]))


def _median(off: Array) -> float:
    known = off[off == off]
    return float(np.median(known)) if known.size else 0.0


def _scatter(values: Array, off: Array, sigma: Array) -> tuple[Array, Array]:
    """Of each pixel the sum of squares of what lies within the limits, about its mean, and the
    degrees of freedom."""
    with np.errstate(invalid="ignore"):
        inside = off <= _WITHIN * sigma
    kept = np.count_nonzero(inside, axis=0)
    lowest = values[0]
    shifted = np.where(inside, values - lowest, 0.0)
    total = shifted.sum(axis=0)
    np.multiply(shifted, shifted, out=shifted)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = shifted.sum(axis=0) - total * total / kept
    return np.where(kept > 1, np.maximum(squares, 0.0), 0.0), np.maximum(kept - 1, 0)


def _positive(terms: Array, values: Array, weights: Array) -> tuple[float, float, float]:
    """Coefficients of a sum of three terms, none negative, by weighted least squares: the best of
    those that some of the terms give (Lawson and Hanson's condition, for three terms)."""
    best, least = (float(np.average(values, weights=weights)), 0.0, 0.0), math.inf
    roots = np.sqrt(weights)
    for chosen in itertools.chain.from_iterable(
        itertools.combinations(range(3), k) for k in (1, 2, 3)
    ):
        some = (terms[list(chosen)] * roots).T
        scale = np.abs(some).max(axis=0)
        if not scale.all():
            continue
        found, *_ = np.linalg.lstsq(some / scale, values * roots, rcond=None)
        if (found < 0).any():
            continue
        residual = float(np.sum((some / scale @ found - values * roots) ** 2))
        if residual < least * (1 - 1e-12):
            least, full = residual, np.zeros(3)
            full[list(chosen)] = found / scale
            best = (float(full[0]), float(full[1]), float(full[2]))
    return best


def quantile(dof: Array, z: float) -> Array:
    """Quantiles of chi^2 over its degrees of freedom, at `z` of the normal distribution (Wilson and
    Hilferty 1931)."""
    part = 2 / (9 * np.maximum(dof, 1))
    found: Array = (1 - part + z * np.sqrt(part)) ** 3
    return found


def _check(
    found: Noise, centre: Array, values: Array, squares: Array, dof: Array, parts: Array | None
) -> None:
    expected = found.at(centre)
    last = np.take_along_axis(values, np.maximum(dof, 0)[None], axis=0)[0]
    counted = (dof > 0) & (last > values[0])
    if counted.any():
        ratio = squares[counted] / dof[counted] / expected[counted]
        noisy = float(np.mean(ratio > quantile(dof[counted], _BEYOND)))
        if noisy > _NOISY:
            raise NoModelError(f"{noisy:.0%} of the pixels are noisier than their level explains")
    for way in parts if parts is not None else ():
        degrees = np.bincount(way, dof)
        seen = np.bincount(way, np.where(expected > 0, squares / expected, 0.0))
        there = degrees > 0
        ratio = seen[there] / degrees[there]
        off = np.abs(np.log(np.maximum(ratio, 1e-9)))
        error = np.sqrt(2 / degrees[there])
        odd = off > math.log(_APART) + _SURE * error
        if odd.any():
            worst = float(ratio[np.argmax(np.where(odd, off, 0))])
            raise NoModelError(
                f"a part of the sensor has {math.sqrt(worst):.2f} times the noise of the rest at "
                "the same level (another amplifier, or colour)"
            )
