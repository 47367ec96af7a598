"""Defects that show in a finished image: columns and rows, pixels that get less light than those
around them, and the level and deviation from which others stand out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.kernels.median import median
from pulsar_dask.kernels.noise import MAD_SIGMA
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]
#: Pixels of a line that are taken together, and lines about one that are its neighbourhood.
SEGMENT, AROUND = 16, 31
#: A line is bad beyond so many deviations of lines, part of one beyond so many of segments; and
#: beyond this share of the deviation of pixels, as what is measured well need not be much.
_LINE, _PART, _SHARE = 5.0, 7.0, 0.5
#: Share of its segments that deviate with a line that is bad as a whole; values at a time.
_MOST, _VALUES = 0.75, 1 << 18
#: Segments that are looked at together: of parts of lines, from short to long.
_RUNS = (2, 8, 32, 128)
#: Bytes for each segment that `bad_lines` holds.
LINE_BYTES = 40


class Line(NamedTuple):
    """Part of a column or row."""

    at: int
    first: int
    """Segments, the last one excluded."""
    last: int


def level_of(values: Array) -> tuple[float, float]:
    """Median and robust deviation of some values; NaN where there are none. Where more than half
    are equal, the deviation of those that lie within 5 of it."""
    values = values[np.isfinite(values)]
    if not values.size:
        return np.nan, np.nan
    level = float(np.median(values))
    off = np.abs(values - level)
    sigma = MAD_SIGMA * float(np.median(off))
    if not sigma and (some := off[off > 0]).size:
        sigma = float(np.quantile(some, 0.5))
        for _ in range(5):
            sigma = float(np.sqrt(np.mean(off[off <= 5 * sigma] ** 2)))
    return level, sigma


def medians(values: Array) -> Array:
    """Medians of segments along the first axis; what is left at its end is one if it is half as
    long, else it goes with the one before. float64, NaN where all are missing."""
    starts = list(range(0, len(values), SEGMENT))
    if len(starts) > 1 and len(values) - starts[-1] < SEGMENT // 2:
        starts.pop()
    whole, wide = len(starts) - 1, values.shape[1]
    head = values[: whole * SEGMENT].reshape(whole, SEGMENT, wide).transpose(1, 0, 2)
    parts = [_median(head).reshape(whole, wide)] if whole else []
    return np.concatenate([*parts, _median(values[whole * SEGMENT :])[None]])


def _median(stack: Array) -> Array:
    """Over the first axis, the others in one."""
    stack = np.ascontiguousarray(stack).reshape(len(stack), -1)
    return median(stack, PixelType(-8 * stack.itemsize))[0]


def bad_lines(segments: Array, sigma: float) -> list[Line]:
    """Lines that stand out from those around them, or parts of them do.

    Parameters
    ----------
    segments : ndarray of float, shape (segments, lines)
        Medians of the segments of lines, NaN where missing. It is overwritten.
    sigma : float
        Deviation of pixels.
    """
    count, lines = segments.shape
    if lines < 8 or not sigma > 0:
        return []
    step = max(1, _VALUES // lines)
    for first in range(0, count, step):
        segments[first : first + step] -= _around(segments[first : first + step])
    segments[np.isnan(segments)] = 0
    of_lines = np.median(segments, axis=0)
    bent = _around(of_lines[None])[0]  # what an image that is bent leaves, such as a flat
    of_lines -= bent
    segments -= bent
    level, scale = level_of(of_lines)
    least = max(_LINE * scale, _SHARE * sigma)
    full = np.abs(of_lines - level) > least
    with np.errstate(invalid="ignore", divide="ignore"):
        full &= np.mean(segments / of_lines > 0.25, axis=0) >= _MOST
    found = [Line(int(at), 0, count) for at in np.flatnonzero(full)]
    segments[:, full] = 0
    _, scale = level_of(segments.ravel())
    marked = np.zeros(segments.shape, bool)
    peak = np.zeros(lines)
    total = np.cumsum(np.pad(segments, ((1, 0), (0, 0))), axis=0, dtype="f8")
    for run in (n for n in reversed(_RUNS) if n <= count):
        means = (total[run:] - total[:-run]) / run
        beyond = np.abs(means) > np.hypot(_PART * scale / np.sqrt(run), least)
        at = np.flatnonzero(beyond.any(axis=0))
        means, beyond = means[:, at], beyond[:, at]
        for k in range(run if len(at) else 0):
            marked[k : k + len(means), at] |= beyond
        highest = np.take_along_axis(means, np.argmax(np.abs(means) * beyond, axis=0)[None], 0)[0]
        known = (np.abs(peak[at]) >= np.abs(highest)) | ((run == _RUNS[0]) & (peak[at] != 0))
        peak[at] = np.where(known, peak[at], highest)
    with np.errstate(invalid="ignore", divide="ignore"):
        marked &= segments / peak > 0.5
    for line in np.flatnonzero(marked.any(axis=0)).tolist():
        where = np.flatnonzero(marked[:, line])
        edges = np.flatnonzero(np.diff(where) > 2)  # a gap of one segment is filled
        starts, stops = [where[0], *where[edges + 1]], [*where[edges], where[-1]]
        found += [
            Line(line, int(a), int(b) + 1)
            for a, b in zip(starts, stops, strict=True)
            if b > a  # one segment alone is no line
        ]
    return sorted(found)


def _around(rows: Array) -> Array:
    """What lies about each value of some rows: the mean of the medians of those on either side, so
    that no slope counts; at the ends what these lead to."""
    n = rows.shape[1]
    half = min(AROUND, n - 1) // 2
    found = np.empty_like(rows)
    windows = np.lib.stride_tricks.sliding_window_view(rows, half, axis=1)
    sides = _median(windows.transpose(2, 0, 1)).reshape(len(rows), -1)
    found[:, half : n - half] = (sides[:, : n - 2 * half] + sides[:, half + 1 :]) / 2
    for out, ends in ((found, rows), (found[:, ::-1], rows[:, ::-1])):
        near = ends[:, : min(9, n)].astype("f8")
        slope = _median((near[:, 4:] - near[:, :-4]).T) / 4
        for i in range(half):
            if i < 4:
                steps = np.arange(near.shape[1]) - i
                out[:, i] = _median((near - slope[:, None] * steps).T)
            else:
                before, after = ends[:, :i], ends[:, i + 1 : 2 * i + 1]
                out[:, i] = (_median(before.T) + _median(after.T)) / 2
    return found


def dim(values: Array, inside: tuple[slice, slice], share: float, near: list[Array]) -> Array:
    """Pixels of a part of an image that are below a share of more than half of their neighbours.

    Parameters
    ----------
    values : ndarray of float64, shape (rows, columns)
        NaN where missing, and around the image.
    inside : tuple of slice
        The part.
    share : float
    near : list of ndarray of int, shape (n, 2)
        Of each cell of the pattern, in rows, where neighbours lie: down and right.
    """
    rows, columns = inside
    found = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    period = round(len(near) ** 0.5)
    for cell, offsets in enumerate(near):
        y, x = divmod(cell, period)
        part = (
            slice(rows.start + y, rows.stop, period),
            slice(columns.start + x, columns.stop, period),
        )
        own = values[part] / share
        brighter = np.zeros(own.shape, np.int8)
        there = np.zeros(own.shape, np.int8)
        for dy, dx in offsets.tolist():
            other = values[
                part[0].start + dy : part[0].stop + dy : period,
                part[1].start + dx : part[1].stop + dx : period,
            ]
            with np.errstate(invalid="ignore"):
                brighter += other > own
                there += other == other
        found[y::period, x::period] = 2 * brighter > there
    return found


def neighbours(cells: Any) -> Iterator[Array]:
    """Of each cell of a pattern, where the 24 nearest pixels of its colour lie, those of a square
    of five first (of one colour: 5 x 5)."""
    pattern = np.array(cells)
    period = len(pattern)
    reach = 2 * period
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    for y in range(period):
        for x in range(period):
            same = pattern[(y + down) % period, (x + right) % period] == pattern[y, x]
            same[reach, reach] = False
            where = np.stack([down[same], right[same]], axis=1)
            order = np.argsort(
                np.abs(where).max(axis=1) * 1000 + np.abs(where).sum(axis=1), kind="stable"
            )
            yield where[order[:24]]
