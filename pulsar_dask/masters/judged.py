"""What a look at the frames of a product says, in words."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import printable
from pulsar_dask.formats.reading import to_values
from pulsar_dask.frames.frame import Frame, named
from pulsar_dask.kernels.survey import Seen
from pulsar_dask.masters.judge import Found, judge
from pulsar_dask.masters.measured import Measured, measure, median_of, median_there
from pulsar_dask.masters.survey import Survey, Surveyed, stated_limit

Array = np.ndarray[Any, Any]
#: Values up to this are of a scale of 0..1, which interpolation leaves a little.
UNIT = 1.5
#: Median in ADU from which values are certainly of no such scale.
SOME_ADU = 20.0
#: Share of pixels at the wall that is too much, and how many times those of the next value.
SATURATED, WALL = 0.001, 10
#: Shares of full scale between which a flat is well exposed.
LEVELS = 0.1, 0.8
#: Names of frames in a line.
NAMED = 3


def surveyed(frames: Sequence[Frame], saturation: float | None = None) -> Survey:
    """How the frames of a product are looked at, with the value at which they are saturated."""
    return Survey.of(frames, limit=stated_limit(frames) if saturation is None else saturation)


@dataclass(frozen=True)
class Said:
    """Something about frames of a product."""

    text: str
    code: str
    """Of its kind; docs/programs.md lists them."""
    about: tuple[Frame, ...] = ()
    """Those that it is about; none where that is all of them."""
    frames: tuple[Frame, ...] = ()
    """Those that are better left out."""
    note: bool = False


def judged(product: Product, found: Surveyed, run: Run) -> list[Said]:
    """All there is to say, a line a kind.

    Masters that are combined are left alone, and of frames of unknown kinds only what is wrong
    whatever they are is said.
    """
    frames = product.frames
    if all(f.is_master for f in frames):
        return []
    seen = found.frames()
    flat, calibrates = bool(product.levels), product.kind in ("bias", "dark")
    middle = _middles(product, run, found)
    taken = [s.path for s in product.sources if s.role in ("bias", "dark")]
    what = printable(os.path.basename(taken[0])) if taken else "what is subtracted"
    said = [*_constant(frames, seen), *_units(frames, seen, found, middle, what)]
    odd = {f.path for s in said for f in s.frames}
    left = [i for i, f in enumerate(frames) if f.path not in odd]
    order = in_time([frames[i] for i in left])
    order = [left[i] for i in order]
    levels = _levels(product, run)
    if len(order) > 1 and not (flat and levels is None):
        grain = float(1 << min(s.shift for s in seen)) if not found.survey.stored.floating else 0.0
        measured = measured_of(found, order, flat=flat, grain=0.0 if flat else grain)
        scaled = levels[order] if levels is not None else None
        if flat or calibrates:
            results = judge(measured, flat=flat, levels=scaled, grain=0.0 if flat else grain)
        else:
            results = [f for f in judge(measured, grain=grain) if f.far]
        if product.kind == "dark" and np.isfinite(found.net).any():
            said += _below_zero(found, median_there(measured.noise))
        said += [_said(f, [frames[i] for i in order]) for f in results]
    if flat or calibrates or product.kind == "flat":
        said += _saturated(frames, seen, found.survey)
    if product.kind == "flat":
        said += _exposed(frames, seen, found.survey, middle)
    return said


def _said(found: Found, frames: Sequence[Frame]) -> Said:
    odd = tuple(frames[i] for i in found.frames)
    if not odd:
        return Said(found.text, found.what, note=found.note)
    text = f"{found.what} of {_names(odd, len(frames))}: {found.text}"
    return Said(text, found.what, odd, odd if found.rejects else (), found.note)


def _names(odd: Sequence[Frame], n: int) -> str:
    """Frames in words: how many of how many, and the first few."""
    names = named(odd, NAMED)
    return names if len(odd) == 1 else f"{len(odd)} of {n} frames ({names})"


def in_time(frames: Sequence[Frame]) -> list[int]:
    """The order in which frames were taken; as they come where that is not known."""
    dates = [f.date or "" for f in frames]
    if not all(len(date) > 10 for date in dates):
        return list(range(len(frames)))
    return sorted(range(len(frames)), key=lambda i: dates[i])


def _levels(product: Product, run: Run) -> Array | None:
    """Levels of flats before they were scaled."""
    parts = [run.values[layer.name].medians for layer in product.levels]
    if not parts:
        return None
    levels: Array = np.concatenate(parts).mean(axis=1)
    return levels if (levels > 0).all() else None


def measured_of(found: Surveyed, order: Sequence[int], *, flat: bool, grain: float) -> Measured:
    """Figures of frames in that order; kept, as judging and telling want the same."""
    key = tuple(order), flat, grain
    known: Measured | None = found.measured.get(key)
    if known is None:
        known = _measured(found, order, flat=flat, grain=grain)
        found.measured = {key: known}
    return known


def _measured(found: Surveyed, order: Sequence[int], *, flat: bool, grain: float) -> Measured:
    look = found.survey
    values = (to_values(found.sample[i].ravel(), look.pixels).astype("f8") for i in order)
    master = found.master.ravel()
    width = len(look.columns)
    return measure(values, len(order), width, master, look.quadrant, flat=flat, grain=grain)


def _constant(frames: Sequence[Frame], seen: Sequence[Seen]) -> list[Said]:
    odd = [i for i, s in enumerate(seen) if s.number > 1 and s.top_count == s.number]
    if not odd:
        return []
    values = sorted({seen[i].top for i in odd})
    at = f"{values[0]:.6g}" if len(values) == 1 else f"{values[0]:.6g} to {values[-1]:.6g}"
    who = tuple(frames[i] for i in odd)
    text = f"the same value in every pixel ({at} ADU): {_names(who, len(frames))}"
    return [_few(f"{text}; saturated, or no exposure at all", "constant", who, frames)]


def _few(text: str, code: str, who: tuple[Frame, ...], frames: Sequence[Frame]) -> Said:
    """Something about frames that are better left out where they are the fewer."""
    return Said(text, code, who, who if 2 * len(who) < len(frames) else ())


def _units(
    frames: Sequence[Frame], seen: Sequence[Seen], found: Surveyed, middle: Array, what: str
) -> list[Said]:
    """Values in 0..1 where others are in ADU; `what` is subtracted from them."""
    small = [i for i, s in enumerate(seen) if 0 < s.top <= UNIT and s.top_count < s.number]
    large = [i for i, m in enumerate(middle) if m >= SOME_ADU]
    adu = median_of(middle[large]) if large else 0.0
    said = []
    if small and large:
        few = small if len(small) < len(large) else large
        odd = tuple(frames[i] for i in few)
        top = max(seen[i].top for i in small)
        text = f"values in 0..1 (up to {top:.4g}), the others in ADU (level {adu:.6g})"
        if few is large:
            text = f"values in ADU (level {adu:.6g}), the others in 0..1 (up to {top:.4g})"
        text = f"{_names(odd, len(frames))}: {text}; bring all to one scale (65535 times 0..1)"
        said.append(_few(text, "units", odd, frames))
    return said + _minus_units(seen, found, adu, what)


def _middles(product: Product, run: Run, found: Surveyed) -> Array:
    """The median of a sample of each frame, as it was taken."""
    raw = [run.values[layer.name].raw for layer in product.levels]
    if raw:
        of_flats: Array = np.concatenate(raw).mean(axis=1)
        return of_flats
    values = (_there(found, i) for i in range(len(product.frames)))
    return np.array([median_of(v) if len(v) else math.nan for v in values])


def _there(found: Surveyed, i: int) -> Array:
    values: Array = to_values(found.sample[i].ravel()[::7], found.survey.pixels).astype("f8")
    there: Array = values[np.isfinite(values)]
    return there


def _minus_units(seen: Sequence[Seen], found: Surveyed, adu: float, what: str) -> list[Said]:
    """What is subtracted is of another scale."""
    low, high = found.low, found.high
    tops = [s.top for s in seen if s.top_count]
    if adu and 0 < high <= UNIT and low > -0.5 and high != round(high):
        return [
            Said(
                f"{what} holds values in 0..1 ({low:.4g} to {high:.4g}), the frames "
                f"are in ADU (level {adu:.6g}): it takes nothing off. Give a master in ADU, such "
                "as the raw frames combined here, or multiply it by 65535",
                "units",
            )
        ]
    if tops and max(tops) <= UNIT and max(tops) > 0 and high >= SOME_ADU:
        return [
            Said(
                f"{what} is in ADU (up to {high:.6g}), the frames hold values in 0..1 "
                f"(up to {max(tops):.4g}). Bring both to one scale (65535 times 0..1)",
                "units",
            )
        ]
    return []


def _below_zero(found: Surveyed, noise: float) -> list[Said]:
    middle = median_there(found.net)
    if not middle < -noise:
        return []
    return [
        Said(
            f"its median is {middle:.4g} ADU, below zero by more than the noise of a frame "
            f"({noise:.3g}); the bias is not that of these darks, or is out of them already",
            "below-zero",
        )
    ]


def full_scale(seen: Sequence[Seen], survey: Survey, bits: Sequence[int]) -> float | None:
    """The highest value that the camera gives: the smallest range that holds the highest value
    found, shifted as the lowest bits are that are never set; None where nothing tells it."""
    tops = [s.top for s in seen if s.top_count]
    if survey.limit is not None:
        return survey.limit
    if survey.stored.scaled or not tops or max(tops) <= UNIT or max(tops) > 65535:
        return None
    if survey.stored.bitpix == 8:
        return 255.0
    shift = min(min(s.shift for s in seen), 6)
    for n in bits:
        if n + shift <= 16 and max(tops) <= ((1 << n) - 1) << shift:
            return float(((1 << n) - 1) << shift)
    return 65535.0


def _saturated(frames: Sequence[Frame], seen: Sequence[Seen], survey: Survey) -> list[Said]:
    full = full_scale(seen, survey, (10, 12, 14, 16))
    shares = []
    for s in seen:
        n = 0
        if s.over is not None:
            n = s.over
        elif full is not None and s.top > full / 2 and s.top_count >= WALL * s.next_count:
            n = s.top_count
        shares.append(n / s.number if s.number else 0.0)
    odd = [i for i, share in enumerate(shares) if share > SATURATED]
    if not odd:
        return []
    who = tuple(frames[i] for i in odd)
    at = survey.limit if survey.limit is not None else max(seen[i].top for i in odd)
    share = f"up to {max(shares):.2%} of the pixels saturated (at {at:.6g} ADU)"
    return [_few(f"{share} in {_names(who, len(frames))}", "saturated", who, frames)]


def _exposed(
    frames: Sequence[Frame], seen: Sequence[Seen], survey: Survey, level: Array
) -> list[Said]:
    """Flats whose raw level is too low or too high for what the camera gives."""
    full = full_scale(seen, survey, (12, 14, 16))
    if full is None:
        return []
    said = []
    varied = np.array([s.top_count < s.number for s in seen])  # the others are told already
    for bad, most, what, why in (
        (level < LEVELS[0] * full, np.nanmin, "down", "its noise counts"),
        (level > LEVELS[1] * full, np.nanmax, "up", "it may be saturated"),
    ):
        who = tuple(frames[i] for i in np.flatnonzero(bad & varied).tolist())
        if who:
            said.append(
                Said(
                    f"raw level {what} to {most(level) / full:.0%} of full scale "
                    f"({full:.6g} ADU) in {_names(who, len(frames))}; {why}",
                    "exposed",
                    who,
                )
            )
    return said
