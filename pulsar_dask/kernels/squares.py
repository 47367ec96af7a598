"""An image in squares that are added up tile by tile: what they come to does not depend on how it
is cut into tiles, but for the rounding of sums of floats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Squares:
    """An image cut into squares that lie where they do whatever the tiles; small, so that it
    travels. Of an image of several planes they hold all of them."""

    shape: tuple[int, int]
    side: int

    @staticmethod
    def of(shape: tuple[int, ...], most: int) -> Squares:
        """The smallest squares of which there are no more than so many."""
        rows, columns = shape[-2:]
        side = max(1, math.isqrt(rows * columns // most))
        while (-(-rows // side)) * (-(-columns // side)) > most:
            side += 1
        return Squares((rows, columns), side)

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of squares."""
        return -(-self.shape[0] // self.side), -(-self.shape[1] // self.side)

    def places(self, tile: Tile) -> tuple[slice, slice]:
        """The squares that a tile touches."""
        return self._along(tile.y, tile.height), self._along(tile.x, tile.width)

    def _along(self, first: int, length: int) -> slice:
        return slice(first // self.side, (first + length - 1) // self.side + 1)

    def starts(self, first: int, length: int) -> Array:
        """Where each of the squares that a stretch touches begins, from its first pixel."""
        at = self._along(first, length)
        found: Array = np.maximum(np.arange(at.start, at.stop) * self.side - first, 0)
        return found

    def pixels(self) -> Array:
        """How many pixels of one plane each square has."""
        rows, columns = (
            np.minimum(self.side, length - np.arange(0, length, self.side)) for length in self.shape
        )
        found: Array = rows[:, None] * columns
        return found


@dataclass(frozen=True)
class Binned:
    """Squares of a tile: the sum of the values that are there, how many are not (None: none)."""

    total: Array
    missing: Array | None


def binned(values: Array, tile: Tile, squares: Squares) -> Binned:
    """Add the values of a tile up in squares; what is missing or infinite does not count."""
    rows, columns = squares.starts(tile.y, tile.height), squares.starts(tile.x, tile.width)
    parts = [values[i:j] for i, j in pairwise([*rows.tolist(), tile.height])]
    sums = np.empty((len(rows), tile.width))
    for row, part in zip(sums, parts, strict=True):
        np.add.reduce(part, axis=0, dtype="f8", out=row)
    total = np.add.reduceat(sums, columns, axis=1)
    if np.isfinite(total).all():
        return Binned(total, None)
    missing = np.zeros(total.shape, np.int32)
    for i, part in enumerate(parts):
        there = np.isfinite(part)
        sums = np.add.reduce(part, axis=0, dtype="f8", where=there)
        total[i] = np.add.reduceat(sums, columns)
        missing[i] = np.add.reduceat(len(part) - np.count_nonzero(there, axis=0), columns)
    return Binned(total, missing)


def extremes(values: Array, tile: Tile, parts: Squares) -> tuple[Array, Array]:
    """The lowest and the highest value of each part; infinite the other way where there is none."""
    rows, columns = parts.starts(tile.y, tile.height), parts.starts(tile.x, tile.width)
    low, high = np.empty((2, len(rows), len(columns)))
    ends = [*rows[1:].tolist(), tile.height]
    for i, (start, stop) in enumerate(zip(rows.tolist(), ends, strict=True)):
        part = values[start:stop]
        lowest, highest = np.fmin.reduce(part, axis=0), np.fmax.reduce(part, axis=0)
        if not (np.isfinite(lowest).all() and np.isfinite(highest).all()):
            there = np.isfinite(part)
            lowest = np.min(part, axis=0, where=there, initial=math.inf)
            highest = np.max(part, axis=0, where=there, initial=-math.inf)
        low[i] = np.minimum.reduceat(lowest, columns)
        high[i] = np.maximum.reduceat(highest, columns)
    return low, high
