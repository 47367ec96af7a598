"""Tiles: the rectangles in which a stack is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of one plane: rows y to y + height, columns x to x + width."""

    plane: int
    y: int
    x: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Grid:
    """An image cut into tiles of one size, the last ones smaller."""

    shape: tuple[int, ...]
    """(y, x) or (plane, y, x)."""
    height: int
    width: int

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Tile lengths along each axis, as dask writes them."""
        rows, columns = self.shape[-2:]
        planes = ((1,) * self.shape[0],) if len(self.shape) == 3 else ()
        return (*planes, _cuts(rows, self.height), _cuts(columns, self.width))

    def __len__(self) -> int:
        return math.prod(len(c) for c in self.chunks)

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], Tile]]:
        """(index of the tile along each axis, tile), in the order of the file."""
        rows, columns = self.shape[-2:]
        planes = range(self.shape[0]) if len(self.shape) == 3 else [None]
        for plane in planes:
            for i, y in enumerate(range(0, rows, self.height)):
                for j, x in enumerate(range(0, columns, self.width)):
                    tile = Tile(
                        plane or 0, y, x, min(self.height, rows - y), min(self.width, columns - x)
                    )
                    yield ((i, j) if plane is None else (plane, i, j)), tile


def _cuts(length: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, length - start) for start in range(0, length, step))
