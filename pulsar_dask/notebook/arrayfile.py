"""An image of any array as a FITS file."""

from __future__ import annotations

import functools
import os
from datetime import UTC, datetime
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from pulsar_dask.engine.recipe import ARRAYS
from pulsar_dask.files.transaction import commit_all
from pulsar_dask.formats.cards import tidy
from pulsar_dask.frames.planes import planes_path
from pulsar_dask.frames.provenance import Trace
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.notebook.scratch import each_block
from pulsar_dask.notebook.selected import image_of
from pulsar_dask.output.encoding import OUTPUT_TYPES
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.output.header import clean_header
from pulsar_dask.output.ours import check_output


def write_array(image: xr.DataArray, path: str, *, overwrite: bool) -> None:
    """An image as it is, with the header that it has."""
    frame = image_of(image, "image", once=False)
    header = clean_header(frame)
    master = "made" if frame.about.master != "an array in Python" else "calibrated"
    if units := image.attrs.get("units"):
        header["BUNIT"] = (str(units), "unit of the pixels")
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "[UTC] when written")
    header = tidy(header.cards, image.ndim)
    dtype = image.dtype.name if image.dtype.name in OUTPUT_TYPES else _nearest(image.dtype)
    trace = Trace(steps=(ARRAYS,), verb=master)
    array: Any = image.data
    # of an array in memory some rows at a time are turned into those of a file
    blocks = array if isinstance(array, da.Array) else da.from_array(np.asarray(array), "16 MiB")
    check = functools.partial(check_output, path, [], overwrite=overwrite)
    check()
    beside = planes_path(path)
    checks = {path: check, beside: functools.partial(check_output, beside, [], overwrite=True)}
    with FitsMaster(path, image.shape, dtype, header, trace) as file:

        def take(place: tuple[slice, ...], block: Any) -> None:
            *planes, rows, columns = (part.start for part in place)
            for i, values in enumerate(block if planes else [block]):
                tile = Tile(planes[0] + i if planes else 0, rows, columns, *values.shape)
                file.write(tile, np.asarray(values, "f8"))

        each_block(blocks, take)
        file.seal()
        there = os.path.lexists(beside)
        commit_all({path: file, **({beside: None} if there else {})}, checks)


def _nearest(dtype: np.dtype[Any]) -> str:
    """The type of a file that holds one that no file has."""
    if dtype.kind == "b":
        return "uint8"
    return "int16" if dtype.name == "int8" else "float32" if dtype.itemsize < 4 else "float64"
