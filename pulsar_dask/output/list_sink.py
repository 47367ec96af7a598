"""The hottest pixels of a product as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pulsar_dask.engine.graph import Index
from pulsar_dask.engine.holds import Holds
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.make import Run
from pulsar_dask.hotpixels import Candidates, HotPixels, sealed_list
from pulsar_dask.outputs import AtomicFile
from pulsar_dask.tiles import Plan, Tile

Array = np.ndarray[Any, Any]
#: Bytes that a hot pixel takes, as a candidate and as a line.
HOT_BYTES = 300


class ListSink:
    """See `make.Sink`. Its taker remembers, in each process, the value below which no pixel can
    be one of the hottest."""

    grid = None
    load: Sequence[str] = ()

    def __init__(
        self,
        layer: Layer,
        shape: tuple[int, ...],
        path: str,
        count: int,
        *,
        origin_top: bool = False,
        verify: bool = True,
    ) -> None:
        self.layer, self.path = layer, path
        self.hot = HotPixels(shape, count)
        self.listed = 0
        self._rows = shape[-2] if origin_top else None
        self._verify = verify
        self.sends = 0
        size = HOT_BYTES * min(count, int(np.prod(shape[-2:], dtype=object)))
        self.holds = Holds(process={f"lists of hot pixels of {layer.name}": size})

    def begin(self, plan: Plan) -> frozenset[Index]:
        return frozenset()

    def taker(self) -> Candidates:
        return Candidates(self.hot)

    def here(self, tile: Tile, result: Any) -> None:
        self.hot.take(tile.plane, result)

    def seal(self, run: Run) -> None:
        x, y = self.hot.positions()
        self.listed = len(x)
        self.file: AtomicFile = sealed_list(self.path, x, y, rows=self._rows, verify=self._verify)

    def files(self) -> Mapping[str, Any]:
        return {self.path: self.file}

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
