"""A calibrated light as a FITS file, with its uncertainty and mask as extensions where they are
made."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask._version import CREATOR, __version__
from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.table import own_table
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.output.encoding import ENCODED_COPIES, encode, encoding_bytes
from pulsar_dask.output.fits import FitsFile
from pulsar_dask.output.header import clean_header
from pulsar_dask.output.laid import Laid

Array = np.ndarray[Any, Any]
#: What is counted beside the planes of a tile.
_TALLY = "tally"


def light_header(light: Frame, cards: Mapping[str, tuple[Any, str]]) -> fits.Header:
    """The header of a calibrated light: its own, and what was done.

    Parameters
    ----------
    light : Frame
    cards : mapping
        Value and comment by keyword; one of None removes the card.
    """
    header = clean_header(light)
    for keyword in ("CREATOR", "DATE", *own_table().keywords("saturation")):
        header.remove(keyword, ignore_missing=True, remove_all=True)
    written = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    all_cards = dict(cards) | {
        "CREATOR": (f"{CREATOR} {__version__}", "program that wrote this file"),
        "DATE": (written, "[UTC] when written"),
    }
    for keyword, (value, comment) in all_cards.items():
        header.remove(keyword, ignore_missing=True, remove_all=True)
        if value is not None:
            header[keyword] = (value, comment)
    return header


@dataclass(frozen=True)
class _Encode:
    """Puts each plane of a tile into the file."""

    laid: Laid

    def __call__(self, tile: Tile, planes: Mapping[str, Any]) -> dict[str, Any]:
        saturated, missing = planes[_TALLY]
        found: dict[str, Any] = {_TALLY: saturated}
        for name, (_, dtype) in self.laid.planes.items():
            # it may lie as in the file already
            ready = name == "image" and planes[name].dtype.itemsize == 4 and dtype == "float32"
            made = (planes[name], 0, missing) if ready else encode(planes[name], dtype)
            found[name] = self.laid.put(name, tile, *made)
        return found


class LightSink:
    """See `make.Sink`."""

    what = "light"
    grid = None
    lines = None
    after = Holds()
    load: Sequence[str] = ()

    def __init__(
        self,
        product: Product,
        path: str,
        header: fits.Header,
        *,
        known: Mapping[str, Sums],
        verify: bool,
    ) -> None:
        """`known` are the sums of its masters, by their keys."""
        self.product, self.path, self.layer = product, path, product.layer
        self.paths, self.laid = [path], {path: product.dtypes}
        self.dtype = product.dtype
        self.saturated = 0
        self._header, self._known, self._verify = header, known, verify
        self._lock = threading.Lock()
        self.sends = sum(np.dtype(dtype).itemsize for dtype in product.dtypes.values())
        work = encoding_bytes(self.dtype, ENCODED_COPIES) - np.dtype(self.dtype).itemsize
        ready = {plane.name: plane.dtype for plane in product.layer.planes}["image"] == "float32"
        pixel = {"work": max(0, work), "encoded": self.sends}
        self.holds = Holds({"encoded": self.sends - 4} if ready else pixel)

    def begin(self, plan: Plan) -> frozenset[Index]:
        trace = replace(self.product.trace, verb="calibrated")
        shape = self.product.frames[0].shape
        self.file = FitsFile(
            self.path,
            shape,
            self.product.dtypes,
            self._header,
            trace,
            verify=self._verify,
            shared=plan.workers > 0,
            passing=True,
        )
        return frozenset()

    def taker(self) -> _Encode:
        return _Encode(self.file.there)

    def here(self, tile: Tile, result: dict[str, Any]) -> None:
        with self._lock:
            self.saturated += result[_TALLY]
        for name in self.product.dtypes:
            data, clipped, missing = result[name]
            counts = (clipped, missing) if name == "image" else (0, 0)
            self.file.put(name, tile, data, *counts)

    def seal(self, run: Run) -> None:
        self.file.seal(
            {**self._known, **run.sums}, run.written, run.notes(os.path.basename(self.path))
        )

    def files(self) -> Mapping[str, Any]:
        return {self.path: self.file}

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.file.close()
