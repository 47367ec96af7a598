"""A product as a FITS file: the sink of most masters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.graph import Index
from pulsar_dask.engine.make import Run
from pulsar_dask.engine.recipe import Product
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.tile import Tile
from pulsar_dask.output.fits import FitsMaster, encode, encoding_bytes
from pulsar_dask.output.header import master_header

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Encode:
    """Makes of a tile what lies in the file; see `master.encode`."""

    dtype: str

    def __call__(self, tile: Tile, planes: Mapping[str, Array]) -> tuple[Array, int, int]:
        return encode(planes["image"], self.dtype)


class FitsSink:
    """See `make.Sink`."""

    grid = None
    lines = None
    after = Holds()
    load: Sequence[str] = ()

    def __init__(
        self,
        product: Product,
        path: str,
        *,
        tolerance: float,
        verify: bool,
        beside: Sequence[str] = (),
    ) -> None:
        """`beside` are lists that are written with it, for which it vouches."""
        self.product, self.path, self.layer = product, path, product.layer
        self.dtype = product.dtypes["image"]
        self._tolerance, self._verify, self._beside = tolerance, verify, tuple(beside)
        size = np.dtype(self.dtype).itemsize
        self.sends = size
        self.holds = Holds(pixel={"work": encoding_bytes(self.dtype)})

    def begin(self, plan: Plan) -> frozenset[Index]:
        header = master_header(
            self.product.frames,
            kind=self.product.kind,
            method=self.product.method,
            tolerance=self._tolerance,
        )
        shape = self.product.frames[0].shape
        trace = replace(self.product.trace, written=self._beside)
        self.file = FitsMaster(self.path, shape, self.dtype, header, trace, verify=self._verify)
        return frozenset()

    def taker(self) -> Encode:
        return Encode(self.dtype)

    def here(self, tile: Tile, result: tuple[Array, int, int]) -> None:
        self.file.put(tile, *result)

    def seal(self, run: Run) -> None:
        self.file.seal(run.sums, run.written)

    def files(self) -> Mapping[str, Any]:
        return {self.path: self.file}

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.__exit__()
