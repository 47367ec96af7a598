"""The second look: what of a master's quality can be told only once the whole image is there. Its
level and deviation, bad columns and rows, pixels that stand out among their neighbours.

It reads the finished image in bands of rows, twice, whoever made it and wherever it lies, so that
`verify` and lists see what the master's plane has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.engine.recipe import Product
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.quality import (
    CURRENT,
    DEAD,
    DO_NOT_USE,
    HOT,
    LOW_QE,
    NO_FLAT_FIELD,
    OF_FRAMES,
    OTHER_BAD_PIXEL,
    UNUSABLE,
    WARM,
    Quality,
)
from pulsar_dask.kernels.defects import (
    LINE_BYTES,
    SEGMENT,
    Line,
    bad_lines,
    dim,
    level_of,
    medians,
    neighbours,
)
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]
Read = Callable[[Tile], Array]
"""The values of some whole rows of an image, NaN where missing."""
#: Pixels of a band, and bytes of each that are held; values of the sample.
_BAND, _BAND_BYTES, _SAMPLE = 1 << 17, 100, 1 << 20
#: Deviations and times the current from which a pixel is hot, or warm; shares of the light of its
#: neighbours below which it is dead, or of low response.
_HOT, _WARM = (20.0, 10.0), (5.0, 3.0)
_DEAD, _LOW = 0.05, 0.5


class Defect(NamedTuple):
    """Part of a column or row that stands out: every so many pixels of it, of one colour."""

    rows: slice
    columns: slice


class Outline(NamedTuple):
    """What is seen of one plane of an image."""

    level: float
    """Its median."""
    sigma: float
    """The deviation of its pixels, robust."""
    columns: list[Defect]
    rows: list[Defect]


def holds(shape: tuple[int, ...], period: int = 1) -> Holds:
    """What the second look holds, once the tiles have come."""
    rows, columns = shape[-2:]
    band = _rows(columns, period) + 4 * period
    each = math.ceil(LINE_BYTES / SEGMENT * rows * columns)
    sample = 3 * 8 * min(_SAMPLE, rows * columns) + 4 * 8 * columns
    return Holds(process={"second look": _BAND_BYTES * band * columns + each + sample})


def holds_for(product: Product) -> Holds:
    """The same, where the quality of a product is told."""
    if product.finish is None:
        return Holds()
    return holds(product.frames[0].shape, product.finish.period)


def outline(quality: Quality, plane: int, shape: tuple[int, ...], read: Read) -> Outline:
    """The first time: level, deviation, and bad columns and rows of one plane."""
    rows, columns = shape[-2:]
    step = max(1, -(-rows * columns // _SAMPLE))
    sample = np.concatenate(
        [read(Tile(plane, y, 0, 1, columns)).ravel() for y in range(step // 2, rows, step)]
    )
    level, sigma = level_of(sample)
    sample = sample.reshape(-1, columns)
    wide = 2 * quality.period
    # of neighbours, whatever the slope: their difference has the noise of two
    noise = level_of((sample[:, wide:] - sample[:, :-wide]).ravel())[1] / math.sqrt(2)
    down, across = _segments(quality.period, plane, shape, read)
    period = quality.period
    return Outline(
        level,
        sigma,
        [d for y, x, part in down for d in _columns(bad_lines(part, noise), y, x, period, rows)],
        [
            d
            for y, x, part in across
            for d in _rows_of(bad_lines(part, noise), y, x, period, columns)
        ],
    )


Phases = list[tuple[int, int, Array]]


def _segments(period: int, plane: int, shape: tuple[int, ...], read: Read) -> tuple[Phases, Phases]:
    """Medians of segments of columns and of rows, of each phase of a pattern apart: shape
    (segments, lines)."""
    rows, columns = shape[-2:]
    phases = [(y, x) for y in range(min(period, rows)) for x in range(min(period, columns))]
    down: dict[Any, list[Array]] = {phase: [] for phase in phases}
    across: dict[Any, list[Array]] = {phase: [] for phase in phases}
    height = _rows(columns, period)
    for y0 in range(0, rows, height):
        band = read(Tile(plane, y0, 0, min(height, rows - y0), columns))
        for y, x in phases:
            if len(some := band[y::period, x::period]):
                down[y, x].append(medians(some).astype("f4"))
                across[y, x].append(medians(some.T).astype("f4"))
    return (
        [(y, x, np.concatenate(parts)) for (y, x), parts in down.items()],
        [(y, x, np.concatenate(parts, axis=1)) for (y, x), parts in across.items()],
    )


def _columns(found: list[Line], y: int, x: int, period: int, rows: int) -> Iterator[Defect]:
    for line in found:
        at = x + line.at * period
        first, last = (y + n * SEGMENT * period for n in (line.first, line.last))
        # the last segment may be longer, or shorter
        last = rows if last > rows - SEGMENT * period else last
        yield Defect(slice(first, last, period), slice(at, at + 1, period))


def _rows_of(found: list[Line], y: int, x: int, period: int, columns: int) -> Iterator[Defect]:
    for rows, across in _columns(found, x, y, period, columns):
        yield Defect(across, rows)


def _rows(columns: int, period: int) -> int:
    """Rows of a band: whole segments."""
    segment = SEGMENT * period
    return max(1, _BAND // (columns * segment)) * segment


def image_bits(
    quality: Quality, seen: Outline, tile: Tile, shape: tuple[int, ...], read: Read
) -> Array:
    """The second time: bits of a band of whole rows, which begins at a row of the pattern; int32,
    shape (tile height, columns)."""
    rows, columns = shape[-2:]
    around = 2 * quality.period if quality.kind == "flat" else 0
    first, last = max(0, tile.y - around), min(rows, tile.y + tile.height + around)
    values = read(Tile(tile.plane, first, 0, last - first, columns))
    own = values[tile.y - first : tile.y - first + tile.height]
    bits = np.zeros(tile.shape, np.int32)
    bits[np.isnan(own)] |= DO_NOT_USE
    with np.errstate(invalid="ignore"):
        if quality.kind in ("dark", CURRENT):
            bits[own > _bound(quality, seen, *_WARM)] |= WARM
            hot = own > _bound(quality, seen, *_HOT)
            bits[hot] = (bits[hot] & ~WARM) | HOT
        if quality.kind == "flat":
            bits[~(own > 0)] |= NO_FLAT_FIELD
            above = around - (tile.y - first)
            below = around - (last - tile.y - tile.height)
            wide = np.pad(values, ((above, below), (around, around)), constant_values=np.nan)
            inside = slice(around, around + tile.height), slice(around, around + columns)
            near = list(neighbours(quality.cells))
            low = dim(wide, inside, _LOW, near)
            if low.any():
                dead = dim(wide, inside, _DEAD, near)
                bits[low & ~dead] |= LOW_QE
                bits[dead] |= DEAD
    for line in (*seen.columns, *seen.rows):
        start, stop, step = line.rows.start, line.rows.stop, line.rows.step
        start += -(-max(0, tile.y - start) // step) * step
        if start < min(stop, tile.y + tile.height):
            bits[start - tile.y : max(0, stop - tile.y) : step, line.columns] |= OTHER_BAD_PIXEL
    return bits


def _bound(quality: Quality, seen: Outline, sigmas: float, times: float) -> float:
    bound = seen.level + sigmas * seen.sigma
    return max(bound, times * seen.level) if quality.kind == CURRENT else bound


def _floating(read: Read, tile: Tile) -> Array:
    """Values as the kernels want them, of images of whole numbers, too."""
    values = read(tile)
    return values if values.dtype.kind == "f" else values.astype("f8")


class Finished:
    """The quality of the pixels of an image that is there, tile by tile.

    Parameters
    ----------
    quality : Quality
    shape : tuple of int
        (y, x) or (plane, y, x).
    read : callable
        Values of the image in a tile of whole rows.
    frame_bits : callable, optional
        What the frames told of it there, int32; other bits are left aside.
    """

    def __init__(
        self,
        quality: Quality,
        shape: tuple[int, ...],
        read: Read,
        frame_bits: Read | None = None,
    ) -> None:
        self.quality, self.shape, self.frame_bits = quality, shape, frame_bits
        self.read = partial(_floating, read)
        self._seen: dict[int, Outline] = {}

    def outline(self, plane: int) -> Outline:
        """What is seen of one plane; the first time it is looked at, all of it is read."""
        if plane not in self._seen:
            self._seen[plane] = outline(self.quality, plane, self.shape, self.read)
        return self._seen[plane]

    def bands(self) -> Iterator[Tile]:
        """Tiles of whole rows."""
        rows, columns = self.shape[-2:]
        height = _rows(columns, self.quality.period)
        for plane in range(self.shape[0] if len(self.shape) == 3 else 1):
            for y in range(0, rows, height):
                yield Tile(plane, y, 0, min(height, rows - y), columns)

    def bits(self, tile: Tile) -> Array:
        """The quality of the pixels of any tile, int32."""
        (rows, columns), period = self.shape[-2:], self.quality.period
        height, stop = _rows(columns, period), tile.y + tile.height
        found = np.empty(tile.shape, np.int32)
        for y in range(tile.y - tile.y % period, stop, height):
            band = Tile(tile.plane, y, 0, min(height, rows - y, stop - y), columns)
            bits = image_bits(self.quality, self.outline(tile.plane), band, self.shape, self.read)
            if self.frame_bits is not None:
                bits |= self.frame_bits(band) & OF_FRAMES
            bits[(bits & UNUSABLE) != 0] |= DO_NOT_USE
            own = bits[max(0, tile.y - y) :, tile.x : tile.x + tile.width]
            at = max(0, y - tile.y)
            found[at : at + len(own)] = own
        return found
