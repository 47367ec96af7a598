"""Masters, written and read."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.io import fits
from helpers import halfway

from pulsar_dask.frames.provenance import Trace
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.output.encoding import OUTPUT_TYPES
from pulsar_dask.output.fits import FitsMaster


def read(path):
    """Pixels and header as astropy reads them; checksums that are wrong are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as hdus:
            assert len(hdus) == 1
            assert {"CHECKSUM", "DATASUM"} <= set(hdus[0].header)
            return np.array(hdus[0].data), hdus[0].header.copy()


def write_master(
    path,
    values,
    dtype,
    *,
    header=None,
    tile=(1000, 1000),
    order=1,
    trace=Trace(),  # noqa: B008
):
    """Write float64 values tile by tile, in the order of the file or against it."""
    grid = Grid(values.shape, *tile)
    if header is None:
        header = fits.Header({"CREATOR": "pulsar-dask 0"})
    with FitsMaster(str(path), values.shape, dtype, header, trace) as master:
        for _, t in list(grid)[::order]:
            plane = values[t.plane] if values.ndim == 3 else values
            master.write(t, np.ascontiguousarray(plane[t.y : t.y + t.height, t.x : t.x + t.width]))
        master.commit()
    return master


DTYPES = sorted(OUTPUT_TYPES)


def as_type(values, dtype):
    return values.astype(dtype) if dtype[0] == "f" else halfway(values, dtype)
