"""What is shown of a master as pictures: the whole of it with the pixels that are listed, and its
worst places at full scale."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.reading import read_image
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.median import median
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.kernels.squares import Squares
from pulsar_dask.output.charts import number
from pulsar_dask.output.picture_sink import PART, Picture
from pulsar_dask.output.png import GREYS, data_uri, png
from pulsar_dask.output.zscale import zscale

Array = np.ndarray[Any, Any]
#: Pixels on a side of a crop.
CROP = 48
#: Of 7 squares around one, those that tell what is usual there.
_AROUND = (0, 2, 4, 6)
#: Of listed pixels.
_MARK = [(0, 0, 0), (239, 68, 68)]


def limits(values: Array) -> tuple[float, float]:
    """Values that are shown as black and as white: astropy's ZScale."""
    finite = np.isfinite(values)
    there = values.ravel() if finite.all() else values[finite]
    if not len(there):
        return 0.0, 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low, high = zscale(there)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def shades(values: Array, low: float, high: float) -> Array:
    """Greys from 1 to 255, top row first; 0 where nothing is. FITS has the lowest row first."""
    grey = np.clip(values, low, high)  # in place: new memory takes longer than all of it
    grey -= low
    grey /= high - low
    grey *= 254
    np.rint(grey, out=grey)
    grey += 1
    grey[~np.isfinite(values)] = 0
    found: Array = grey.astype(np.uint8)[::-1]
    return found


def merged(total: Array, count: Array, squares: Squares, most: int) -> tuple[Array, Array, Squares]:
    """Squares put together, two by two, until there are no more than so many."""
    while total.size > most and total.size > 1:
        total, count = (_two_by_two(part) for part in (total, count))
        squares = Squares(squares.shape, 2 * squares.side)
    return total, count, squares


def _two_by_two(values: Array) -> Array:
    """Sums of two by two, of what there is of them at the edges."""
    for axis in (0, 1):
        first, second = (values[n::2] if axis == 0 else values[:, n::2] for n in (0, 1))
        values = first.copy()
        (values[: len(second)] if axis == 0 else values[:, : second.shape[1]])[...] += second
    return values


def _means(total: Array, count: Array) -> Array:
    out: Array = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def picture(
    shown: Picture, most: int, places: Array | None, what: str = "master"
) -> dict[str, Any]:
    """The whole of a master or light, and over it the pixels at some places (y * columns + x)."""
    total, count, squares = merged(shown.total, shown.number, shown.how.squares, most)
    means = _means(total, count)
    low, high = limits(means)
    rows, columns = shown.how.squares.shape
    found: dict[str, Any] = {
        "src": data_uri(png(shades(means, low, high), GREYS)),
        "width": means.shape[1],
        "height": means.shape[0],
        "side": squares.side,
        "low": number(low),
        "high": number(high),
        "marks": "",
    }
    if places is not None and len(places):
        marks = np.zeros(means.shape, np.uint8)
        y, x = np.divmod(places, columns)
        marks[y // squares.side, x // squares.side] = 1
        found["marks"] = data_uri(png(marks[::-1], _MARK))
    shape = f"{columns} × {rows} pixels"
    found["alt"] = (
        f"The {what}, {shape}, as grey squares from {number(low)} (black) to {number(high)} (white)"
    )
    return found


def plane_picture(total: Array, count: Array, squares: Squares, most: int) -> dict[str, Any]:
    """Another plane of a master; no picture where it is the same everywhere."""
    total, count, _ = merged(total, count, squares, most)
    means = _means(total, count)
    there = means[np.isfinite(means)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    if not high > low and len(there) == means.size:  # there is nothing to see
        return {"src": ""}
    if (there % 1).any():  # values, and no numbers of values
        low, high = limits(means)
    elif not high > low:  # none is black
        low, high = (low - 1, high) if high else (low, high + 1)
    grey = shades(means, low, high)
    shape = means.shape
    return {
        "src": data_uri(png(grey, GREYS)),
        "width": shape[1],
        "height": shape[0],
        "low": number(low),
        "high": number(high),
    }


@dataclass(frozen=True)
class _Place:
    what: str
    y: int
    x: int
    value: float
    pixel: bool = True
    """Whether it is one pixel."""


def crops(shown: Picture, master: Frame, unit: str) -> list[dict[str, Any]]:
    """The worst places of a master at full scale, read from its file; none where that cannot be
    read."""
    found: list[dict[str, Any]] = []
    with contextlib.suppress(PulsarError, OSError):
        for place in _worst(shown, master):
            found.append(_crop(place, shown, master, unit))
    return found


def _worst(shown: Picture, master: Frame) -> Iterator[_Place]:
    """The three pixels highest above the means of their part and of those around it, and the two
    lowest below these, of parts that do not touch; what is least like what is around it; where most
    pixels are missing."""
    parts, means = shown.how.parts, _means_of_parts(shown)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(means, 1, mode="edge"), (3, 3))
    seen: list[tuple[int, int]] = []
    for what, values, away, left in (
        ("highest above", shown.high, shown.high - np.fmax.reduce(around, axis=(2, 3)), 3),
        ("lowest below", shown.low, np.fmin.reduce(around, axis=(2, 3)) - shown.low, 2),
    ):
        away = np.where(np.isfinite(away), away, -1.0)
        for index in np.argsort(-away, axis=None, kind="stable").tolist():
            y, x = divmod(index, values.shape[1])
            if not left or not away[y, x] > 0:
                break
            if any(abs(y - a) < 2 and abs(x - b) < 2 for a, b in seen):
                continue
            seen.append((y, x))
            left -= 1
            value = float(values[y, x])
            at = _find(master, parts, y, x, value)
            if at is not None:
                yield _Place(f"{what} its surroundings", *at, value)
    if (odd := _unlike(shown, seen)) is not None:
        yield odd
    if shown.missing.any():
        y, x = np.unravel_index(int(np.argmax(shown.missing)), shown.missing.shape)
        row, column = (int(n) * shown.how.squares.side for n in (y, x))
        yield _Place("missing values", row, column, math.nan, pixel=False)


def _means_of_parts(shown: Picture) -> Array:
    """The mean of the squares that have their middle in each part."""
    how = shown.how
    (rows, columns), side = how.squares.counts, how.squares.side
    total, count = shown.total, shown.number
    for axis, n in ((0, rows), (1, columns)):
        part = np.minimum(np.arange(n) * side + side // 2, how.squares.shape[axis] - 1) // PART
        starts = np.searchsorted(part, np.arange(how.parts.counts[axis]))
        starts = np.minimum(starts, n - 1)
        total, count = (np.add.reduceat(values, starts, axis) for values in (total, count))
    return _means(total, count)


def _find(master: Frame, parts: Squares, y: int, x: int, value: float) -> tuple[int, int] | None:
    """Where in a part of the master, of all its planes, a value lies."""
    window = _window(parts.shape, y * PART + PART // 2, x * PART + PART // 2, PART)
    best: tuple[float, int, int] | None = None
    for plane in range(master.shape[0] if len(master.shape) == 3 else 1):
        away = np.abs(_read(master, plane, window) - value)
        if not np.isfinite(away).any():
            continue
        row, column = np.unravel_index(int(np.nanargmin(away)), away.shape)
        found = float(away[row, column]), window.y + int(row), window.x + int(column)
        best = found if best is None else min(best, found)
    return None if best is None else best[1:]


def _unlike(shown: Picture, seen: Sequence[tuple[int, int]]) -> _Place | None:
    """The square, of half a crop or more, whose mean differs most from those around it, and
    that does not lie in a part that is shown already."""
    total, count, squares = shown.total, shown.number, shown.how.squares
    while squares.side < CROP // 2 and min(total.shape) > 16:
        total, count, squares = merged(total, count, squares, total.size // 2)
    means = _means(total, count)
    if min(means.shape) < 9 or not np.isfinite(means).all():
        return None
    rows, columns = (n - 6 for n in means.shape)
    around = [means[y : y + rows, x : x + columns].ravel() for y in _AROUND for x in _AROUND]
    usual, _ = median(np.stack(around), PixelType(-64), compiled=False)
    away = means[3:-3, 3:-3] - usual.reshape(rows, columns)
    row, column = ((np.arange(n) + 3) * squares.side + squares.side // 2 for n in away.shape)
    for a, b in seen:
        near = np.abs(row // PART - a) < 2, np.abs(column // PART - b) < 2
        away[np.ix_(*near)] = 0
    y, x = divmod(int(np.argmax(np.abs(away))), columns)
    value = float(away[y, x])
    if not value:  # nothing differs
        return None
    return _Place("least like its surroundings", int(row[y]), int(column[x]), value, pixel=False)


def _window(shape: tuple[int, int], y: int, x: int, side: int) -> Tile:
    """A square around a pixel, within the image."""
    height, width = min(side, shape[0]), min(side, shape[1])
    top = min(max(0, y - side // 2), shape[0] - height)
    left = min(max(0, x - side // 2), shape[1] - width)
    return Tile(0, top, left, height, width)


def _read(master: Frame, plane: int, window: Tile) -> Array:
    tile = Tile(plane, window.y, window.x, window.height, window.width)
    return read_image(master, tile)


def _crop(place: _Place, shown: Picture, master: Frame, unit: str) -> dict[str, Any]:
    window = _window(shown.how.squares.shape, place.y, place.x, CROP)
    depth = master.shape[0] if len(master.shape) == 3 else 1
    values = np.mean([_read(master, plane, window) for plane in range(depth)], axis=0)
    low, high = limits(values)
    text = f"({place.x}, {place.y}), {place.what}"
    if math.isfinite(place.value):
        sign = "+" if place.value > 0 and not place.pixel else ""
        text += f": {sign}{number(place.value)} {unit}"
    mark = ""
    if place.pixel:  # a frame around it; rows count from the bottom
        left = 100 * (place.x - window.x + 0.5) / window.width
        top = 100 * (1 - (place.y - window.y + 0.5) / window.height)
        mark = f"left:{left:.2f}%;top:{top:.2f}%"
    return {
        "src": data_uri(png(shades(values, low, high), GREYS)),
        "width": window.width,
        "height": window.height,
        "text": text,
        "alt": f"{window.width} × {window.height} pixels around ({place.x}, {place.y})",
        "limits": f"{number(low)} to {number(high)}",
        "mark": mark,
    }
