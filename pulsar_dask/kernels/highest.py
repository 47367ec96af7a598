"""Hot pixels: the highest values of an image that comes tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]
HOT_PIXELS = 10_000
#: Pixels that are looked at together: what they take is no matter to a memory budget.
AT_ONCE = 65_536


class HotPixels:
    """The N highest values of an image that comes tile by tile, in any order.

    It keeps candidates, twice N of them at most, never the image. Of a colour image, a pixel
    counts with its highest plane.
    """

    def __init__(self, shape: tuple[int, ...], count: int = HOT_PIXELS) -> None:
        self.columns = shape[-1]
        self.count = count
        self._planes: dict[int, _Highest] = {}
        self._lock = threading.Lock()

    def write(self, tile: Tile, values: Array) -> None:
        """Take the values of a tile, shape (height, width)."""
        self.take(tile.plane, self.candidates(tile, values))

    def candidates(self, tile: Tile, values: Array) -> list[tuple[Array, Array]]:
        """Values of a tile that may be among the highest, and their places in the image."""
        floor = self._highest(tile.plane).floor
        flat = np.asarray(values, np.float64).ravel()
        found = []
        for start in range(0, len(flat), AT_ONCE):
            part = flat[start : start + AT_ONCE]
            local = np.flatnonzero(part >= floor)  # never NaN
            if len(local):
                y, x = np.divmod(start + local, tile.width)
                best = _highest(part[local], (tile.y + y) * self.columns + tile.x + x, self.count)
                found.append(best)
        return found

    def take(self, plane: int, candidates: list[tuple[Array, Array]]) -> None:
        """Add candidates of a plane."""
        highest = self._highest(plane)
        with self._lock:
            for values, places in candidates:
                highest.add(values, places)

    def _highest(self, plane: int) -> _Highest:
        with self._lock:
            if plane not in self._planes:
                self._planes[plane] = _Highest(self.count)
            return self._planes[plane]

    def positions(self) -> tuple[Array, Array]:
        """Columns and rows (from zero) of the hottest pixels, highest value first, equal
        values by row, then column."""
        return self.hottest()[:2]

    def hottest(self, *, valued: bool = False) -> tuple[Array, Array, Array]:
        """`positions`, and if asked for the values there."""
        if not self._planes:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        best = [highest.best() for highest in self._planes.values()]
        values = np.concatenate([v for v, _ in best])
        places = np.concatenate([p for _, p in best])
        # one array after the other is let go of: a list may be long
        np.negative(values, out=values)
        order = np.lexsort((places, values))
        values = -values[order] if valued else np.empty(0)
        places = places[order]
        del order
        if len(best) > 1:
            first = _firsts(places)
            places, values = places[first], values[first] if valued else values
        y, x = np.divmod(places[: self.count], self.columns)
        return x, y, values[: self.count]


def _firsts(values: Array) -> Array:
    """Whether each value is the first of its like."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    later = np.zeros(len(values), bool)
    later[1:] = ordered[1:] == ordered[:-1]
    del ordered
    first = np.ones(len(values), bool)
    first[order[later]] = False
    return first


class Candidates:
    """What takes a tile for a list, in any process; there it knows what it has seen itself."""

    def __init__(self, hot: HotPixels, *, far: bool = False) -> None:
        self.hot, self.far = hot, far

    def __reduce__(self) -> Any:
        return _far_candidates, (self.hot.columns, self.hot.count)

    def __call__(self, tile: Tile, planes: Mapping[str, Array]) -> list[tuple[Array, Array]]:
        found = self.hot.candidates(tile, planes["image"])
        if self.far:
            self.hot.take(tile.plane, found)
        return found


def _far_candidates(columns: int, count: int) -> Candidates:
    return Candidates(HotPixels((0, columns), count), far=True)


class _Highest:
    """The `count` highest values of those that come: at most as many more are held.

    They lie in arrays of that size from the start: many small ones, made by one thread and let go
    by another, would leave holes that the allocator keeps.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.floor = -np.inf
        """What is below can never come in."""
        self._held = 0
        self._values = np.empty(2 * count)
        self._places = np.empty(2 * count, np.int64)

    def add(self, values: Array, places: Array) -> None:
        if len(values) > self.count:
            values, places = _highest(values, places, self.count)
        if self._held + len(values) > len(self._values):
            self.best()
        self._append(values, places)

    def _append(self, values: Array, places: Array) -> None:
        end = self._held + len(values)
        self._values[self._held : end], self._places[self._held : end] = values, places
        self._held = end

    def best(self) -> tuple[Array, Array]:
        values, places = self._values[: self._held], self._places[: self._held]
        if self._held > self.count:
            best = _highest(values, places, self.count)
            self._held = 0
            self._append(*best)
            values, places = values[: self._held], places[: self._held]
        if self.count and self._held == self.count:
            self.floor = float(values.min())
        return values, places


def _highest(values: Array, places: Array, count: int) -> tuple[Array, Array]:
    """The `count` highest values; of equal ones those that come first in the image."""
    if len(values) <= count:
        return values, places
    if count == 0:
        return values[:0], places[:0]
    worst = np.partition(values, len(values) - count)[len(values) - count]
    above = np.flatnonzero(values > worst)
    equal = np.flatnonzero(values == worst)
    wanted = count - len(above)
    if len(equal) > wanted:
        equal = equal[np.argpartition(places[equal], wanted - 1)[:wanted]]
    keep = np.concatenate([above, equal])
    return values[keep], places[keep]
