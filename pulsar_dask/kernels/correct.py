"""Listed pixels replaced by the mean of their good neighbours.

Long: which pixels are neighbours is asked of the list, of a tile and of what lies around it, and
must have one answer, for any pattern of colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from pulsar_dask.kernels.highest import AT_ONCE
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]
#: Values of listed pixels, over all frames, that are replaced together; what that holds.
_CORRECTED_AT_ONCE = 65_536
CORRECTION_BYTES = 80 * _CORRECTED_AT_ONCE
#: Bytes for each pixel of one frame's window in which the nearest values are looked for.
NEAREST_BYTES = 6
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
    step: int = 1
    """Pixels from one neighbour to the next: 2 on a Bayer sensor, where one of the same colour is
    two pixels away."""
    cells: Array | None = None
    """Where a pattern has several pixels of one colour (X-Trans): the colour of each of its pixels,
    shape (period, period). Those of a ring that have another are no neighbours."""

    @property
    def reach(self) -> int:
        """Pixels around a tile that correcting it may need."""
        return int(self.rings.max(initial=0)) * self.step

    def within(self, tile: Tile) -> tuple[Array, Array]:
        """Rows and columns, in the image, of those that lie in a tile."""
        first, last = np.searchsorted(
            self.places, [tile.y * self.shape[1], (tile.y + tile.height) * self.shape[1]]
        )
        y, x = np.divmod(self.places[first:last], self.shape[1])
        here = (x >= tile.x) & (x < tile.x + tile.width)
        return y[here], x[here]


def find_rings(
    places: Array, shape: tuple[int, ...], cells: Sequence[Sequence[int]] = ((0,),)
) -> Defects:
    """Work out for each listed pixel the ring of neighbours that holds one not listed.

    Parameters
    ----------
    places : ndarray of int64, ascending
    shape : tuple of int
    cells : sequence of sequences of int
        The colour of each pixel of the pattern that repeats, as `Colours.cells`.
    """
    rows, columns = shape[-2:]
    period = len(cells)
    pattern = np.array(cells)
    lattice = len(np.unique(pattern)) == period**2
    defects = Defects(
        (rows, columns),
        places,
        np.zeros(len(places), np.int32),
        period if lattice else 1,
        None if lattice else pattern,
    )
    # where a colour is listed whole, there is nothing to look for
    parts = [slice(i, i + AT_ONCE) for i in range(0, len(places), AT_ONCE)]
    kinds = int(pattern.max()) + 1
    listed = np.zeros(kinds, np.int64)
    for part in parts:
        listed += np.bincount(_colours(places[part], columns, pattern), minlength=kinds)
    size = np.zeros(kinds, np.int64)
    for (dy, dx), colour in np.ndenumerate(pattern):
        size[colour] += len(range(dy, rows, period)) * len(range(dx, columns, period))
    whole = listed == size
    for part in parts:
        colour = _colours(places[part], columns, pattern)
        _find_rings(defects, part.start + np.flatnonzero(~whole[colour]))
    return defects


def _find_rings(defects: Defects, open_: Array) -> None:
    """Put in the rings of some of the places."""
    places, step, (rows, columns) = defects.places, defects.step, defects.shape
    ring = 0
    while len(open_) and ring * step <= max(rows, columns):
        ring += 1
        y, x = np.divmod(places[open_], columns)
        found = np.zeros(len(open_), bool)
        for dy, dx in ring_offsets(ring):
            ny, nx = y + dy * step, x + dx * step
            inside = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
            inside &= _alike(defects.cells, y, x, dy, dx)
            maybe = np.flatnonzero(inside & ~found)
            found[maybe] = ~_contains(places, (ny * columns + nx)[maybe])
        defects.rings[open_[found]] = ring
        open_ = open_[~found]


def _colours(places: Array, columns: int, cells: Array) -> Array:
    """The colour of each pixel."""
    y, x = np.divmod(places, columns)
    colour: Array = cells[y % len(cells), x % len(cells)]
    return colour


def _alike(cells: Array | None, y: Array, x: Array, dy: int, dx: int) -> Array | bool:
    """Whether a pixel has the colour of the one that is (dy, dx) away."""
    if cells is None:
        return True
    period = len(cells)
    alike = cells == np.roll(cells, (-dy, -dx), (0, 1))
    found: Array = alike[y % period, x % period]
    return found


def ring_offsets(ring: int) -> list[tuple[int, int]]:
    """(dy, dx) of the pixels at Chebyshev distance `ring`, row by row."""
    span = range(-ring, ring + 1)
    if ring == 0:
        return [(0, 0)]
    return [(dy, dx) for dy in span for dx in (span if abs(dy) == ring else (-ring, ring))]


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
    flat = window.reshape(len(window), -1)
    stays = []
    # A new value comes from pixels that are not listed, so that they can be replaced in turns.
    for new in corrected(_Dense(window), origin, defects, inner):
        flat[:, (new.y - origin[0]) * window.shape[2] + (new.x - origin[1])] = new.values
        stays.append(new.stays)
    if not stays:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    frames, places = map(np.concatenate, zip(*stays, strict=True))
    order = np.argsort(frames, kind="stable")
    return frames[order], places[order]


class Values(Protocol):
    """Values of a window of some frames, missing ones NaN."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, height, width)."""

    def at(self, places: Array) -> Array:
        """Those at places y * width + x of the window, shape (frames, places)."""

    def image(self, frame: int) -> Array:
        """All of a frame."""


@dataclass(frozen=True)
class _Dense:
    """Values that are there."""

    window: Array

    @property
    def shape(self) -> tuple[int, ...]:
        frames, height, width = self.window.shape
        return frames, height, width

    def at(self, places: Array) -> Array:
        found: Array = self.window.reshape(len(self.window), -1)[:, places]
        return found

    def image(self, frame: int) -> Array:
        image: Array = self.window[frame]
        return image


class Corrected(NamedTuple):
    """New values of some listed pixels."""

    y: Array
    x: Array
    """Rows and columns in the image."""
    values: Array
    """Shape (frames, pixels)."""
    stays: tuple[Array, Array]
    """Values that are as they were: see `correct`."""


def corrected(
    values: Values, origin: tuple[int, int], defects: Defects, inner: Tile
) -> Iterator[Corrected]:
    """What `correct` puts in place of the listed pixels of a tile, some at a time."""
    columns = defects.shape[1]
    first = np.searchsorted(defects.places, inner.y * columns)
    last = np.searchsorted(defects.places, (inner.y + inner.height) * columns)
    step = max(1, _CORRECTED_AT_ONCE // values.shape[0])
    for start in range(first, last, step):
        yield _corrected(values, origin, defects, inner, slice(start, min(start + step, last)))


def _corrected(
    values: Values, origin: tuple[int, int], defects: Defects, inner: Tile, some: slice
) -> Corrected:
    y, x = np.divmod(defects.places[some], defects.shape[1])
    rings = defects.rings[some]
    here = (x >= inner.x) & (x < inner.x + inner.width)
    y, x, rings = y[here], x[here], rings[here]
    frames, _, width = values.shape
    target = (y - origin[0]) * width + (x - origin[1])
    new = np.full((frames, len(target)), np.nan)
    for ring in np.unique(rings[rings > 0]):
        those = np.flatnonzero(rings == ring)
        total, count = _ring_sums(values, origin, defects, y[those], x[those], ring)
        new[:, those] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    # a frame in which all of them are missing takes the next wider ring
    missing = np.isnan(new) & (rings > 0)
    for one in np.flatnonzero(missing.any(axis=1)):
        left = np.flatnonzero(missing[one])
        new[one, left] = nearest(values.image(int(one)), origin, defects, y[left], x[left])
    frame, n = np.nonzero(np.isnan(new))
    if len(n):
        new[frame, n] = values.at(target)[frame, n]
    return Corrected(y, x, new, (frame, y[n] * defects.shape[1] + x[n]))


def nearest(values: Array, origin: tuple[int, int], defects: Defects, y: Array, x: Array) -> Array:
    """For some listed pixels of one frame the mean of the nearest ring that holds a value.

    Parameters
    ----------
    values : ndarray of float64, shape (height, width)
        Of a window of the image, missing ones NaN.
    origin : (int, int)
        Row and column of the window's first pixel in the image.
    defects : Defects
    y, x : ndarray of int64, shape (n,)
        Rows and columns in the image.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN where no ring that the window shows whole, as far as the image goes, holds a value.
    """
    good = ~np.isnan(values)
    (height, width), columns, step = values.shape, defects.shape[1], defects.step
    first, last = np.searchsorted(
        defects.places, [origin[0] * columns, (origin[0] + height) * columns]
    )
    for start in range(first, last, AT_ONCE):
        ly, lx = np.divmod(defects.places[start : min(start + AT_ONCE, last)], columns)
        here = (lx >= origin[1]) & (lx < origin[1] + width)
        good[ly[here] - origin[0], lx[here] - origin[1]] = False
    new = np.full(len(y), np.nan)
    wy, wx = y - origin[0], x - origin[1]
    for some, lattice in _lattices(good, origin, defects, wy, wx):
        if not len(some) or not lattice.any():
            continue
        shown = np.full(len(some), max(lattice.shape))
        for at, start, length, whole in zip((wy, wx), origin, values.shape, defects.shape,
                                            strict=True):  # fmt: skip
            if start > 0:
                shown = np.minimum(shown, at[some] // step)
            if start + length < whole:
                shown = np.minimum(shown, (length - 1 - at[some]) // step)
        rings = _nearest_rings(lattice, wy[some] // step, wx[some] // step, shown)
        use = lattice if step == 1 else good
        for ring in np.unique(rings[rings > 0]):
            of_ring = some[rings == ring]
            each = max(1, _CORRECTED_AT_ONCE // (8 * int(ring)))
            for begin in range(0, len(of_ring), each):
                n = of_ring[begin : begin + each]
                new[n] = _ring_means(values, use, int(ring), step, wy[n], wx[n])
    return new


def _lattices(
    good: Array, origin: tuple[int, int], defects: Defects, y: Array, x: Array
) -> Iterator[tuple[Array, Array]]:
    """For each colour the pixels that have it, and every `step`-th pixel, true where one is good
    and has it, too."""
    if defects.cells is None:
        step = defects.step
        for dy in range(step):
            for dx in range(step):
                some = np.flatnonzero((y % step == dy) & (x % step == dx))
                yield some, good[dy::step, dx::step]
        return
    cells = np.roll(defects.cells, (-origin[0], -origin[1]), (0, 1))
    period = len(cells)
    colour = cells[y % period, x % period]
    for one in np.unique(colour):
        lattice = np.zeros_like(good)
        for dy, dx in np.argwhere(cells == one):
            lattice[dy::period, dx::period] = good[dy::period, dx::period]
        yield np.flatnonzero(colour == one), lattice


def _nearest_rings(good: Array, y: Array, x: Array, most: Array) -> Array:
    """The nearest ring of each place that holds a good pixel, up to `most`; 0: there is none."""
    rows, columns = good.shape
    above = np.zeros((rows + 1, columns + 1), np.int32)
    """Good pixels above and to the left."""
    np.cumsum(good, axis=0, dtype=np.int32, out=above[1:, 1:])
    np.cumsum(above, axis=1, out=above)

    def holds(ring: Array) -> Array:
        top, bottom = np.maximum(y - ring, 0), np.minimum(y + ring + 1, rows)
        left, right = np.maximum(x - ring, 0), np.minimum(x + ring + 1, columns)
        count = above[bottom, right] - above[top, right] - above[bottom, left] + above[top, left]
        found: Array = count > 0
        return found

    low, high = np.zeros(len(y), np.int64), most.astype(np.int64)  # none in low; some in high
    none = ~holds(high)
    while (high - low > 1).any():
        middle = (low + high) // 2
        inside = holds(middle)
        low, high = np.where(inside, low, middle), np.where(inside, middle, high)
    high[none] = 0
    return high


def _ring_means(values: Array, good: Array, ring: int, step: int, y: Array, x: Array) -> Array:
    """Means of the good pixels on rings, added in the order of the image."""
    height, width = values.shape
    dy, dx = step * np.array(ring_offsets(ring)).T
    ny, nx = dy[:, None] + y, dx[:, None] + x
    use = (ny >= 0) & (ny < height) & (nx >= 0) & (nx < width)
    at = np.where(use, ny * width + nx, 0)
    use &= good.reshape(-1)[at]
    value = np.where(use, values.reshape(-1)[at], 0.0)
    means: Array = np.cumsum(value, axis=0)[-1] / np.count_nonzero(use, axis=0)
    return means


def _ring_sums(
    values: Values,
    origin: tuple[int, int],
    defects: Defects,
    y: Array,
    x: Array,
    ring: int,
) -> tuple[Array, Array]:
    """Sum and number of the good neighbours on a ring, in the order of the image."""
    frames, height, width = values.shape
    rows, columns = defects.shape
    total = np.zeros((frames, len(y)))
    count = np.zeros((frames, len(y)), np.int64)
    offsets = np.array(ring_offsets(int(ring)))[:, :, None]
    each = max(1, _CORRECTED_AT_ONCE // max(1, frames * len(y)))
    for some in (offsets[i : i + each] for i in range(0, len(offsets), each)):
        ny, nx = y + some[:, 0] * defects.step, x + some[:, 1] * defects.step
        wy, wx = ny - origin[0], nx - origin[1]
        good = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
        good &= (wy >= 0) & (wy < height) & (wx >= 0) & (wx < width)
        if defects.cells is not None:
            good &= [_alike(defects.cells, y, x, *at) for at in some[:, :, 0].tolist()]
        good &= ~_contains(defects.places, ny * columns + nx)
        value = values.at(np.where(good, wy * width + wx, 0))
        use = good & ~np.isnan(value)
        for one in np.where(use, value, 0.0).swapaxes(0, 1):  # in their order
            total += one
        count += use.sum(axis=1)
    return total, count


def ring_counts(values: Array, origin: tuple[int, int], defects: Defects, places: Array) -> Array:
    """How many good neighbours each listed pixel has on its nearest ring, at least 1.

    Parameters
    ----------
    values : ndarray of float64, shape (height, width)
        Of a window of the image, missing ones NaN.
    origin : (int, int)
        Row and column of the window's first pixel in the image.
    defects : Defects
    places : ndarray of int64, shape (n,)
        Listed pixels.
    """
    y, x = np.divmod(places, defects.shape[1])
    rings = defects.rings[np.searchsorted(defects.places, places)]
    found = np.ones(len(places), np.int64)
    for ring in np.unique(rings[rings > 0]):
        some = np.flatnonzero(rings == ring)
        one = _Dense(values[None])
        found[some] = _ring_sums(one, origin, defects, y[some], x[some], int(ring))[1][0]
    return np.maximum(found, 1)


def around(tile: Tile, reach: int, shape: tuple[int, ...]) -> Tile:
    """A tile and the pixels around it, as far as the image goes."""
    rows, columns = shape[-2:]
    y, x = max(0, tile.y - reach), max(0, tile.x - reach)
    height = min(rows, tile.y + tile.height + reach) - y
    width = min(columns, tile.x + tile.width + reach) - x
    return Tile(tile.plane, y, x, height, width)


def far_neighbours(
    plane: int,
    places: Array,
    defects: Defects,
    shape: tuple[int, ...],
    values_in: Callable[[Tile], Array],
) -> Array:
    """Values of listed pixels whose near neighbours are missing: look ever further out, for all
    at once; NaN where there is none. `values_in` gives the values of a window."""
    y, x = np.divmod(places, shape[-1])
    found = np.full(len(places), np.nan)
    left = np.flatnonzero(defects.rings[np.searchsorted(defects.places, places)])
    reach = max(8, 2 * defects.reach)
    while len(left):
        top, first = int(y[left].min()), int(x[left].min())
        height, width = int(y[left].max()) - top + 1, int(x[left].max()) - first + 1
        window = around(Tile(plane, top, first, height, width), reach, shape)
        values = values_in(window)
        found[left] = nearest(values, (window.y, window.x), defects, y[left], x[left])
        left = left[np.isnan(found[left])]
        if window.shape == shape[-2:]:
            break
        reach *= 4
    return found
