"""Listed pixels replaced by the mean of their good neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.kernels.highest import AT_ONCE
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]
#: Values of listed pixels, over all frames, that are replaced together; what that holds.
_CORRECTED_AT_ONCE = 65_536
CORRECTION_BYTES = 80 * _CORRECTED_AT_ONCE
#: Bytes that each pixel of a list takes while it is read, when each may be there twice: all, and
#: all in order. Then a place and its ring.
LIST_BYTES, DEFECT_BYTES = 34, 8 + 4


@dataclass(frozen=True)
class Defects:
    """Listed pixels of an image, with what each one takes its value from."""

    shape: tuple[int, int]
    """(y, x) of the image."""
    places: Array
    """y * columns + x of each, int64, ascending."""
    rings: Array
    """How many steps away the nearest pixels are that are not listed; 0: there are none."""
    step: int
    """1, or 2 on a Bayer sensor, where a neighbour of the same colour is two pixels away."""

    @property
    def reach(self) -> int:
        """Pixels around a tile that correcting it may need."""
        return int(self.rings.max(initial=0)) * self.step


def find_rings(places: Array, shape: tuple[int, ...], *, bayer: bool) -> Defects:
    """Work out for each listed pixel the ring of neighbours that holds one not listed."""
    rows, columns = shape[-2:]
    step = 2 if bayer else 1
    rings = np.zeros(len(places), np.int32)
    # where a colour is listed whole, there is nothing to look for
    parts = [slice(i, i + AT_ONCE) for i in range(0, len(places), AT_ONCE)]
    cells = step * step
    listed = np.zeros(cells, np.int64)
    for part in parts:
        listed += np.bincount(_colours(places[part], columns, step), minlength=cells)
    size = [len(range(dy, rows, step)) * len(range(dx, columns, step)) for dy, dx in _cells(step)]
    whole = listed == size
    for part in parts:
        colour = _colours(places[part], columns, step)
        open_ = part.start + np.flatnonzero(~whole[colour])
        _find_rings(places, (rows, columns), step, open_, rings)
    return Defects((rows, columns), places, rings, step)


def _find_rings(
    places: Array, shape: tuple[int, int], step: int, open_: Array, rings: Array
) -> None:
    """Put in the rings of some of the places."""
    rows, columns = shape
    ring = 0
    while len(open_) and ring * step <= max(rows, columns):
        ring += 1
        y, x = np.divmod(places[open_], columns)
        found = np.zeros(len(open_), bool)
        for dy, dx in ring_offsets(ring):
            ny, nx = y + dy * step, x + dx * step
            inside = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
            found |= inside & ~_contains(places, ny * columns + nx)
        rings[open_[found]] = ring
        open_ = open_[~found]


def _cells(step: int) -> list[tuple[int, int]]:
    return [(dy, dx) for dy in range(step) for dx in range(step)]


def _colours(places: Array, columns: int, step: int) -> Array:
    """Index of each pixel's colour, in the order of `_cells`."""
    y, x = np.divmod(places, columns)
    index: Array = y % step * step + x % step
    return index


def ring_offsets(ring: int) -> list[tuple[int, int]]:
    """(dy, dx) of the pixels at Chebyshev distance `ring`, row by row."""
    span = range(-ring, ring + 1)
    return [(dy, dx) for dy in span for dx in span if max(abs(dy), abs(dx)) == ring]


def _contains(sorted_places: Array, wanted: Array) -> Array:
    if not len(sorted_places):
        return np.zeros(len(wanted), bool)
    at = np.searchsorted(sorted_places, wanted)
    at[at == len(sorted_places)] = 0
    found: Array = sorted_places[at] == wanted
    return found


def correct(
    window: Array, origin: tuple[int, int], defects: Defects, inner: Tile
) -> tuple[Array, Array]:
    """Replace listed pixels by the mean of their good neighbours, in place.

    Parameters
    ----------
    window : ndarray of float64, shape (frames, height, width)
        Values of a tile and `Defects.reach` pixels or more around it, as far as the image
        goes; missing ones NaN.
    origin : (int, int)
        Row and column of the window's first pixel in the image.
    defects : Defects
    inner : Tile
        The tile; only its pixels are replaced.

    Returns
    -------
    frames, places : ndarray of int64, shape (n,)
        Values that were left as they are, since the window holds no good neighbour of
        theirs: index of the frame, place in the image.
    """
    columns = defects.shape[1]
    first = np.searchsorted(defects.places, inner.y * columns)
    last = np.searchsorted(defects.places, (inner.y + inner.height) * columns)
    # A new value comes from pixels that are not listed, so that they can be replaced in turns.
    step = max(1, _CORRECTED_AT_ONCE // len(window))
    stays = [
        _correct(window, origin, defects, inner, slice(start, min(start + step, last)))
        for start in range(first, last, step)
    ]
    if not stays:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    frames, places = map(np.concatenate, zip(*stays, strict=True))
    order = np.argsort(frames, kind="stable")
    return frames[order], places[order]


def _correct(
    window: Array, origin: tuple[int, int], defects: Defects, inner: Tile, some: slice
) -> tuple[Array, Array]:
    """`correct` for some of the listed pixels."""
    y, x = np.divmod(defects.places[some], defects.shape[1])
    rings = defects.rings[some]
    here = (x >= inner.x) & (x < inner.x + inner.width)
    y, x, rings = y[here], x[here], rings[here]
    frames, height, width = window.shape
    flat = window.reshape(frames, -1)
    target = (y - origin[0]) * width + (x - origin[1])
    new = np.full((frames, len(target)), np.nan)
    widest = max(height, width) // defects.step
    for ring in np.unique(rings[rings > 0]):
        todo, span = np.flatnonzero(rings == ring), int(ring)
        while len(todo) and span <= widest:
            total, count = _ring_sums(
                flat, (height, width), origin, defects, y[todo], x[todo], span
            )
            mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
            new[:, todo] = np.where(np.isnan(new[:, todo]), mean, new[:, todo])
            # a frame in which all of them are missing takes the next wider ring
            todo = todo[np.isnan(new[:, todo]).any(axis=0)]
            span += 1
            # only as far as the window shows whole rings, or the image ends
            todo = todo[_shows(origin, (height, width), defects, y[todo], x[todo], span)]
    frame, n = np.nonzero(np.isnan(new))
    new[frame, n] = flat[frame, target[n]]
    flat[:, target] = new
    return frame, y[n] * defects.shape[1] + x[n]


def _shows(
    origin: tuple[int, int],
    size: tuple[int, int],
    defects: Defects,
    y: Array,
    x: Array,
    ring: int,
) -> Array:
    """Whether a window holds all of a ring that lies inside the image."""
    reach = ring * defects.step
    shown = np.ones(len(y), bool)
    for at, start, length, whole in zip((y, x), origin, size, defects.shape, strict=True):
        shown &= np.maximum(at - reach, 0) >= start
        shown &= np.minimum(at + reach, whole - 1) < start + length
    return shown


def _ring_sums(
    flat: Array,
    size: tuple[int, int],
    origin: tuple[int, int],
    defects: Defects,
    y: Array,
    x: Array,
    ring: int,
) -> tuple[Array, Array]:
    """Sum and number of the good neighbours on a ring, in the order of the image."""
    height, width = size
    rows, columns = defects.shape
    total = np.zeros((len(flat), len(y)))
    count = np.zeros((len(flat), len(y)), np.int64)
    for dy, dx in ring_offsets(int(ring)):
        ny, nx = y + dy * defects.step, x + dx * defects.step
        wy, wx = ny - origin[0], nx - origin[1]
        good = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
        good &= (wy >= 0) & (wy < height) & (wx >= 0) & (wx < width)
        good &= ~_contains(defects.places, ny * columns + nx)
        value = flat[:, np.where(good, wy * width + wx, 0)]
        use = good & ~np.isnan(value)
        total += np.where(use, value, 0.0)
        count += use
    return total, count
