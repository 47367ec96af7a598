"""Which frames of a stack do not belong: by level, noise, hits and corners of a sample of each.

Pure arithmetic on arrays, so that it is tried on thousands of small stacks; what is found names
frames by their place in the stack. Limits were tuned and then tried on another generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.masters.measured import MAD, Measured, median_of, median_there, medians
from pulsar_dask.masters.trends import FEWEST, common_slope, running_median, straight_line

Array = np.ndarray[Any, Any]
#: Least step of a level, in noises of one frame, that counts at all.
LEAST_LEVEL, LEAST_CORNER = 0.3, 0.08
#: Times its error that a mean must be off, for chance not to do it in a thousand stacks.
CHANCE = 6.0
#: Two groups of levels: their distance in noises of a frame, and the most that each spreads.
APART, TIGHT = 3.0, 0.25
NOISE, SLACK = 0.15, 0.05
HITS, HIT_SHARE = 5.0, 0.002
#: Pixels that the tracks of some particles strike in a small frame, whatever their share.
TRACKS = 32
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
    noise = median_of(measured.noise[usable])
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
        least = max(least, 10 * noise, 0.2 * abs(median_of(level)))
    if steps[cut] <= least or spread > TIGHT * steps[cut]:
        return []
    few, many = (low, high) if len(low) < len(high) else (high, low)
    a, b = (median_of(level[part]) for part in (few, many))
    return [
        Found(
            "level",
            tuple(sorted(int(i) for i in usable[few])),
            f"at {round(a, 1):.7g} ADU, the other {len(many)} at {round(b, 1):.7g}",
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
    smooth = running_median(level)
    steps = np.diff(level)
    factor = 10.0 if n < 20 else 6.0
    usual = MAD * median_of(np.abs(steps - median_of(steps))) / math.sqrt(2)
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
    line, change, _ = straight_line(smooth)
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


def _noises(measured: Measured, usable: Array, odd: set[int], levels: Array | None) -> list[Found]:
    """Frames noisier or quieter than their level allows."""
    noise = measured.noise[usable]
    if levels is not None:
        at = levels[usable]
        expected = median_of(noise * np.sqrt(at)) / np.sqrt(at)
    else:
        expected = _expected_noise(measured, usable, odd)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = noise / expected
    usual = MAD * median_of(np.abs(ratio - median_of(ratio)))
    reach = np.full(len(usable), max(NOISE, 6 * usual))
    if levels is None:  # the pattern of a dark grows with its warmth
        reach += SLACK * _warmth(measured, usable) + 0.5 * np.abs(
            expected / median_of(expected) - 1
        )
    bad = np.flatnonzero(np.abs(ratio - 1) > reach)
    if not len(bad) or 2 * len(bad) >= len(usable):
        return []
    least, most = (f"{times:.2f}" for times in (ratio[bad].min(), ratio[bad].max()))
    times = least if least == most else f"{least} to {most}"
    return [
        Found(
            "noise",
            tuple(int(i) for i in usable[bad]),
            f"{times} times that of the others ({median_of(noise):.3g})",
        )
    ]


def _warmth(measured: Measured, usable: Array) -> Array:
    """How far the level of each frame is from the usual one, in noises of a frame."""
    level = measured.level[usable]
    away: Array = np.abs(level - median_of(level)) / median_of(measured.noise[usable])
    return away


def _expected_noise(measured: Measured, usable: Array, odd: set[int]) -> Array:
    """Noise squared grows with the level where that is light or warmth."""
    level, square = measured.level[usable], measured.noise[usable] ** 2
    middle = median_of(square)
    slope = common_slope(level, square[:, None], 0.3 * math.sqrt(middle), odd, usable)
    if slope is None:
        return np.full(len(usable), math.sqrt(middle))
    left = square - slope[0] * level
    line: Array = median_of(left) + slope[0] * level
    return np.sqrt(np.maximum(line, 0.05 * middle))


def _hits(measured: Measured, usable: Array, noise: float) -> list[Found]:
    """Frames with many more bright pixels than others: trails, a storm of particles."""
    share = measured.hits[usable]
    usual = median_of(share)
    few = max(HIT_SHARE, TRACKS / (4 * max(1.0, measured.size)))
    least = few * (1 + _warmth(measured, usable)) + usual
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
            slope = common_slope(x, corners, least, odd, usable)
            if slope is not None:
                steady = (x - median_of(x))[:, None] * slope
                corners, slack = corners - steady, slack + 0.25 * np.abs(steady)
    away = corners - medians(corners)
    usual = MAD * median_there(np.abs(away - median_there(away)))
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
    lines = [straight_line(column) for column in ratios.T if np.isfinite(column).all()]
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
        _, change, error = straight_line(np.log(levels[index]))
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
