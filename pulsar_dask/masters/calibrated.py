"""Calibrated flats: minus the dark, hot pixels corrected."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.engine.layer import token
from pulsar_dask.formats.holding import reading_holds
from pulsar_dask.formats.reading import conversion_bytes, read_tile, read_values, thread_buffer
from pulsar_dask.frames.colour import Colours
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.stack import stored_alike
from pulsar_dask.kernels import loaded, medianfinder
from pulsar_dask.kernels.correct import (
    CORRECTION_BYTES,
    DEFECT_BYTES,
    NEAREST_BYTES,
    Defects,
    correct,
    nearest,
)
from pulsar_dask.kernels.medianfinder import most_kept
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.masters.combined import planes_made

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)
#: ADU to which a flat is scaled if nothing else is asked for.
TARGET_MEDIAN = 5000.0


@dataclass(frozen=True)
class Minus:
    """What is subtracted from some flats: images, and a constant in ADU."""

    images: tuple[Frame, ...] = ()
    """A dark; and its bias, where that is out of it."""
    constant: float = 0.0

    @staticmethod
    def of(one: Frame | float) -> Minus:
        """A frame, or a constant."""
        return Minus((one,)) if isinstance(one, Frame) else Minus(constant=one)


@dataclass(frozen=True)
class FlatGroup:
    """The flats of one filter and what calibrates them; small, so that it travels."""

    frames: tuple[Frame, ...]
    minus: tuple[Minus, ...]
    """One for all, or one for each of the frames."""
    defects: Defects | None
    colours: Colours | None = None
    """Where each colour is scaled by a factor of its own."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frames[0].shape

    @property
    def planes(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def reads(self) -> tuple[Frame, ...]:
        """The flats, and what is subtracted where it is a file."""
        return (*self.frames, *dict.fromkeys(f for one in self.minus for f in one.images))

    @property
    def token(self) -> object:
        """What it is known by."""
        minus = [([f.path for f in one.images], one.constant) for one in self.minus]
        d = self.defects
        listed = None if d is None else (d.places, d.step, d.cells)
        return token(self.reads), minus, listed, self.colours and self.colours.cells

    def parts(self, frames: Sequence[Frame]) -> Iterator[tuple[slice, Minus]]:
        """What is subtracted from some of its frames: from which in a row what."""
        if len(self.minus) == 1:
            yield slice(0, len(frames)), self.minus[0]
            return
        each = {f.path: one for f, one in zip(self.frames, self.minus, strict=True)}
        start = 0
        for minus, part in itertools.groupby(frames, lambda f: each[f.path]):
            end = start + len(list(part))
            yield slice(start, end), minus
            start = end


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
        for frame in np.unique(stuck[0]):
            places = stuck[1][stuck[0] == frame]
            found = _far_neighbours(tile.plane, places, group, frames[frame])
            stays += int(np.isnan(found).sum())
            y, x = np.divmod(places[~np.isnan(found)], group.shape[-1])
            values[frame, y - window.y, x - window.x] = found[~np.isnan(found)]
    y, x = tile.y - window.y, tile.x - window.x
    return values[:, y : y + tile.height, x : x + tile.width], stays


def flat_tile(
    tile: Tile,
    group: FlatGroup,
    scales: Array,
    *,
    method: Combine,
    planes: Sequence[str] = ("image",),
) -> dict[str, Array]:
    """One tile of a master flat: the scaled calibrated frames, combined.

    Parameters
    ----------
    scales : ndarray of float64, shape (frames, planes) or (frames, planes, colours)
    method : Combine
    planes : sequence of str
        Wanted, "image" first.

    Returns
    -------
    dict of ndarray, shape (tile height, tile width)
    """
    values, _ = calibrated(tile, group, group.frames, counted=tile)
    scaled = thread_buffer("scaled", values.shape, np.dtype("f8"))
    if group.colours is None:
        np.multiply(values, scales[:, tile.plane, None, None], out=scaled)
    else:
        _scale_colours(values, scales[:, tile.plane], (tile.y, tile.x), group.colours, scaled)
    return planes_made(tile, group.frames, scaled, _FLOAT64, method=method, planes=planes)


def _scale_colours(
    values: Array, scales: Array, origin: tuple[int, int], colours: Colours, out: Array
) -> None:
    """Multiply each pixel by the factor of its colour; `scales` are (frames, colours)."""
    _, height, width = values.shape
    period = colours.period
    first = np.roll(np.array(colours.cells), (-origin[0], -origin[1]), (0, 1))
    rows = np.take(first[:height], np.arange(width) % period, axis=1)
    factors = np.empty(rows.shape)
    for value, scale, scaled in zip(values, scales, out, strict=True):
        np.take(scale, rows, out=factors, mode="clip")  # else it is buffered
        for row, factor in enumerate(factors):
            np.multiply(value[row::period], factor, out=scaled[row::period])


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
        or not loaded.worth_compiling(group.frames)
    ):
        read_values(frames, window, np.dtype("f8"), out=values, counted=counted)
        for part, minus in group.parts(frames):
            values[part] -= values_of(window, minus)
        return values
    stored = thread_buffer("stack", values.shape, pixels.stored)
    read_tile(frames, window, stored, counted=counted)
    for part, minus in group.parts(frames):
        medianfinder.subtract(
            stored[part],
            pixels,
            np.broadcast_to(values_of(window, minus), window.shape),
            out=values[part],
        )
    return values


def values_of(window: Tile, minus: Minus) -> Array | float:
    """What is subtracted from a window of a flat."""
    total: Array | float = minus.constant
    for image in minus.images:
        total = read_values([image], window, np.dtype("f8"), counted=None)[0] + total
    return total


def _far_neighbours(plane: int, places: Array, group: FlatGroup, frame: Frame) -> Array:
    """Values of listed pixels whose near neighbours are missing: look ever further out, for all
    at once; NaN where there is none."""
    assert group.defects is not None
    y, x = np.divmod(places, group.shape[-1])
    found = np.full(len(places), np.nan)
    left = np.flatnonzero(group.defects.rings[np.searchsorted(group.defects.places, places)])
    reach = max(8, 2 * group.defects.reach)
    while len(left):
        top, first = int(y[left].min()), int(x[left].min())
        height, width = int(y[left].max()) - top + 1, int(x[left].max()) - first + 1
        window = _around(Tile(plane, top, first, height, width), reach, group.shape)
        values = _minus_dark(window, group, [frame], "far neighbours")[0]
        found[left] = nearest(values, (window.y, window.x), group.defects, y[left], x[left])
        left = left[np.isnan(found[left])]
        if window.shape == group.shape[-2:]:
            break
        reach *= 4
    return found


def flat_holds(group: FlatGroup, together: int) -> Holds:
    """What `flat_tile` holds beside the combining, and `frame_levels` of so many frames, which
    goes through the same tiles."""
    n, (height, columns) = len(group.frames), group.shape[-2:]
    reach = group.defects.reach if group.defects is not None else 0
    reading = reading_holds(group.reads)
    size = max(f.pixels.stored.itemsize for f in group.frames)
    blocks = [f.stored.block for f in group.reads if not f.stored.expanded]
    low = min(height, max((b[0] for b in blocks), default=1))  # rows of the lowest tile
    around = min(2 * reach, height - low) * columns
    if any(b[1] < columns for b in blocks):  # which may be narrower
        around += 2 * reach * (low + 2 * reach)
    passing = max((sum(p.pixel.values()) for p in reading.phases), default=0)
    window = sum(reading.pixel.values()) + passing
    decoded = (around + 2 * low * columns) * window if around else 0
    listed = len(group.defects.places) if group.defects is not None else 0
    kept = Holds(
        pixel={
            "calibrated frames": 2 * 8 * n,
            "frames": size * n,
            "one colour": 0 if group.colours is None else 8,
        },
        thread={"rows around a tile": around * (8 + size) * n},
        process={f"hot pixels listed for {group.frames[0].path}": listed * DEFECT_BYTES},
    )
    near = most_kept(math.prod(group.shape[-2:]))
    if group.colours is not None:  # each has a finder of its own beside that of all
        near += sum(map(most_kept, group.colours.share(height, columns)))
    period = 0 if group.colours is None else group.colours.period
    conversion = max(NEAREST_BYTES, *(conversion_bytes(frame.pixels) for frame in group.reads))
    passes = Holds(
        pixel={
            "conversion": conversion,
            "dark": 16 if any(len(m.images) > 1 for m in group.minus) else 8,
        },
        thread={
            "rows around a tile, values": around * (conversion + 8) + decoded,
            "values near the median": (together + 2) * 8 * near,
            "factors of the colours": 3 * 8 * period * columns,
            "correction": CORRECTION_BYTES if group.defects else 0,
        },
    )
    return kept + reading + passes.passing
