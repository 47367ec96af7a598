"""Means of what a rule keeps of the values of a pixel.

The values of each pixel are sorted; any rule that keeps what lies between two limits keeps a run
of them, so that clipping moves two ends. Sums of whole numbers are exact (64 bits): the mean is
rounded once. The result depends on the values alone, not on the order of the frames or on tiles.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.kernels.blocks import ROW, aligned
from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.network import GROUP, comparators
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type

Array = np.ndarray[Any, Any]
_clip = Compiled("clipping_compiled.clip")
MEAN, MEDIAN, MINMAX, SIGCLIP, WINSORIZED, CCDCLIP = map(float, range(6))
#: Bytes for each pixel that `clip` holds beside its input and the image: counts, and deviations.
COUNT_BYTES, SPREAD_BYTES = 4 * 4, 2 * 8


class Rule(NamedTuple):
    """What is kept of the values of a pixel; numbers, as compiled code takes them."""

    which: float
    low: float = np.inf
    """How many of the lowest go; or how many scales below the centre the limit lies."""
    high: float = np.inf
    maxiters: float = 0.0
    by_mean: float = 0.0
    """1: the centre is the mean; 0: the median."""
    nkeep: float = np.nan
    """At least so many stay; of a negative number at most so many go; NaN: half of them, and 3."""
    grain: float = 0.0
    """Least difference of two values: no scale is finer, no limit nearer to the centre."""
    guard: float = 0.0
    """1: from 10 values on a pixel's own deviation counts where it is far above the noise."""
    variance: float = 0.0
    slope: float = 0.0
    square: float = 0.0
    level: float = 0.0
    floor: float = 0.0
    """The noise; see `noise.Noise`."""


class Kept(NamedTuple):
    """Of each pixel."""

    image: Array
    """Mean of what is kept, float64; NaN where all values are missing."""
    used: Array
    """How many values those are, int32."""
    low: Array
    high: Array
    outlier: Array
    """1 where so many values lie far away that the median was taken of all; int32."""
    sd: Array
    """Sample standard deviation of what is kept, float64; empty if it is not wanted."""
    spread: Array
    """That from which the error of the image follows, where it is not `sd`; else empty."""


def clip(
    stack: Array,
    pixels: PixelType,
    rule: Rule,
    *,
    counts: bool = True,
    deviations: bool = False,
) -> Kept:
    """Means of what a rule keeps, over the first axis.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
        Stored pixels; dtype `pixels.stored` (big-endian) or that in native order. Neither scaled
        nor of 64-bit integers: those as float64.
    pixels : PixelType
        How to read them.
    rule : Rule
    counts, deviations : bool
        Whether all but the image and those are wanted, and those; else they are empty.
    """
    frames, n = stack.shape
    stored = stack.dtype.newbyteorder("=")
    bits = stack.view(bits_type(stored))
    key = np.dtype(f"i{max(2, stored.itemsize)}")
    width = ROW // key.itemsize
    size = max(n, width)
    own = deviations and rule.which in (MEDIAN, MINMAX)
    whole = [np.empty(size if counts else 0, np.int32) for _ in range(4)]
    floats = np.empty(size if deviations else 0), np.empty(size if own else 0)
    kept = Kept._make([np.empty(size), *whole, *floats])
    if n < width:
        bits = np.hstack([bits, np.zeros((frames, width - n), bits.dtype)])
    mode = 2 if pixels.floating else int(pixels.blank is not None)
    exponent = 0x7F800000 if stored.itemsize == 4 else 0x7FF0000000000000
    special = key.type(exponent if mode == 2 else (pixels.blank or 0))
    x = aligned((frames, width), key)
    network = comparators(frames, *range(frames), sorted_first=GROUP)
    swap = SWAP and stack.dtype.str[0] == ">"
    values = x.view(stored) if pixels.floating else x
    numbers = np.array([*rule, frames], np.float64)
    top = key.type(np.iinfo(key).max)
    zero = 0.0 if pixels.floating else pixels.bzero
    image, used, low, high, outlier, sd, spread = kept
    there = np.empty((1, width), np.int64)
    sums, ends = np.empty((4, width), np.int32), np.empty((2, width), key)
    y, columns = np.empty((frames, 8), values.dtype), np.empty(width, np.int64)
    most = key.type(min(32_766, math.isqrt((2**31 - 1) // frames)))
    block = bits, swap, mode, special, network, x, values, top, zero, numbers, there
    scratch = sums, most, ends, y, columns, np.empty(8, np.int32), np.empty(8)
    _clip(*block, *scratch, image, used, low, high, sd, spread, outlier)
    return Kept._make(part[:n] for part in kept)


def scratch_bytes(frames: int) -> int:
    """Bytes that `clip` holds besides, in each thread: a block of keys, sorted columns, the
    network."""
    comparators_ = frames * max(1, frames.bit_length()) ** 2 // 4
    return frames * (128 + 64) + 12 * comparators_ + 16_384
