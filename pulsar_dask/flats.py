"""Calibrated flats: minus the dark, hot pixels corrected, scaled to one level.

A master flat takes two passes over its frames: one for the median of each calibrated frame
(`frame_levels`, which never holds a frame), one for the median of the scaled frames
(`flat_tile`). Arithmetic is float64 throughout; the master is rounded once, when written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask import kernels
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.hotpixels import Defects, correct
from pulsar_dask.pipelines import stored_alike
from pulsar_dask.reading import read_tile, read_values, thread_buffer
from pulsar_dask.tiles import Grid, Tile

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)

#: ADU to which a flat is scaled if nothing else is asked for.
TARGET_MEDIAN = 5000.0
#: Rows of a frame that are looked at first, to know about where its median lies.
SAMPLE_ROWS = 64
#: Share of the pixels on either side of the sample's median among which the true one is
#: then looked for, at most.
BRACKET = 0.01
#: Every so many of the sample's rows tell the raw level.
LEVEL_STEP = 8
#: Columns of a row that are read for the sample, and about how many of them are taken.
_SAMPLE_WIDTH, _SAMPLE_COLUMNS = 65_536, 8_192
#: Most values that are kept while looking; more, and the bracket is narrowed first.
MOST_KEPT = 500_000
#: Bins in which values are counted that are too many to keep.
BINS = 4096


@dataclass(frozen=True)
class FlatGroup:
    """The flats of one filter and what calibrates them; small, so that it travels."""

    frames: tuple[Frame, ...]
    dark: Frame | float
    """A frame, or a constant in ADU."""
    defects: Defects | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frames[0].shape

    @property
    def planes(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1


@dataclass(frozen=True)
class FrameLevels:
    """The level of some calibrated frames."""

    medians: Array
    """Exact medians, float64, shape (frames, planes), ADU; NaN where all is missing."""
    raw: Array
    """Medians of a sample of the raw pixels, same shape."""
    uncorrected: int
    """Listed pixels (over all frames) that have no good neighbour and stay."""


def calibrated(
    tile: Tile, group: FlatGroup, frames: Sequence[Frame], *, counted: Tile | None = None
) -> tuple[Array, int]:
    """Values of a tile minus the dark, listed pixels replaced; `counted` is as for `read_tile`.

    Returns
    -------
    values : ndarray of float64, shape (frames, tile height, tile width)
        In this thread's buffer: the next call overwrites it.
    uncorrected : int
        Listed pixels without any good neighbour, which keep their value.
    """
    reach = group.defects.reach if group.defects is not None else 0
    window = _around(tile, reach, group.shape)
    values = _minus_dark(window, group, frames, "calibrated", counted)
    stays = 0
    if group.defects is not None:
        stuck = correct(values, (window.y, window.x), group.defects, tile)
        for frame, place in zip(*stuck, strict=True):
            value = _far_neighbours(tile.plane, int(place), group, frames[frame])
            if value is None:
                stays += 1
            else:
                y, x = divmod(int(place), group.shape[-1])
                values[frame, y - window.y, x - window.x] = value
    y, x = tile.y - window.y, tile.x - window.x
    return values[:, y : y + tile.height, x : x + tile.width], stays


def flat_tile(tile: Tile, group: FlatGroup, scales: Array) -> Array:
    """One tile of a master flat: the median of the scaled calibrated frames.

    Parameters
    ----------
    scales : ndarray of float64, shape (frames, planes)

    Returns
    -------
    ndarray of float64, shape (tile height, tile width)
    """
    values, _ = calibrated(tile, group, group.frames, counted=tile)
    scaled = thread_buffer("scaled", values.shape, np.dtype("f8"))
    np.multiply(values, scales[:, tile.plane, None, None], out=scaled)
    return kernels.median(
        scaled.reshape(len(scaled), -1), _FLOAT64, compiled=kernels.worth_compiling(group.frames)
    )[0].reshape(tile.shape)


def frame_levels(group: FlatGroup, first: int, last: int, size: tuple[int, int]) -> FrameLevels:
    """Exact medians of frames `first` to `last` (not included), read in tiles of so many rows and
    columns."""
    grid = Grid(group.shape, *size)
    frames = group.frames[first:last]
    medians = np.empty((len(frames), group.planes))
    raw = np.empty_like(medians)
    stays = 0
    for plane in range(group.planes):
        low, high, raw[:, plane] = _sample(plane, group, frames)
        most = most_kept(math.prod(group.shape[-2:]))
        compiled = kernels.worth_compiling(group.frames)
        finders = [
            _MedianFinder(a, b, most, compiled=compiled) for a, b in zip(low, high, strict=True)
        ]
        stuck_most = 0
        while todo := [i for i, f in enumerate(finders) if not f.done]:
            stays_now = 0
            for tile in (t for _, t in grid if t.plane == plane):
                values, stuck = calibrated(tile, group, [frames[i] for i in todo])
                stays_now += stuck
                for i, value in zip(todo, values, strict=True):
                    finders[i].add(value)
            for i in todo:
                finders[i].end_pass()
            stuck_most = max(stuck_most, stays_now)
        medians[:, plane] = [f.median for f in finders]
        stays += stuck_most
    return FrameLevels(medians, raw, stays)


def frame_scales(frames: Sequence[Frame], target: float, *levels: FrameLevels) -> Array:
    """What each frame is multiplied with; shape (frames, planes).

    Raises
    ------
    PulsarError
        A calibrated frame's median is not positive.
    """
    medians = np.concatenate([part.medians for part in levels])
    for frame, row in zip(frames, medians, strict=True):
        if not (row > 0).all():
            raise PulsarError(
                f"{printable(frame.path)}: the median of this flat minus its dark is "
                f"{row.min():g}, not positive; it is no exposed flat, or the dark is not its own"
            )
    return target / medians


# --- below: windows ----------------------------------------------------------------------


def _around(tile: Tile, reach: int, shape: tuple[int, ...]) -> Tile:
    """A tile and the pixels around it, as far as the image goes."""
    rows, columns = shape[-2:]
    y, x = max(0, tile.y - reach), max(0, tile.x - reach)
    height = min(rows, tile.y + tile.height + reach) - y
    width = min(columns, tile.x + tile.width + reach) - x
    return Tile(tile.plane, y, x, height, width)


def _minus_dark(
    window: Tile,
    group: FlatGroup,
    frames: Sequence[Frame],
    buffer: str,
    counted: Tile | None = None,
) -> Array:
    values = thread_buffer(buffer, (len(frames), *window.shape), np.dtype("f8"))
    pixels = frames[0].pixels
    if (
        pixels.bitpix not in (8, 16, 32)
        or not stored_alike(frames)
        or not kernels.worth_compiling(group.frames)
    ):
        read_values(frames, window, np.dtype("f8"), out=values, counted=counted)
        values -= _dark(window, group)
        return values
    stored = thread_buffer("stack", values.shape, pixels.stored)
    kernels.subtract(
        read_tile(frames, window, stored, counted=counted),
        pixels,
        np.broadcast_to(_dark(window, group), window.shape),
        out=values,
    )
    return values


def _dark(window: Tile, group: FlatGroup) -> Array | float:
    if isinstance(group.dark, Frame):
        dark: Array = read_values([group.dark], window, np.dtype("f8"), counted=None)[0]
        return dark
    return group.dark


def _far_neighbours(plane: int, place: int, group: FlatGroup, frame: Frame) -> float | None:
    """A listed pixel's value where its near neighbours are missing: look ever further out."""
    assert group.defects is not None
    rows, columns = group.shape[-2:]
    y, x = divmod(place, columns)
    if group.defects.rings[np.searchsorted(group.defects.places, place)] == 0:
        return None
    pixel = Tile(plane, y, x, 1, 1)
    reach = max(8, 2 * group.defects.reach)
    while True:
        window = _around(pixel, reach, group.shape)
        values = _minus_dark(window, group, [frame], "far neighbours")
        stuck, _ = correct(values, (window.y, window.x), group.defects, pixel)
        if not len(stuck):
            return float(values[0, y - window.y, x - window.x])
        if reach > max(rows, columns):
            return None
        reach *= 4


# --- below: the median of a frame that is not held ---------------------------------------


def most_kept(pixels: int) -> int:
    """Most values that are kept of an image of so many pixels: half as many again as are
    expected between the brackets."""
    return min(MOST_KEPT, max(4096, pixels // 32))


def _sample_step(columns: int) -> int:
    """Every so many columns are taken for the sample; odd, so that all colours are among them."""
    step = min(columns, _SAMPLE_WIDTH) // _SAMPLE_COLUMNS
    return step | 1 if step > 1 else 1


def sample_bytes(together: int, shape: tuple[int, ...]) -> int:
    """Bytes that the sample of so many frames holds: its values, with and without the dark; the
    rows that it is taken from; and of one frame what is not missing, ordered, and the mask."""
    rows, columns = min(SAMPLE_ROWS, shape[-2]), min(shape[-1], _SAMPLE_WIDTH)
    values = rows * -(-columns // _sample_step(shape[-1]))
    return together * (9 * values + 8 * columns) + 26 * values + 40 * columns


def _sample(plane: int, group: FlatGroup, frames: Sequence[Frame]) -> tuple[Array, Array, Array]:
    """Brackets (low, high) of the frames' medians, and the raw medians, from some rows."""
    rows, columns = group.shape[-2:]
    count = min(rows, SAMPLE_ROWS)
    chosen = ((np.arange(count) + 0.5) * rows / count).astype(int)
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
        values -= _dark(tile, group)
        net[:, i] = values[:, ::step]
    share = min(BRACKET, 0.35 * MOST_KEPT / (rows * columns))
    low, high = np.empty(len(frames)), np.empty(len(frames))
    level = np.empty(len(frames))
    for i in range(len(frames)):
        values = net[i][~np.isnan(net[i])]
        seen = raw[i][~np.isnan(raw[i])]
        level[i] = np.median(seen) if len(seen) else np.nan
        if not len(values):
            low[i], high[i] = -np.inf, np.inf
            continue
        a = max(0, int(len(values) * (0.5 - share)))
        b = min(len(values) - 1, int(len(values) * (0.5 + share)) + 1)
        part = np.partition(values, [a, b])
        low[i], high[i] = part[a], part[b]
    return low, high, level


def _middle(a: float, b: float) -> float:
    """The mean of two values as `numpy.median` has it, without overflow."""
    total = a + b
    return total / 2 if math.isfinite(total) else a / 2 + b / 2


class _MedianFinder:
    """The exact median of values that come in parts, in a few passes and little memory.

    In each pass it counts what lies below a bracket and keeps what lies strictly within.
    The bracket comes from a sample; where the sample misled or too much lies within, the
    next pass has a better one. Each bracket is a 4096th of the one before, or less, so that
    the passes are few whatever the values.
    """

    def __init__(
        self, low: float, high: float, most: int | None = None, *, compiled: bool = True
    ) -> None:
        self.compiled, self.most = compiled, MOST_KEPT if most is None else most
        self.median = float("nan")
        self.done = False
        self.split: float | None = None
        """Where known: a value above the lower and not above the upper of the middle values."""
        self.under, self.over = -np.inf, np.inf
        self._start(low, high)

    def _start(self, low: float, high: float) -> None:
        self.low, self.high = float(low), float(high)
        self.total = self.below = self.at_low = self.at_high = self.within = 0
        self.kept: list[Array] = []
        self.ordered: Array | None = None
        self.edges: Array | None = None
        self.counts: Array | None = None

    def add(self, values: Array) -> None:
        """Take values of any shape; NaN are missing."""
        values = values.ravel()
        if self.split is not None:
            self.under = max(self.under, values.max(initial=-np.inf, where=values < self.split))
            self.over = min(self.over, values.min(initial=np.inf, where=values >= self.split))
            return
        *counts, inside = kernels.bracket(values, self.low, self.high, compiled=self.compiled)
        self.total += counts[0]
        self.below += counts[1]
        self.at_low += counts[2]
        self.at_high += counts[3]
        self.within += len(inside)
        if self.edges is None:
            self.kept.append(inside)
            if self.within <= self.most:
                return
            # too many to keep: count them in bins instead
            self.edges = _edges(self.low, self.high)
            self.counts = np.zeros(len(self.edges) + 1, np.int64)
            inside = np.concatenate(self.kept)
            self.kept = []
        assert self.counts is not None
        bins = np.searchsorted(self.edges, inside, side="right")
        self.counts += np.bincount(bins, minlength=len(self.counts))

    def end_pass(self) -> None:
        """Settle the median, or what the next pass looks for."""
        if self.split is not None:
            self.median = _middle(float(self.under), float(self.over))
            self.done = True
            return
        if not self.total:
            self.done = True
            return
        ranks = (self.total - 1) // 2, self.total // 2
        low, high = (self._at(rank) for rank in ranks)
        if low is not None and high is not None:
            self.median = _middle(low, high)
            self.done = True
            return
        place = self._place(ranks[0])
        if place == self._place(ranks[1]):
            self._start(*place)
        else:  # nothing lies between the two
            self.split = place[1] if low is None else float(np.nextafter(low, np.inf))

    def _at(self, rank: int) -> float | None:
        """The value of a rank, if this pass has it."""
        rank -= self.below
        if rank < 0:
            return None
        if rank < self.at_low:
            return self.low
        rank -= self.at_low
        if rank < self.within:
            if self.edges is not None:
                return None
            if self.ordered is None:
                self.ordered = np.sort(np.concatenate(self.kept))
                self.kept = []
            return float(self.ordered[rank])
        rank -= self.within
        return self.high if rank < self.at_high else None

    def _place(self, rank: int) -> tuple[float, float]:
        """Bounds of the value of a rank: at least the first, less than the second."""
        value = self._at(rank)
        if value is not None:
            return value, value
        rank -= self.below
        if rank < 0:
            return -np.inf, self.low
        rank -= self.at_low
        if rank >= self.within:
            return self.high, np.inf
        assert self.edges is not None
        assert self.counts is not None
        at = int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))
        bounds = np.concatenate([[self.low], self.edges, [self.high]])
        return float(bounds[at]), float(bounds[at + 1])


def _edges(low: float, high: float) -> Array:
    """Values that cut a bracket into bins, evenly and by magnitude."""
    first, last = (int(_by_rank(np.array(v).view("i8"))) for v in (low, high))
    keys = [first + (last - first) * i // BINS for i in range(1, BINS)]
    edges: Array = _by_rank(np.array(keys, "i8")).view("f8")
    if math.isfinite(high - low):
        edges = np.concatenate([edges, np.linspace(low, high, BINS + 1)])
    edges = np.unique(edges)
    return edges[(edges > low) & (edges < high)]


def _by_rank(bits: Array) -> Array:
    """The bits of floats as integers that order as they do; its own inverse."""
    ranks: Array = bits ^ ((bits >> 63) & np.int64(2**63 - 1))
    return ranks
