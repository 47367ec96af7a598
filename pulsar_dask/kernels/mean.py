"""The mean of a stack, per pixel, on plain arrays.

Integers of up to 32 bits that are not scaled are summed as integers, exactly; what else there is
as float64, frame by frame, which is the order of ``numpy.mean(stack, axis=0)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type

Array = np.ndarray[Any, Any]
#: Pixels that are summed together: sums and counts of so many stay in the L1 cache.
_BLOCK = 2048
#: Values in such a block, where that makes it smaller.
_BLOCK_VALUES = 1 << 18
#: Bytes for each pixel that `mean` holds beside its input: sum, count, values, one temporary.
PIXEL_BYTES = 8 + 4 + 8 + 8
_add_rows = Compiled("mean_compiled.add_rows")
_sum_values = Compiled("mean_compiled.add_values")


def mean(stack: Array, pixels: PixelType, *, compiled: bool = True) -> tuple[Array, Array | None]:
    """Mean over the first axis of pixels as they are stored.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
        Stored pixels; dtype `pixels.stored` (big-endian) or that in native order.
    pixels : PixelType
        How to read them.
    compiled : bool
        Whether to use compiled code.

    Returns
    -------
    values : ndarray of float64, shape (n,)
        NaN where all values are missing.
    counts : ndarray of int32, shape (n,), or None
        Values that were not missing; None where nothing can be missing.
    """
    frames, n = stack.shape
    exact = not pixels.floating and pixels.bitpix <= 32 and not pixels.scaled
    # a value that BSCALE makes infinite is missing
    can_miss = not exact or pixels.blank is not None
    sums = np.zeros(n, np.int64 if exact else np.float64)
    counts = np.full(n, 0 if can_miss else frames, np.int32)
    if exact and compiled:
        bits = stack.view(bits_type(stack.dtype))
        blank = bits.dtype.type(pixels.blank or 0)
        swap = SWAP and stack.dtype.str[0] == ">"
        small = np.empty(_BLOCK, np.int32)
        _add_rows(bits, swap, pixels.blank is not None, blank, small, sums, counts)
    else:
        add: Any = _add_integers
        if not exact:
            add = _sum_values if compiled else _add_values
        step = _block(frames)
        for start in range(0, n, step):
            part = slice(start, min(start + step, n))
            block = stack[:, part] if exact else _values(stack[:, part], pixels)
            if exact:
                add(block, pixels.blank, sums[part], counts[part])
            else:
                add(block, sums[part], counts[part])
    if exact:
        sums += int(pixels.bzero) * counts.astype(np.int64)
        total = sums.astype(np.float64)
    else:
        total = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        values = total / counts
    if not exact:
        _mend_overflow(stack, pixels, values, counts)
    return values, counts if can_miss else None


def scratch_bytes(frames: int, pixels: int) -> int:
    """Bytes that `mean` holds besides its input and per-pixel output, for up to so many pixels."""
    return 4 * 8 * max(frames, 8) * min(_block(frames), pixels)


def _block(frames: int) -> int:
    return max(64, min(_BLOCK, _BLOCK_VALUES // frames))


def _add_integers(block: Array, blank: int | None, sums: Array, counts: Array) -> None:
    if blank is None:
        sums += block.sum(axis=0, dtype=np.int64)
        return
    there = block != blank
    counts += np.count_nonzero(there, axis=0).astype(np.int32)
    sums += block.sum(axis=0, dtype=np.int64, where=there)


def _add_values(block: Array, sums: Array, counts: Array) -> None:
    for values in block:
        there = np.isfinite(values)
        with np.errstate(over="ignore", invalid="ignore"):
            np.add(sums, values, out=sums, where=there)
        counts += there


def _values(stored: Array, pixels: PixelType) -> Array:
    """float64 values; those that are missing are not finite."""
    if pixels.other_sign and pixels.bitpix == 64:
        bits = stored.astype(np.int64).view(np.uint64)
        values = (bits ^ np.uint64(1 << 63)).astype(np.float64)  # rounded once
    else:
        with np.errstate(over="ignore"):
            values = stored.astype(np.float64) * pixels.bscale + pixels.bzero
    if pixels.blank is not None:
        values[stored == pixels.blank] = np.nan
    return values


def _mend_overflow(stack: Array, pixels: PixelType, values: Array, counts: Array) -> None:
    """A sum may lie beyond float64 where the mean does not."""
    for place in np.flatnonzero(np.isinf(values) | (np.isnan(values) & (counts > 0))):
        column = _values(stack[:, place], pixels)
        column = column[np.isfinite(column)]
        values[place] = (column / len(column)).sum()
