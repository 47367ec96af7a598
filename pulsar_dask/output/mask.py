"""Listed pixels as an image: a mask, 1 where a pixel is bad."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask._version import CREATOR, __version__
from pulsar_dask.frames.planes import MASK
from pulsar_dask.frames.provenance import Trace
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.output.fits import FitsMaster

Array = np.ndarray[Any, Any]
#: Pixels that are written together.
_BAND = 1 << 20


def is_mask(path: str) -> bool:
    """Whether a file is an image that says which pixels are bad."""
    try:
        with fits.open(path) as hdus:
            return bool(hdus[0].header.get("EXTNAME") == MASK.extname)
    except OSError:
        return False


def sealed_mask(
    path: str,
    shape: tuple[int, ...],
    x: Array,
    y: Array,
    columns: Sequence[int],
    rows: Sequence[int],
    *,
    verify: bool,
    said: str,
) -> FitsMaster:
    """A mask of an image of that shape, on the disk but without its name: pixels by column and row
    from zero, whole columns, and whole rows are bad. `said` is what HISTORY has of it."""
    header = fits.Header()
    header["EXTNAME"] = (MASK.extname, MASK.words)  # so it is taken for no image
    header["IMAGETYP"] = ("Bad Pixel Mask", "kind of frame")
    header["CREATOR"] = (f"{CREATOR} {__version__}", "program that wrote this file")
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "[UTC] when written")
    height, width = shape
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    file = FitsMaster(path, shape, MASK.dtype, header, Trace(steps=(said,)), verify=verify)
    try:
        step = max(1, _BAND // width)
        for top in range(0, height, step):
            band = np.zeros((min(step, height - top), width), MASK.dtype)
            inside = slice(*np.searchsorted(y, (top, top + len(band))))
            band[y[inside] - top, x[inside]] = 1
            band[:, list(columns)] = 1
            band[[row - top for row in rows if top <= row < top + len(band)]] = 1
            file.put("image", Tile(0, top, 0, *band.shape), band, 0, 0)
        file.seal()
    except BaseException:
        file.file.close()
        raise
    return file
