"""Tiles that are compared with what a file holds, rather than written: `verify`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index, Layer
from pulsar_dask.engine.sink import Run
from pulsar_dask.formats.reading import read_image
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.quality import OF_FRAMES
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.stack import FRAMES, cube_tile
from pulsar_dask.output.encoding import to_dtype

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class DifferingPixels:
    """How many pixels of a tile are others than in a master; and how many there are."""

    master: Frame
    plane: str = "image"

    def __call__(self, tile: Tile, planes: Mapping[str, Array]) -> Array:
        dtype = str(self.master.pixels.native)
        again = to_dtype(np.asarray(planes[self.plane], np.float64), dtype)[0].astype(np.float64)
        there = read_image(self.master, tile)
        if self.plane == "quality":  # the rest of it follows from the whole image
            there = (there.astype(np.int64) & OF_FRAMES).astype(np.float64)
        # an infinite value is one that did not fit; read back, it counts as missing
        again[np.isinf(again)] = np.nan
        return np.array([_differing(again, there), there.size])


@dataclass(frozen=True)
class DifferingFrames:
    """How many pixels of a tile are others in a cube, for each frame."""

    cube: tuple[Frame, ...]
    dtype: str

    def __call__(self, tile: Tile, planes: Mapping[str, Array]) -> Array:
        there = cube_tile(tile, self.cube, self.dtype)[FRAMES]
        return np.array([_differing(a, b) for a, b in zip(planes[FRAMES], there, strict=True)])


def _differing(a: Array, b: Array) -> int:
    differ = a != b
    if a.dtype.kind == "f":
        differ &= ~(np.isnan(a) & np.isnan(b))
    return int(np.count_nonzero(differ))


class CompareSink:
    """See `make.Sink`: adds up the counts of a taker, over some tiles spread over the image."""

    grid: Grid | None = None
    after = Holds()
    load: Sequence[str] = ()
    sends = 0

    def __init__(self, layer: Layer, take: Any, holds: Holds, tiles: int | None = None) -> None:
        self.layer, self.holds = layer, holds
        self.total: Any = 0
        """What the taker counted, as an array."""
        self._take, self._tiles = take, tiles
        self._lock = threading.Lock()

    def begin(self, plan: Plan) -> frozenset[Index]:
        indices = [index for index, _ in plan.grid]
        if self._tiles is None or self._tiles >= len(indices):
            return frozenset()
        chosen = np.linspace(0, len(indices) - 1, self._tiles).round().astype(int)
        return frozenset(indices) - {indices[i] for i in chosen}

    def taker(self) -> Any:
        return self._take

    def here(self, tile: Tile, result: Array) -> None:
        with self._lock:
            self.total = self.total + result

    def seal(self, run: Run) -> None:
        pass

    def files(self) -> Mapping[str, Any]:
        return {}
