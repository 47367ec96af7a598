"""The levels of flats: the median of each calibrated frame, which is never held."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.medianfinder import MOST_KEPT, MedianFinder, most_kept
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.calibrated import (
    calibrated,
    held_as_stored,
    listed_values,
    read_window,
    values_of,
)
from pulsar_dask.masters.flatgroup import FlatGroup
from pulsar_dask.masters.flatscales import FrameLevels

Array = np.ndarray[Any, Any]
#: Rows of a frame that are looked at first, to know about where its median lies.
SAMPLE_ROWS = 64
#: Share of the pixels on either side of the sample's median among which the true one is
#: then looked for, at most.
BRACKET = 0.01
#: And at least: half the median's standard error in a sample is 1 / sqrt(n) / 4 of the ranks.
LEAST_BRACKET = 0.003
#: Every so many of the sample's rows tell the raw level.
LEVEL_STEP = 8
#: Columns of a row that are read for the sample, and about how many of them are taken.
_SAMPLE_WIDTH, _SAMPLE_COLUMNS = 65_536, 8_192


@dataclass(frozen=True)
class _Part:
    """Pixels whose median is looked for: all, or those of one colour."""

    pixels: int
    where: Array | None = None
    """Which pixels of the pattern that repeats have the colour, shape (period, period)."""

    def of(self, values: Array, y: int, x: int) -> Array:
        """Those of a tile that begins at (y, x), in any order, in this thread's buffer."""
        if self.where is None:
            return values
        where = np.roll(self.where, (-y, -x), (0, 1))
        found, end = thread_buffer("one colour", (values.size,), np.dtype("f8")), 0
        for row, there in enumerate(where[: len(values)]):
            lines = values[row :: len(where)]
            for column in np.flatnonzero(there):
                some = lines[:, column :: len(where)]
                found[end : end + some.size].reshape(some.shape)[...] = some
                end += some.size
        return found[:end]

    def at(self, y: Array, x: Array) -> Array | slice:
        """Which of some pixels they are, by their rows and columns."""
        if self.where is None:
            return slice(None)
        there: Array = self.where[y % len(self.where), x % len(self.where)]
        return there


def _parts(group: FlatGroup) -> list[_Part]:
    """All pixels, and where colours are scaled apart those of each."""
    rows, columns = group.shape[-2:]
    parts = [_Part(rows * columns)]
    if group.colours is not None:
        cells = np.array(group.colours.cells)
        share = group.colours.share(rows, columns)
        parts += [_Part(pixels, cells == colour) for colour, pixels in enumerate(share)]
    return parts


def frame_levels(
    group: FlatGroup, first: int, last: int, size: int | tuple[int, int]
) -> FrameLevels:
    """Exact medians of frames `first` to `last` (not included), read in bands of so many rows, or
    tiles of rows and columns."""
    rows, columns = size if isinstance(size, tuple) else (size, group.shape[-1])
    grid = Grid(group.shape, max(1, rows), columns)
    frames = group.frames[first:last]
    parts = _parts(group)
    medians = np.empty((len(frames), group.planes, len(parts)))
    raw = np.empty(medians.shape[:2])
    stays = 0
    as_stored = held_as_stored(group)
    for plane in range(group.planes):
        low, high, raw[:, plane] = _sample(plane, group, frames)
        finders = [
            [
                MedianFinder(a, b, most_kept(part.pixels))
                for a, b, part in zip(*bounds, parts, strict=True)
            ]
            for bounds in zip(low, high, strict=True)
        ]
        stuck_most = 0
        while todo := [i for i, f in enumerate(finders) if not all(one.done for one in f)]:
            stays_now = 0
            for tile in (t for _, t in grid if t.plane == plane):
                if as_stored:
                    stays_now += _look(tile, group, frames, {i: finders[i] for i in todo}, parts)
                    continue
                values, stuck = calibrated(tile, group, [frames[i] for i in todo])
                stays_now += stuck
                for j, part in enumerate(parts):
                    for i, value in zip(todo, values, strict=True):
                        if not (finder := finders[i][j]).done:
                            finder.add(part.of(value, tile.y, tile.x))
            for finder in (f for i in todo for f in finders[i] if not f.done):
                finder.end_pass()
            stuck_most = max(stuck_most, stays_now)
        medians[:, plane] = [[f.median for f in frame] for frame in finders]
        stays += stuck_most
    return FrameLevels(medians[..., 0], medians[..., 1:], raw, stays)


def _look(
    tile: Tile,
    group: FlatGroup,
    frames: Sequence[Frame],
    finders: Mapping[int, Sequence[MedianFinder]],
    parts: Sequence[_Part],
) -> int:
    """Show finders of some frames, one for each part, a tile of these, as stored; how many listed
    pixels have no good neighbour."""
    some = [frames[i] for i in finders]
    window, at = read_window(tile, group, some)
    stays = 0
    for y, x, listed, stuck in listed_values(window, at, tile, group, some):
        window.dark[y - at.y, x - at.x] = np.nan  # they come apart
        stays += stuck
        for values, each in zip(listed, finders.values(), strict=True):
            for part, finder in zip(parts, each, strict=True):
                if not finder.done:
                    finder.add(values[part.at(y, x)])
    place = tile.y - at.y, tile.x - at.x, *tile.shape
    own = slice(place[0], place[0] + tile.height), slice(place[1], place[1] + tile.width)
    size = tile.height * tile.width * min(2, len(parts))
    found = thread_buffer("near the median", (size,), np.dtype("f8"))
    cells = np.zeros((1, 1), int)
    if group.colours is not None:
        cells = np.roll(np.array(group.colours.cells), (-tile.y, -tile.x), (0, 1))
    for k, each in enumerate(finders.values()):
        todo = {j: f for j, f in enumerate(each) if not f.done}
        open_ = [j for j, f in todo.items() if f.split is None]
        if open_:
            low, high = np.array([(todo[j].low, todo[j].high) for j in open_]).T.copy()
            number = np.full(1 + len(parts), -1)  # the last is of no part
            number[open_] = np.arange(len(open_))
            whole = open_[0] == 0
            near = window.near(k, place, low, high, number[1 + cells], found, whole=whole)
            for j, counted in zip(open_, near, strict=True):
                todo[j].take(*counted)
        if len(open_) < len(todo):
            values = window.image(k)[own]
            for j in todo.keys() - open_:
                todo[j].add(parts[j].of(values, tile.y, tile.x))
    return stays


def _sample_step(columns: int) -> int:
    """Every so many columns are taken for the sample; no multiple of 2 or 3, so that all colours
    are among them."""
    step = min(columns, _SAMPLE_WIDTH) // _SAMPLE_COLUMNS
    return next((s for s in (1, 5) if s >= step), 7)


def sample_bytes(together: int, shape: tuple[int, ...], colours: int = 0) -> int:
    """Bytes that the sample of so many frames holds: its values, with and without the dark; the
    rows that it is taken from; and of one frame what is not missing, ordered, and the mask. Where
    each colour is."""
    rows, columns = min(SAMPLE_ROWS, shape[-2]), min(shape[-1], _SAMPLE_WIDTH)
    values = rows * -(-columns // _sample_step(shape[-1]))
    return together * (9 * values + 8 * columns) + (26 + colours) * values + 40 * columns


def _sample(plane: int, group: FlatGroup, frames: Sequence[Frame]) -> tuple[Array, Array, Array]:
    """Brackets (low, high) of the frames' medians, shape (frames, parts), and the raw medians, from
    some rows."""
    rows, columns = group.shape[-2:]
    count = min(rows, SAMPLE_ROWS)
    chosen = ((np.arange(count) + 0.5) * rows / count).astype(int)
    if group.colours is not None and count < rows:  # all colours are among them
        n = np.arange(count)
        chosen = np.minimum(chosen + (n + n // LEVEL_STEP) % group.colours.period, rows - 1)
    wide = min(columns, _SAMPLE_WIDTH)
    step = _sample_step(columns)
    taken = -(-wide // step)
    net = np.empty((len(frames), count, taken))
    raw = np.empty((len(frames), len(chosen[::LEVEL_STEP]), taken))
    for i, y in enumerate(chosen):
        tile = Tile(plane, int(y), (columns - wide) // 2, 1, wide)
        values = read_values(frames, tile, np.dtype("f8"), counted=None)[:, 0]
        if i % LEVEL_STEP == 0:
            raw[:, i // LEVEL_STEP] = values[:, ::step]
        for some, minus in group.parts(frames):
            values[some] -= values_of(tile, minus)
        net[:, i] = values[:, ::step]
    parts = _parts(group)
    across = (columns - wide) // 2 + step * np.arange(taken)
    where = [part.at(*np.ix_(chosen, across)) for part in parts]
    low, high = np.full((2, len(frames), len(parts)), [[[-np.inf]], [[np.inf]]])
    level = np.empty(len(frames))
    for i in range(len(frames)):
        seen = raw[i][~np.isnan(raw[i])]
        level[i] = np.median(seen) if len(seen) else np.nan
        for j, part in enumerate(parts):
            values = net[i][where[j]]
            values = values[~np.isnan(values)]
            if not len(values):
                continue
            share = min(BRACKET, max(LEAST_BRACKET, 2 / math.sqrt(len(values))))
            share = min(share, 0.35 * MOST_KEPT / part.pixels)
            a = max(0, int(len(values) * (0.5 - share)))
            b = min(len(values) - 1, int(len(values) * (0.5 + share)) + 1)
            ordered = np.partition(values, [a, b])
            low[i, j], high[i, j] = ordered[a], ordered[b]
    return low, high, level


def level_holds(group: FlatGroup, together: int) -> Holds:
    """What `frame_levels` of so many frames holds before it goes through tiles."""
    colours = 0 if group.colours is None else group.colours.count
    return Holds(thread={"sample of the frames": sample_bytes(together, group.shape, colours)})
