"""A master as a Zarr store that xarray opens."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from pulsar_dask.cubestore import MASTER, ChunkWriter, replace_store
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.master import OUTPUT_TYPES, to_dtype
from pulsar_dask.tiles import Grid, Tile
from pulsar_dask.trace import Trace


@dataclass(frozen=True)
class MasterChunk:
    """Writes the chunks of a master; returns how many pixels were clipped, how many missing."""

    writer: ChunkWriter
    dtype: str

    def __call__(self, tile: Tile, values: Any) -> tuple[int, int]:
        data, clipped, missing = to_dtype(values, self.dtype)
        self.writer(tile, data)
        return clipped, missing


class ZarrMaster:
    """The variable ``master`` of a Zarr group, a tile a chunk; see `master.FitsMaster`."""

    def __init__(
        self,
        path: str,
        grid: Grid,
        dtype: str,
        header: Any,
        trace: Trace = Trace(),  # noqa: B008
    ) -> None:
        if dtype not in OUTPUT_TYPES:
            raise PulsarError(f"--dtype {dtype}: not one of {', '.join(OUTPUT_TYPES)}")
        self.path = os.path.abspath(path)
        self.dtype = dtype
        self._header, self._trace = header, trace
        self.clipped = 0
        self.missing = 0
        self._lock = threading.Lock()
        folder, name = os.path.split(self.path)
        self._temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.part")
        # From before it exists: an interrupt can come before the caller enters `with`.
        self._remove = weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        dims = ("plane", "y", "x")[-len(grid.shape) :]
        floating = np.dtype(dtype).kind == "f"
        try:
            group = zarr.open_group(self._temporary, mode="w-", zarr_format=3)
            group.attrs.update({"creator": header["CREATOR"], "complete": True})
            group.create_array(
                MASTER,
                shape=grid.shape,
                chunks=(*(1,) * (len(dims) - 2), grid.height, grid.width),
                dtype=dtype,
                fill_value=np.nan if floating else 0,
                dimension_names=dims,
                attributes={"units": str(header.get("BUNIT", "ADU"))},
            )
        except OSError as error:
            self._remove()
            raise PulsarError(f"{printable(path)}: cannot be written ({error.strerror})") from error

    def write(self, tile: Tile, values: Any) -> None:
        """Write the float64 values of a tile, rounded once."""
        self.written(tile, self.far()(tile, values))

    def far(self) -> Callable[[Tile, Any], tuple[int, int]]:
        """What writes a tile, in any process that sees the store."""
        return MasterChunk(ChunkWriter(self._temporary, MASTER, ""), self.dtype)

    def written(self, tile: Tile, result: tuple[int, int]) -> None:
        with self._lock:
            self.clipped += result[0]
            self.missing += result[1]

    def commit(self, sums: Mapping[str, int] = {}) -> None:
        """Give the store its name; a store of that name goes away only then.

        `sums` are those of the inputs by path, for the trace.
        """
        for text in self._trace.texts(os.path.dirname(self.path), sums):
            self._header.add_history(text)
        text = self._header.tostring(sep="\n", padding=False, endcard=False)
        zarr.open_array(os.path.join(self._temporary, MASTER)).attrs["header"] = text
        with (
            warnings.catch_warnings()
        ):  # that consolidated metadata are not in Zarr's specification
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(self._temporary)
        try:
            replace_store(self._temporary, self.path)
        except OSError as error:
            raise PulsarError(f"{printable(self.path)}: cannot be written ({error})") from error

    def __enter__(self) -> ZarrMaster:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._remove()
