"""The levels of flats: the median of each calibrated frame, which is never held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.medianfinder import MOST_KEPT, MedianFinder, most_kept
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.calibrated import FlatGroup, calibrated, dark_values

Array = np.ndarray[Any, Any]
#: Rows of a frame that are looked at first, to know about where its median lies.
SAMPLE_ROWS = 64
#: Share of the pixels on either side of the sample's median among which the true one is
#: then looked for, at most.
BRACKET = 0.01
#: Every so many of the sample's rows tell the raw level.
LEVEL_STEP = 8
#: Columns of a row that are read for the sample, and about how many of them are taken.
_SAMPLE_WIDTH, _SAMPLE_COLUMNS = 65_536, 8_192


@dataclass(frozen=True)
class FrameLevels:
    """The level of some calibrated frames."""

    medians: Array
    """Exact medians, float64, shape (frames, planes), ADU; NaN where all is missing."""
    raw: Array
    """Medians of a sample of the raw pixels, same shape."""
    uncorrected: int
    """Listed pixels (over all frames) that have no good neighbour and stay."""


def frame_levels(
    group: FlatGroup, first: int, last: int, size: int | tuple[int, int]
) -> FrameLevels:
    """Exact medians of frames `first` to `last` (not included), read in bands of so many rows, or
    tiles of rows and columns."""
    rows, columns = size if isinstance(size, tuple) else (size, group.shape[-1])
    grid = Grid(group.shape, max(1, rows), columns)
    frames = group.frames[first:last]
    medians = np.empty((len(frames), group.planes))
    raw = np.empty_like(medians)
    stays = 0
    for plane in range(group.planes):
        low, high, raw[:, plane] = _sample(plane, group, frames)
        most = most_kept(math.prod(group.shape[-2:]))
        compiled = loaded.worth_compiling(group.frames)
        finders = [
            MedianFinder(a, b, most, compiled=compiled) for a, b in zip(low, high, strict=True)
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
        values -= dark_values(tile, group)
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


def level_holds(group: FlatGroup, together: int) -> Holds:
    """What `frame_levels` of so many frames holds before it goes through tiles."""
    return Holds(thread={"sample of the frames": sample_bytes(together, group.shape)})
