"""The noise of parts of a sensor that have their own, as amplifiers have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import Tile


class Parts(NamedTuple):
    """Parts of a sensor that have a noise of their own, as amplifiers have."""

    sections: tuple[tuple[int, int, int, int], ...]
    """Of each the first row and that after the last, and columns likewise."""
    noises: tuple[Noise, ...]

    def within(self, tile: Tile) -> Iterator[tuple[slice, slice, Noise]]:
        """What of a tile lies in them: its rows, its columns, and their noise."""
        for (top, bottom, left, right), noise in zip(self.sections, self.noises, strict=True):
            rows = slice(max(0, top - tile.y), min(tile.height, bottom - tile.y))
            columns = slice(max(0, left - tile.x), min(tile.width, right - tile.x))
            if rows.start < rows.stop and columns.start < columns.stop:
                yield rows, columns, noise
