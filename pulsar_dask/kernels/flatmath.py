"""Arithmetic of calibrated flats, on plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.kernels.pixels import SWAP, PixelType

Array = np.ndarray[Any, Any]
#: Most values near a median that are kept while it is looked for; more, and the bracket is narrowed
#: first.
MOST_KEPT = 500_000


def subtract(stack: Array, pixels: PixelType, dark: Array, *, out: Array) -> Array:
    """Integers as stored to float64 values minus a dark; missing ones NaN.

    Parameters
    ----------
    stack : ndarray, shape (frames, height, width), C-contiguous
        Pixels as stored, of up to 32 bits.
    pixels : PixelType
    dark : ndarray of float64, shape (height, width)
    out : ndarray of float64, shape (frames, height, width)
    """
    from pulsar_dask.kernels import compiled as numba_code

    frames, itemsize = len(stack), stack.dtype.itemsize
    bits = stack.view(f"i{itemsize}" if itemsize > 1 else "u1").reshape(frames, -1)
    numba_code.subtract(
        bits,
        SWAP and stack.dtype.str[0] == ">",
        pixels.blank is not None,
        bits.dtype.type(pixels.blank or 0),
        pixels.bscale,
        pixels.bzero,
        np.ascontiguousarray(dark).ravel(),
        out.reshape(frames, -1),
    )
    return out


def bracket(
    values: Array, low: float, high: float, *, compiled: bool = True
) -> tuple[int, int, int, int, Array]:
    """Where values lie: how many are not NaN, below `low`, at `low`, at `high`; and those
    strictly between."""
    if compiled:
        from pulsar_dask.kernels import compiled as numba_code

        inside = np.empty(len(values))
        *counts, within = numba_code.bracket(values, low, high, inside)
        return *counts, inside[:within].copy()
    inside = values[(values >= low) & (values <= high)]
    at_low, at_high = inside == low, inside == high
    return (
        int(np.count_nonzero(values == values)),
        int(np.count_nonzero(values < low)),
        int(np.count_nonzero(at_low)),
        int(np.count_nonzero(at_high)) if high > low else 0,
        inside[~(at_low | at_high)],
    )


def most_kept(pixels: int) -> int:
    """Most values that are kept of an image of so many pixels: half as many again as are
    expected between the brackets."""
    return min(MOST_KEPT, max(4096, pixels // 32))
