"""Values of pixels as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]


def to_values(stored: Array, pixels: PixelType) -> Array:
    """Values of stored pixels, of dtype `pixels.native`; missing ones are NaN."""
    native = stored.astype(stored.dtype.newbyteorder("="))
    if pixels.scaled:
        values = native.astype(np.float64)
        with np.errstate(over="ignore"):
            values *= pixels.bscale
            values += pixels.bzero
    elif pixels.other_sign:
        unsigned = np.dtype(f"u{native.itemsize}")
        flipped = native.view(unsigned) ^ unsigned.type(1 << (8 * native.itemsize - 1))
        # as integers first: float64 does not hold every 64-bit integer plus its offset
        other = flipped.view(f"{'i' if pixels.bitpix == 8 else 'u'}{native.itemsize}")
        values = other.astype(pixels.native, copy=False)
    else:
        values = native.astype(pixels.native, copy=False)
    if pixels.blank is not None:
        values[native == pixels.blank] = np.nan
    if pixels.floating or pixels.overflows:
        values[np.isinf(values)] = np.nan
    return values
