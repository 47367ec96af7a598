"""A product as FITS files: its planes as their layout has them; where none are beside the image,
those of the master before do not stay."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.layouts import BESIDE, laid_out
from pulsar_dask.frames.planes import MASK
from pulsar_dask.frames.quality import DO_NOT_USE
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.finish import Finished, holds_for
from pulsar_dask.output.encoding import ENCODED_COPIES, encode, encoding_bytes
from pulsar_dask.output.fits import FitsFile
from pulsar_dask.output.header import product_header
from pulsar_dask.output.laid import Laid, Put

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Encode:
    """Puts each plane of a tile into its file, rounded once; see `laid.Put`."""

    planes: Mapping[str, Laid]

    def __call__(self, tile: Tile, planes: Mapping[str, Array]) -> dict[str, Put]:
        made = {name: laid.encode(name, tile, planes[name]) for name, laid in self.planes.items()}
        if "quality" in planes and "quality" not in made:  # a draft, which nobody may write late
            made["quality"] = encode(planes["quality"], "int32")
        return made


class FitsSink:
    """See `make.Sink`."""

    grid = None
    lines = None
    load: Sequence[str] = ()

    def __init__(
        self,
        product: Product,
        path: str,
        *,
        tolerance: float | None,
        verify: bool,
        beside: Sequence[str] = (),
        layout: str = BESIDE,
    ) -> None:
        """`beside` are lists that are written with it, for which it vouches."""
        self.product, self.path, self.layer = product, path, product.layer
        self.dtype = product.dtype
        self.laid = laid_out(path, product.dtypes, layout)
        self.paths = list(self.laid)
        self._of = {name: at for at, planes in self.laid.items() for name in planes}
        self._files: dict[str, FitsFile] = {}
        self._tolerance, self._verify, self._beside = tolerance, verify, tuple(beside)
        self.sends = sum(
            np.dtype(types[name]).itemsize
            for types in self.laid.values()
            for name in product.dtypes
            if name in types
        )
        work = encoding_bytes(self.dtype, ENCODED_COPIES) - np.dtype(self.dtype).itemsize
        self.holds = Holds(pixel={"work": work, "encoded": self.sends})
        self.after = holds_for(product)

    def begin(self, plan: Plan) -> frozenset[Index]:
        product = self.product
        header = product_header(product, self._tolerance)
        if product.levels:
            header["FLATLEV"] = (0.0, "median level of the frames, before scaling")
        shape = product.frames[0].shape
        trace = replace(product.trace, written=self._beside)
        how = {"verify": self._verify, "shared": plan.workers > 0}
        for path, planes in self.laid.items():
            if planes:
                self._files[path] = FitsFile(path, shape, planes, header, trace, **how)
        self.file = self._files[self.path]
        return frozenset()

    def taker(self) -> Encode:
        there = {path: file.there for path, file in self._files.items()}
        names = [name for name in self.product.dtypes if name != "quality"]
        return Encode({name: there[self._of[name]] for name in names})

    def here(self, tile: Tile, result: Mapping[str, Put]) -> None:
        for name, put in result.items():
            file = self._files[self._of[name]]
            if name == "quality":  # what the frames tell of it: the rest is told when all is there
                file.draft(name, tile, put[0])
            else:
                file.put(name, tile, *put)

    def rows(self, tile: Tile) -> Array:
        """Values of whole rows of the image, as they are in the file."""
        return self.file.read("image", tile)

    def seal(self, run: Run) -> None:
        if self.product.finish is not None:
            self.file.file.refresh()
            file, shape = self._files[self._of["quality"]], self.product.frames[0].shape
            frame_bits = functools.partial(file.read, "quality")
            quality = Finished(self.product.finish, shape, self.rows, frame_bits)
            for tile in quality.bands():
                bits = quality.bits(tile)
                file.put("quality", tile, *encode(bits, "int32"))
                if MASK.name in self._of:
                    mask = (bits & DO_NOT_USE).astype(MASK.dtype)
                    file.put(MASK.name, tile, *encode(mask, MASK.dtype))
        notes = run.notes(os.path.basename(self.path))
        levels = [run.values[layer.name].medians for layer in self.product.levels]
        for file in self._files.values():
            if levels:
                file.set("FLATLEV", float(np.median(np.concatenate(levels))))
            file.seal(run.sums, run.written, notes)

    def files(self) -> Mapping[str, Any]:
        return {path: self._files.get(path) for path in self.paths}

    def close(self) -> None:
        for file in self._files.values():
            file.file.close()
