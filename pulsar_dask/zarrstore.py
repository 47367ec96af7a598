"""A master as a Zarr store that xarray opens."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import warnings
from typing import Any

import numpy as np
import zarr

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.master import OUTPUT_TYPES, to_dtype
from pulsar_dask.tiles import Grid, Tile


class ZarrMaster:
    """The variable ``master`` of a Zarr group, a tile a chunk; see `master.FitsMaster`."""

    def __init__(self, path: str, grid: Grid, dtype: str, header: Any) -> None:
        if dtype not in OUTPUT_TYPES:
            raise PulsarError(f"--dtype {dtype}: not one of {', '.join(OUTPUT_TYPES)}")
        self.path = os.path.abspath(path)
        self.dtype = dtype
        self.clipped = 0
        self.missing = 0
        self._lock = threading.Lock()
        folder, name = os.path.split(self.path)
        self._temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.part")
        dims = ("plane", "y", "x")[-len(grid.shape) :]
        floating = np.dtype(dtype).kind == "f"
        try:
            group = zarr.open_group(self._temporary, mode="w-", zarr_format=3)
            group.attrs["creator"] = header["CREATOR"]
            self._array = group.create_array(
                "master",
                shape=grid.shape,
                chunks=(*(1,) * (len(dims) - 2), grid.height, grid.width),
                dtype=dtype,
                fill_value=np.nan if floating else 0,
                dimension_names=dims,
                attributes={
                    "units": str(header.get("BUNIT", "ADU")),
                    "header": header.tostring(sep="\n", padding=False, endcard=False),
                },
            )
        except OSError as error:
            self._remove()
            raise PulsarError(f"{printable(path)}: cannot be written ({error.strerror})") from error

    def write(self, tile: Tile, values: Any) -> None:
        """Write the float64 values of a tile, rounded once."""
        data, clipped, missing = to_dtype(values, self.dtype)
        rows, columns = (slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width))
        index = (rows, columns) if len(self._array.shape) == 2 else (tile.plane, rows, columns)
        try:
            self._array[index] = data
        except OSError as error:
            raise PulsarError(f"{printable(self.path)}: cannot be written ({error})") from error
        with self._lock:
            self.clipped += clipped
            self.missing += missing

    def commit(self) -> None:
        """Give the store its name; a store of that name goes away only then."""
        old = f"{self._temporary}.old"
        with (
            warnings.catch_warnings()
        ):  # that consolidated metadata are not in Zarr's specification
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(self._temporary)
        try:
            if os.path.lexists(self.path):
                os.rename(self.path, old)
            os.rename(self._temporary, self.path)
        except OSError as error:
            if os.path.lexists(old) and not os.path.lexists(self.path):
                os.rename(old, self.path)
            raise PulsarError(f"{printable(self.path)}: cannot be written ({error})") from error
        if os.path.isdir(old) and not os.path.islink(old):
            shutil.rmtree(old, ignore_errors=True)
        elif os.path.lexists(old):
            os.unlink(old)

    def _remove(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> ZarrMaster:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._remove()
