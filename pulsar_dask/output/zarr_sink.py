"""A product as a Zarr store, a tile a chunk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.formats.storeformat import MASTER
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.tile import Tile
from pulsar_dask.output.encoding import encoding_bytes
from pulsar_dask.output.header import master_header
from pulsar_dask.output.zarrstore import MasterChunk, Written, ZarrMaster


@dataclass(frozen=True)
class _Planes:
    """Writes the planes of a tile where it was computed, each to its variable."""

    writers: Mapping[str, MasterChunk]

    def __call__(self, tile: Tile, planes: Mapping[str, Any]) -> dict[str, Written]:
        return {name: write(tile, planes[name]) for name, write in self.writers.items()}


def _variable(plane: str) -> str:
    return MASTER if plane == "image" else plane


class ZarrSink:
    """See `make.Sink`."""

    grid = None
    lines = None
    after = Holds()
    load: Sequence[str] = ("zarr", "zarr.codecs")

    def __init__(self, product: Product, path: str, *, verify: bool) -> None:
        self.product, self.path, self.layer = product, path, product.layer
        self.paths = [path]
        self.dtype = product.dtype
        self._verify = verify
        self.sends = 0
        self.holds = Holds(pixel={"work": encoding_bytes(self.dtype)})

    def begin(self, plan: Plan) -> frozenset[Index]:
        frames = self.product.frames
        header = master_header(frames, kind=self.product.kind, method=self.product.method)
        planes = {name: t for name, t in self.product.dtypes.items() if name != "image"}
        self.file = ZarrMaster(
            self.path,
            plan.grid,
            self.dtype,
            header,
            self.product.trace,
            planes=planes,
            verify=self._verify,
        )
        return frozenset()

    def taker(self) -> _Planes:
        return _Planes({name: self.file.far(_variable(name)) for name in self.product.dtypes})

    def here(self, tile: Tile, result: Mapping[str, Written]) -> None:
        for name, written in result.items():
            self.file.written(tile, written, _variable(name))

    def seal(self, run: Run) -> None:
        self.file.seal(run.sums, run.notes(os.path.basename(self.path)))

    def files(self) -> Mapping[str, Any]:
        return {self.path: self.file}

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.__exit__()
