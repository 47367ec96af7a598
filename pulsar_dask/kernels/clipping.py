"""Means of what a rule keeps of the values of a pixel.

The values of each pixel are sorted; any rule that keeps what lies between two limits keeps a run
of them, so that clipping moves two ends. Sums of whole numbers are exact (64 bits): the mean is
rounded once. The result depends on the values alone, not on the order of the frames or on tiles.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.kernels.network import GROUP, comparators
from pulsar_dask.kernels.pixels import SWAP, PixelType

Array = np.ndarray[Any, Any]
MINMAX, SIGCLIP, WINSORIZED = 0.0, 1.0, 2.0
#: Bytes for each pixel that `clip` holds beside its input.
PIXEL_BYTES = 8 + 3 * 4


class Rule(NamedTuple):
    """What is kept of the values of a pixel; numbers, as compiled code takes them."""

    which: float
    low: float
    """How many of the lowest go; or how many scales below the centre the limit lies."""
    high: float
    maxiters: float = 0.0
    by_mean: float = 0.0
    """1: the centre is the mean; 0: the median."""
    nkeep: float = np.nan
    """At least so many stay; of a negative number at most so many go; NaN: half of them, and 3."""
    grain: float = 0.0
    """Least difference of two values: no scale is finer, no limit nearer to the centre."""


class Kept(NamedTuple):
    """Of each pixel."""

    image: Array
    """Mean of what is kept, float64; NaN where all values are missing."""
    used: Array
    """How many values those are, int32."""
    low: Array
    high: Array


def clip(stack: Array, pixels: PixelType, rule: Rule) -> Kept:
    """Means of what a rule keeps, over the first axis.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
        Stored pixels; dtype `pixels.stored` (big-endian) or that in native order. Neither scaled
        nor of 64-bit integers: those as float64.
    pixels : PixelType
        How to read them.
    rule : Rule
    """
    from pulsar_dask.kernels import clipping_compiled as code
    from pulsar_dask.kernels.compiled import ROW, _aligned

    frames, n = stack.shape
    stored = stack.dtype.newbyteorder("=")
    bits = stack.view(f"i{stored.itemsize}" if stored.itemsize > 1 else "u1")
    key = np.dtype(f"i{max(2, stored.itemsize)}")
    width = ROW // key.itemsize
    kept = Kept(np.empty(max(n, width)), *(np.empty(max(n, width), np.int32) for _ in range(3)))
    if n < width:
        bits = np.hstack([bits, np.zeros((frames, width - n), bits.dtype)])
    mode = 2 if pixels.floating else int(pixels.blank is not None)
    exponent = 0x7F800000 if stored.itemsize == 4 else 0x7FF0000000000000
    special = key.type(exponent if mode == 2 else (pixels.blank or 0))
    x = _aligned((frames, width), key)
    network = comparators(frames, *range(frames), sorted_first=GROUP)
    swap = SWAP and stack.dtype.str[0] == ">"
    values = x.view(stored) if pixels.floating else x
    numbers = np.array([*rule, frames], np.float64)
    top = key.type(np.iinfo(key).max)
    zero = 0.0 if pixels.floating else pixels.bzero
    code.clip(bits, swap, mode, special, network, x, values, top, zero, numbers, *kept)
    return Kept(*(part[:n] for part in kept))


def scratch_bytes(frames: int) -> int:
    """Bytes that `clip` holds besides, in each thread: a block of keys, sorted columns, the
    network."""
    comparators_ = frames * max(1, frames.bit_length()) ** 2 // 4
    return frames * (128 + 16) + 12 * comparators_ + 8192
