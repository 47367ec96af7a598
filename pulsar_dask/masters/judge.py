"""Which frames of a stack do not belong: by level, noise, hits and corners of a sample of each.

Pure arithmetic on arrays, so that it is tried on thousands of small stacks; what is found names
frames by their place in the stack. Limits were tuned and then tried on another generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: From a median absolute deviation to the standard deviation of normal noise.
MAD = 1.4826
#: Frames below which one alone cannot be told from the others' scatter.
FEWEST = 5
#: Noises of a frame within which values are its own, and not hits or hot pixels.
WITHIN = 5.0
#: Values that tell where these lie.
SOME = 2048
#: Least step of a level, in noises of one frame, that counts at all.
LEAST_LEVEL, LEAST_CORNER = 0.3, 0.08
#: Times its error that a mean must be off, for chance not to do it in a thousand stacks.
CHANCE = 6.0
#: Two groups of levels: their distance in noises of a frame, and the most that each spreads.
APART, TIGHT = 3.0, 0.25
NOISE, SLACK = 0.15, 0.05
HITS, HIT_SHARE = 5.0, 0.002
#: Most that a row adds to that: one that is read out badly is not a frame.
ROW_SHARE = 0.05
#: Changes over a set of flats: of a corner, of the lamp.
SHAPE_DRIFT, LAMP_DRIFT = 0.005, 0.05


@dataclass(frozen=True)
class Found:
    """Something that does not belong."""

    what: str
    """One word, as "level"."""
    frames: tuple[int, ...]
    """Where in the stack; empty where it is about all of them."""
    text: str
    """With figures, to stand behind the names of the frames."""
    note: bool = False
    """Whether it is worth knowing, and nothing is wrong."""
    rejects: bool = True
    """Whether the frames are left out where that is asked for."""
    far: bool = False
    """Whether it is wrong whatever the frames are."""


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
    base = float(np.nanmedian(master)) if np.isfinite(master).any() else math.nan
    for i, values in enumerate(frames):
        away = values - master
        there = np.isfinite(away)
        if not there.any():
            continue
        # every few of the values tell enough of which are to be taken
        some = away[there][:: max(1, len(away) // SOME)]
        noise = max(_scatter(some), 0.5 * grain)
        if cool is None:  # hot pixels follow the temperature, and are not the frame's level
            cool = master < base + max(WITHIN * noise, 0.5 * abs(base) if flat else 0.0)
        middle = float(np.median(some))
        near = there & cool & (np.abs(np.where(there, away, 0.0) - middle) <= WITHIN * noise)
        if not near.any():
            continue
        kept = away[near]
        level, noise = float(kept.mean()), _without_pattern(kept, master[near], grain)
        counts = np.bincount(quadrant[near], minlength=4)
        with np.errstate(invalid="ignore", divide="ignore"):
            corners[i] = np.bincount(quadrant[near], kept, minlength=4) / counts - level
        sky = there & (master > 0.5 * base if flat else master < base + 3 * noise)
        bright = (sky & (away > middle + WITHIN * noise)).reshape(-1, width).mean(axis=1)
        share = float(np.minimum(bright, ROW_SHARE).mean()) / max(sky.mean(), 0.01)
        found[i] = base + level, noise, share
    size = float(np.bincount(quadrant, minlength=4).min())
    return Measured(found[:, 0], found[:, 1], found[:, 2], corners, base, size)


def _scatter(values: Array) -> float:
    """A robust noise."""
    noise = MAD * float(np.median(np.abs(values - np.median(values))))
    if not noise:  # most are equal
        noise = float(np.ptp(np.percentile(values, [1, 99]))) / 4.65
    return noise or 1e-300


def _without_pattern(away: Array, master: Array, grain: float) -> float:
    """The noise of what a frame differs from the master by, but for what follows the master: the
    pattern of warmer darks is no noise."""
    x = master - master.mean()
    y = away - away.mean()
    square, spread = float(y @ y), float(x @ x)
    if spread > 0:
        square -= float(x @ y) ** 2 / spread
    return max(math.sqrt(max(square, 0.0) / len(y)), 0.29 * grain, 1e-300)


def judge(
    measured: Measured,
    *,
    flat: bool = False,
    levels: Array | None = None,
    grain: float = 1.0,
) -> list[Found]:
    """What does not belong in a stack whose frames are in order of time.

    Parameters
    ----------
    measured : Measured
    flat : bool
        Whether the frames were scaled to one level.
    levels : ndarray, optional
        Of flats, levels before that.
    grain : float
        Least difference of two values, so that rounding is not taken for a change.
    """
    usable = np.flatnonzero(np.isfinite(measured.noise))
    if len(usable) < 2:
        return []
    noise = float(np.median(measured.noise[usable]))
    found: list[Found] = []
    if not flat:
        found += _groups(measured, usable, noise, grain)
        if not found:
            found += _levels(measured, usable, noise, grain)
    if len(usable) < FEWEST:
        return found
    odd = {i for f in found for i in f.frames}
    found += _noises(measured, usable, odd, levels)
    found += _hits(measured, usable, noise)
    found += _corners(measured, usable, noise, grain, odd, flat=flat)
    odd |= {i for f in found for i in f.frames}
    if flat:
        found += _drifts(measured, [i for i in usable if i not in odd], levels)
    return found


def _groups(measured: Measured, usable: Array, noise: float, grain: float) -> list[Found]:
    """Levels that are two groups far from each other: other light, other scaling."""
    level = measured.level[usable]
    order = np.argsort(level, kind="stable")
    steps = np.diff(level[order])
    cut = int(np.argmax(steps))
    low, high = order[: cut + 1], order[cut + 1 :]
    spread = max(np.ptp(level[low]), np.ptp(level[high]))
    least = max(APART * noise, 3 * grain)
    if len(usable) < FEWEST:  # few of a drift can look so
        least = max(least, 10 * noise, 0.2 * abs(float(np.median(level))))
    if steps[cut] <= least or spread > TIGHT * steps[cut]:
        return []
    few, many = (low, high) if len(low) < len(high) else (high, low)
    a, b = (float(np.median(level[part])) for part in (few, many))
    return [
        Found(
            "level",
            tuple(sorted(int(i) for i in usable[few])),
            f"at {a:.6g} ADU, the other {len(many)} at {b:.6g}",
            rejects=len(few) < len(many),
            far=steps[cut] > 10 * noise and steps[cut] > 0.5 * abs(b),
        )
    ]


def _levels(measured: Measured, usable: Array, noise: float, grain: float) -> list[Found]:
    """Levels that jump from those before and after; a steady drift does not."""
    n = len(usable)
    if n < FEWEST:
        return []
    level = measured.level[usable]
    smooth = _running_median(level)
    steps = np.diff(level)
    factor = 10.0 if n < 20 else 6.0
    usual = MAD * float(np.median(np.abs(steps - np.median(steps)))) / math.sqrt(2)
    limit = max(factor * usual, LEAST_LEVEL * noise, 0.5 * grain)
    away = level - smooth
    reach = np.full(n, limit * (2.0 if usual > 0.5 * noise else 1.0))
    reach[[0, -1]] *= 1.5  # of what only one side tells
    odd = np.flatnonzero(np.abs(away) > reach)
    found = []
    if len(odd):
        worst = odd[np.argmax(np.abs(away[odd]))]
        found.append(
            Found(
                "level",
                tuple(int(i) for i in usable[odd]),
                f"up to {away[worst]:+.4g} ADU from those taken before and after "
                f"(the noise of a frame is {noise:.3g})",
            )
        )
    line, change, _ = _line(smooth)
    if abs(change) > LEAST_LEVEL * noise and line > 0.8:
        found.append(
            Found(
                "drift",
                (),
                f"the level drifts from {smooth[0]:.6g} to {smooth[-1]:.6g} ADU over the set",
                note=True,
            )
        )
    return found


def _running_median(values: Array) -> Array:
    """Of three in a row; at the ends by Tukey's rule."""
    out = values.copy()
    out[1:-1] = np.median([values[:-2], values[1:-1], values[2:]], axis=0)
    out[0] = np.median([values[0], out[1], 3 * out[1] - 2 * out[2]])
    out[-1] = np.median([values[-1], out[-2], 3 * out[-2] - 2 * out[-3]])
    return out


def _line(values: Array) -> tuple[float, float, float]:
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


def _noises(measured: Measured, usable: Array, odd: set[int], levels: Array | None) -> list[Found]:
    """Frames noisier or quieter than their level allows."""
    noise = measured.noise[usable]
    if levels is not None:
        at = levels[usable]
        expected = float(np.median(noise * np.sqrt(at))) / np.sqrt(at)
    else:
        expected = _expected_noise(measured, usable, odd)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = noise / expected
    usual = MAD * float(np.median(np.abs(ratio - np.median(ratio))))
    reach = np.full(len(usable), max(NOISE, 6 * usual))
    if levels is None:  # the pattern of a dark grows with its warmth
        reach += SLACK * _warmth(measured, usable) + 0.5 * np.abs(
            expected / np.median(expected) - 1
        )
    bad = np.flatnonzero(np.abs(ratio - 1) > reach)
    if not len(bad) or 2 * len(bad) >= len(usable):
        return []
    worst = bad[np.argmax(np.abs(np.log(np.maximum(ratio[bad], 1e-9))))]
    return [
        Found(
            "noise",
            tuple(int(i) for i in usable[bad]),
            f"{ratio[worst]:.2f} times that of the others ({float(np.median(noise)):.3g})",
        )
    ]


def _warmth(measured: Measured, usable: Array) -> Array:
    """How far the level of each frame is from the usual one, in noises of a frame."""
    level = measured.level[usable]
    away: Array = np.abs(level - np.median(level)) / float(np.median(measured.noise[usable]))
    return away


def _expected_noise(measured: Measured, usable: Array, odd: set[int]) -> Array:
    """Noise squared grows with the level where that is light or warmth."""
    level, square = measured.level[usable], measured.noise[usable] ** 2
    middle = float(np.median(square))
    slope = _slope(level, square[:, None], 0.3 * math.sqrt(middle), odd, usable)
    if slope is None:
        return np.full(len(usable), math.sqrt(middle))
    left = square - slope[0] * level
    line: Array = float(np.median(left)) + slope[0] * level
    return np.sqrt(np.maximum(line, 0.05 * middle))


def _slope(x: Array, y: Array, least: float, odd: set[int], usable: Array) -> Array | None:
    """How each column of `y` changes with `x`: the median of the slopes between frames, which a
    few odd ones do not move; None where `x` hardly changes."""
    good = np.array([i not in odd for i in usable])
    if good.sum() < FEWEST or np.ptp(x[good]) < least:
        return None
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    far = (np.abs(apart) > 0.2 * np.ptp(x[good])) & good[first] & good[second]
    if not far.any():
        return None
    slopes: Array = np.nanmedian((y[second] - y[first])[far] / apart[far, None], axis=0)
    return slopes


def _hits(measured: Measured, usable: Array, noise: float) -> list[Found]:
    """Frames with many more bright pixels than others: trails, a storm of particles."""
    share = measured.hits[usable]
    usual = float(np.median(share))
    least = HIT_SHARE * (1 + _warmth(measured, usable)) + usual
    bad = np.flatnonzero((share > HITS * usual) & (share > least))
    if not len(bad) or 2 * len(bad) >= len(usable):
        return []
    return [
        Found(
            "hits",
            tuple(int(i) for i in usable[bad]),
            f"up to {share[bad].max():.2%} of the pixels bright (of the others {usual:.2%})",
        )
    ]


def _corners(
    measured: Measured,
    usable: Array,
    noise: float,
    grain: float,
    odd: set[int],
    *,
    flat: bool,
) -> list[Found]:
    """Frames whose quarters lie otherwise than those of the others: leaks, clouds, dew."""
    corners = measured.corners[usable]
    slack = np.zeros_like(corners)
    time = np.arange(len(usable), dtype=float)
    for x, least in (measured.level[usable], 0.3 * noise), (time, 1.0):  # glow, twilight
        if not flat or x is time:
            slope = _slope(x, corners, least, odd, usable)
            if slope is not None:
                steady = (x - np.median(x))[:, None] * slope
                corners, slack = corners - steady, slack + 0.25 * np.abs(steady)
    away = corners - np.nanmedian(corners, axis=0)
    usual = MAD * float(np.nanmedian(np.abs(away - np.nanmedian(away))))
    chance = CHANCE * noise / math.sqrt(max(1.0, measured.size))
    limit = max(LEAST_CORNER * noise, 6 * usual, chance, 0.02 * grain)
    most = np.nanmax(np.abs(away), axis=1)
    bad = np.flatnonzero(np.nanmax(np.abs(away) - slack, axis=1) > limit)
    if not len(bad) or 2 * len(bad) >= len(usable):
        return []
    size = float(most[bad].max())
    figure = f"{size / abs(measured.base):.2%} of the level" if flat else f"{size:.3g} ADU"
    return [
        Found(
            "corners",
            tuple(int(i) for i in usable[bad]),
            f"a quarter of the frame differs from those of the others by up to {figure} "
            "(light, clouds, dew?)",
        )
    ]


def _drifts(measured: Measured, good: Sequence[Any], levels: Array | None) -> list[Found]:
    """Changes along a set of flats."""
    found: list[Found] = []
    if len(good) < FEWEST:
        return found
    index = np.array(good)
    ratios = measured.corners[index] / measured.base
    lines = [_line(column) for column in ratios.T if np.isfinite(column).all()]
    changed = [abs(c) for _, c, error in lines if abs(c) > max(SHAPE_DRIFT, 6 * error)]
    if changed:
        found.append(
            Found(
                "shape",
                (),
                f"the corners change by {max(changed):.2%} of the level along the set "
                "(twilight, dew?)",
                rejects=False,
            )
        )
    if levels is not None:
        _, change, error = _line(np.log(levels[index]))
        if abs(change) > max(LAMP_DRIFT, 6 * error):
            first = float(levels[index[0]])
            found.append(
                Found(
                    "lamp",
                    (),
                    f"the level changes by {math.expm1(change):+.0%} along the set, "
                    f"from {first:.6g} ADU",
                    note=True,
                )
            )
    return found
