"""An image of any array as a FITS file."""

from __future__ import annotations

import functools
import os
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from pulsar_dask.engine.recipe import ARRAYS
from pulsar_dask.files.transaction import commit_all
from pulsar_dask.formats.cards import tidy
from pulsar_dask.frames.provenance import Trace
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.notebook.selected import image_of
from pulsar_dask.output.encoding import OUTPUT_TYPES
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.output.fits_sink import planes_path
from pulsar_dask.output.header import clean_header
from pulsar_dask.output.ours import check_output


def write_array(image: xr.DataArray, path: str, *, overwrite: bool) -> None:
    """An image as it is, with the header that it has."""
    frame = image_of(image, "image")
    header = clean_header(frame)
    master = "made" if frame.about.master != "an array in Python" else "calibrated"
    if units := image.attrs.get("units"):
        header["BUNIT"] = (str(units), "unit of the pixels")
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "[UTC] when written")
    header = tidy(header.cards, image.ndim)
    dtype = image.dtype.name if image.dtype.name in OUTPUT_TYPES else _nearest(image.dtype)
    trace = Trace(steps=(ARRAYS,), verb=master)
    check = functools.partial(check_output, path, [], overwrite=overwrite)
    check()
    beside = planes_path(path)
    checks = {path: check, beside: functools.partial(check_output, beside, [], overwrite=True)}
    with FitsMaster(path, image.shape, dtype, header, trace) as file:
        for _, tile in Grid(image.shape, _rows(image), image.shape[-1]):
            rows = {"y": slice(tile.y, tile.y + tile.height)}
            plane = {"plane": tile.plane} if image.ndim == 3 else {}
            file.write(tile, np.asarray(image.isel(plane | rows).values, "f8"))
        file.seal()
        there = os.path.lexists(beside)
        commit_all({path: file, **({beside: None} if there else {})}, checks)


def _rows(image: xr.DataArray) -> int:
    """Rows that are computed at a time: as many chunks as there are threads, or 64 MB."""
    row = image.shape[-1] * 8
    chunk = max(image.chunks[-2]) if image.chunks else 1
    across = len(image.chunks[-1]) if image.chunks else 1
    return int(max(chunk * max(1, CPU_COUNT // across), (64 << 20) // row, 1))


def _nearest(dtype: np.dtype[Any]) -> str:
    """The type of a file that holds one that no file has."""
    if dtype.kind == "b":
        return "uint8"
    return "int16" if dtype.name == "int8" else "float32" if dtype.itemsize < 4 else "float64"
