"""How the images of a FITS file lie in it, and what puts tiles there, in any process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pulsar_dask.kernels.checksum import both_sums
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.output.encoding import encode

Array = np.ndarray[Any, Any]
Put = tuple[Sums | Array, int, int]
"""Of a plane of a tile the sums of what is in its place, or, where that is for another process to
put there, its values as they lie in the file; how many were clipped, how many are missing."""


class Target(Protocol):
    """What takes bytes: an open `atomic.AtomicFile`, or its `place.Place` in other processes."""

    def write(self, pieces: Iterable[tuple[int, Any]]) -> bool:
        """Write (offset, bytes); False if that is not possible from here."""


@dataclass(frozen=True)
class Laid:
    """Where the planes of tiles lie in a file; it travels."""

    target: Target
    rows: int
    columns: int
    planes: Mapping[str, tuple[int, str]]
    """By plane: where its data begin, and their type."""

    def runs(self, plane: str, tile: Tile) -> tuple[range, int]:
        """Where the bytes of a tile that lie together begin, and how many these are."""
        start, dtype = self.planes[plane]
        size = np.dtype(dtype).itemsize
        first = start + ((tile.plane * self.rows + tile.y) * self.columns + tile.x) * size
        if tile.width == self.columns:
            return range(first, first + 1), tile.height * tile.width * size
        step = self.columns * size
        return range(first, first + tile.height * step, step), tile.width * size

    def encode(self, plane: str, tile: Tile, values: Array) -> Put:
        """Put the values of a tile, which are rounded once, where they belong."""
        return self.put(plane, tile, *encode(values, self.planes[plane][1]))

    def put(self, plane: str, tile: Tile, data: Array, clipped: int, missing: int) -> Put:
        """Put there what `encode` has made."""
        # what was pickled on its way has the order of bytes of this machine
        data = data.astype(data.dtype.newbyteorder(">"), copy=False)
        runs, _ = self.runs(plane, tile)
        pieces = data.reshape(len(runs), -1).view(np.uint8)
        if not self.target.write(zip(runs, pieces, strict=True)):
            return data, clipped, missing
        offset = runs.start - self.planes[plane][0]
        return both_sums(pieces, offset, step=runs.step), clipped, missing
