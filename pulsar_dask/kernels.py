"""The exact median of a stack, per pixel: compiled kernels on plain arrays.

Two ways to the middle values, the faster one chosen by the number of frames:

*network*
    a selection network (Batcher's odd-even merge sort, pruned to the outputs that are
    needed): a fixed list of comparators, each one a min/max of two rows of pixels.
*bisection*
    on integers, halve the range of values until one is left, counting how many frames
    lie at or below the middle. Its cost per frame does not grow with their number, and
    each pixel may have its own rank, so it serves pixels with missing values too.

Both work on a block of neighbouring pixels that stays in the L1 cache, on signed integer
keys that order as the values do, and release the GIL. Floats become keys by flipping the
magnitude bits of negative ones, so that one kernel serves all types. A missing value gets
the highest key.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from pulsar_dask.frame import PixelType

Array = np.ndarray[Any, Any]

#: Frames above which bisection is faster than the network, by bytes of a stored pixel
#: (measured on noise with outliers; `benchmarks/kernels.py`).
NETWORK_FRAMES = {1: 192, 2: 192, 4: 256, 8: 768}
#: Pixels in a block: rows of 50 frames of 16 bits stay in the L1 cache, and the cost of
#: setting up a comparator is spread thin (measured: 64 is twice as slow, 1024 no faster).
_BLOCK = 256
SWAP = sys.byteorder == "little"


def median(stack: Array, pixels: PixelType) -> tuple[Array, Array | None]:
    """Median over the first axis of pixels as they are stored.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
        Stored pixels; dtype `pixels.stored` (big-endian) or that in native order.
    pixels : PixelType
        How to read them.

    Returns
    -------
    values : ndarray of float64, shape (n,)
        The exact median of the values that are not missing, rounded to float64 as
        ``numpy.median`` does; NaN where all are missing.
    counts : ndarray of int32, shape (n,), or None
        Values that were not missing; None where nothing can be missing.
    """
    frames, n = stack.shape
    stored = stack.dtype.newbyteorder("=")
    bits = stack.view(f"i{stored.itemsize}" if stored.itemsize > 1 else "u1")
    swap = SWAP and stack.dtype.str[0] == ">"
    can_miss = pixels.floating or pixels.blank is not None
    key = np.dtype(f"i{_key_size(stored.itemsize, frames)}")
    special = bits.dtype.type(_exponent_bits(stored) if pixels.floating else (pixels.blank or 0))
    low_rank, high_rank = (frames - 1) // 2, frames // 2
    use_network = frames <= NETWORK_FRAMES[stored.itemsize]
    low, high = np.empty(n, key), np.empty(n, key)
    counts = np.empty(n if can_miss else 0, np.int32)
    any_missing = _select(
        bits,
        swap,
        2 if pixels.floating else int(can_miss),
        special,
        _comparators(frames, low_rank, high_rank) if use_network else _NO_NETWORK,
        np.empty((frames, _BLOCK), key),
        np.empty((4, _BLOCK), key),
        key.type(np.iinfo(key).max),
        low,
        high,
        counts,
    )
    values = _values(low, pixels, stored)
    if high_rank != low_rank or any_missing:
        values = _mean(values, _values(high, pixels, stored))
    if any_missing:
        values[counts == 0] = np.nan
    return values, counts if can_miss else None


def warm_up(frames: int, pixels: PixelType) -> None:
    """Load (or, the first time, compile) the kernel that a stack will need."""
    median(np.zeros((frames, 1), pixels.stored), pixels)


def scratch_bytes(frames: int, itemsize: int) -> int:
    """Bytes that `median` holds besides its input and per-pixel output."""
    key = _key_size(itemsize, frames)
    return (frames + 4) * _BLOCK * key


#: Bytes per pixel that `median` holds beside its input at its peak: low, high, the float64
#: values of both, counts, and one temporary.
PIXEL_BYTES = 2 * 8 + 2 * 8 + 4 + 8


def _key_size(itemsize: int, frames: int) -> int:
    # Ranks and counts are kept in the key's type.
    return max(itemsize, 2 if frames <= 32_000 else 4)


def _exponent_bits(stored: np.dtype[Any]) -> int:
    return 0x7F800000 if stored.itemsize == 4 else 0x7FF0000000000000


def _values(keys: Array, pixels: PixelType, stored: np.dtype[Any]) -> Array:
    """float64 values of (already unfolded) keys."""
    if pixels.floating:
        values = keys.view(stored).astype(np.float64)
    elif pixels.other_sign and pixels.bitpix == 64:
        # float64 would round twice, before and after the offset
        return (keys.view(np.uint64) ^ np.uint64(1 << 63)).astype(np.float64)
    else:
        values = keys.astype(np.float64)
    if pixels.bscale != 1.0:
        values *= pixels.bscale
    values += pixels.bzero  # also turns -0.0 into 0.0
    return values


def _mean(a: Array, b: Array) -> Array:
    with np.errstate(over="ignore"):
        total: Array = a + b
    overflow = np.isinf(total)
    total *= 0.5
    if overflow.any():
        total[overflow] = a[overflow] * 0.5 + b[overflow] * 0.5
    return total


# --- the network ---------------------------------------------------------------------

_NO_NETWORK = np.empty((0, 3), np.int32)
_BOTH, _MIN, _MAX = 3, 1, 2


@functools.lru_cache(maxsize=64)
def _comparators(n: int, *ranks: int) -> Array:
    """Comparators (i, j, which outputs are needed) that put the values of `ranks` in place.

    Knuth, The Art of Computer Programming 3, section 5.2.2, algorithm M, walked backwards
    to leave out each comparator whose outputs nothing needs.
    """
    pairs = []
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        pairs.append((i, i + k))
            k //= 2
        p *= 2
    needed = set(ranks)
    kept = []
    for a, b in reversed(pairs):
        which = (_MIN if a in needed else 0) + (_MAX if b in needed else 0)
        if which:
            kept.append((a, b, which))
            needed |= {a, b}
    return np.array(kept[::-1], np.int32).reshape(-1, 3)


# --- compiled ------------------------------------------------------------------------
# What makes these loops vectorise (each measured): rows as slices, ranges over a shape,
# "a if a < b else b" and not min(). Written otherwise they are up to 16 times slower.


def jit(function: Any) -> Any:
    """Compiled without the GIL and cached; where no folder for the cache can be written,
    compiled anew in each process."""
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy")(function)


@intrinsic
def byteswap(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0] if x.bitwidth == 8 else builder.bswap(args[0])

    return (x(x), codegen) if isinstance(x, types.Integer) else None


@jit
def _select(bits, swap, mode, special, network, x_, work, top, low_, high_, counts):  # type: ignore[no-untyped-def]
    """Middle values of each column of `bits` into `low_` and `high_`; whether any was missing.

    `mode` 0: integers, none missing; 1: integers, missing where equal to `special`;
    2: floats, missing where all bits of `special` (the exponent) are set.
    """
    frames, n = bits.shape
    size = x_.shape[1]
    shift = x_.itemsize * 8 - 1
    any_missing = False
    miss_ = np.zeros(size, np.int32)
    start = 0
    while start < n:
        stop = min(start + size, n)
        width = stop - start
        miss = miss_[:width]
        missing = False
        if mode:
            for j in range(miss.shape[0]):
                miss[j] = 0
        for i in range(frames):
            row = bits[i, start:stop]
            y = x_[i, :width]
            if swap:
                for j in range(y.shape[0]):
                    y[j] = byteswap(row[j])
            else:
                for j in range(y.shape[0]):
                    y[j] = row[j]
            if mode == 1:
                for j in range(y.shape[0]):
                    bad = y[j] == special
                    miss[j] += 1 if bad else 0
                    y[j] = top if bad else y[j]
            elif mode == 2:
                for j in range(y.shape[0]):
                    v = y[j]
                    bad = (v & special) == special
                    miss[j] += 1 if bad else 0
                    y[j] = top if bad else v ^ ((v >> shift) & top)
        if mode:
            worst = np.int32(0)
            for j in range(miss.shape[0]):
                worst |= miss[j]
            missing = worst != 0
            any_missing |= missing
            c = counts[start:stop]
            for j in range(c.shape[0]):
                c[j] = frames - miss[j]
        low = low_[start:stop]
        high = high_[start:stop]
        if network.shape[0] and not missing:
            _run_network(x_, width, network)
            a = x_[(frames - 1) // 2, :width]
            b = x_[frames // 2, :width]
            for j in range(low.shape[0]):
                low[j] = a[j]
                high[j] = b[j]
        else:
            _bisect(x_, miss, work, top, low, high)
        if mode == 2:
            for j in range(low.shape[0]):
                low[j] = low[j] ^ ((low[j] >> shift) & top)
                high[j] = high[j] ^ ((high[j] >> shift) & top)
        start = stop
    return any_missing


@jit
def _run_network(x, width, network):  # type: ignore[no-untyped-def]
    for c in range(network.shape[0]):
        a = x[network[c, 0], :width]
        b = x[network[c, 1], :width]
        which = network[c, 2]
        if which == 3:
            for j in range(a.shape[0]):
                p = a[j]
                q = b[j]
                a[j] = p if p < q else q
                b[j] = q if p < q else p
        elif which == 1:
            for j in range(a.shape[0]):
                p = a[j]
                q = b[j]
                a[j] = p if p < q else q
        else:
            for j in range(a.shape[0]):
                p = a[j]
                q = b[j]
                b[j] = q if p < q else p


@jit
def _bisect(x, miss, work, top, low, high):  # type: ignore[no-untyped-def]
    """The values of rank (m - 1) // 2 and m // 2 of the m smallest in each column."""
    frames = x.shape[0]
    width = low.shape[0]
    one = top // top
    zero = top ^ top
    mid = work[0, :width]
    count = work[1, :width]
    need = work[2, :width]  # the lower median is the least value with so many at or below it
    even = work[3, :width]
    for j in range(low.shape[0]):
        low[j] = x[0, j]
        high[j] = x[0, j]
        m = frames - miss[j]
        need[j] = (m - 1) // 2 + 1 if m > 0 else 1
        even[j] = one if m & 1 == 0 else zero
    for i in range(1, frames):
        y = x[i, :width]
        for j in range(low.shape[0]):
            v = y[j]
            p = low[j]
            q = high[j]
            low[j] = v if v < p else p
            high[j] = v if v > q else q
    while True:
        apart = zero
        for j in range(low.shape[0]):
            p = low[j]
            q = high[j]
            apart |= p ^ q
            mid[j] = (p & q) + ((p ^ q) >> 1)  # floor of the mean, without overflow
            count[j] = zero
        if apart == zero:
            break
        i = 0
        while i + 8 <= frames:  # eight rows a pass keep the counts in registers
            x0 = x[i + 0, :width]
            x1 = x[i + 1, :width]
            x2 = x[i + 2, :width]
            x3 = x[i + 3, :width]
            x4 = x[i + 4, :width]
            x5 = x[i + 5, :width]
            x6 = x[i + 6, :width]
            x7 = x[i + 7, :width]
            for j in range(count.shape[0]):
                m = mid[j]
                c = count[j]
                c += one if x0[j] <= m else zero
                c += one if x1[j] <= m else zero
                c += one if x2[j] <= m else zero
                c += one if x3[j] <= m else zero
                c += one if x4[j] <= m else zero
                c += one if x5[j] <= m else zero
                c += one if x6[j] <= m else zero
                c += one if x7[j] <= m else zero
                count[j] = c
            i += 8
        while i < frames:
            y = x[i, :width]
            for j in range(count.shape[0]):
                count[j] += one if y[j] <= mid[j] else zero
            i += 1
        for j in range(count.shape[0]):
            enough = count[j] >= need[j]
            m = mid[j]
            p = low[j]
            q = high[j]
            high[j] = m if enough else q
            low[j] = p if enough else m + one
    # The upper median is the same value where enough frames hold it, else the next one.
    for j in range(count.shape[0]):
        count[j] = zero
        mid[j] = top
    for i in range(frames):
        y = x[i, :width]
        for j in range(count.shape[0]):
            v = y[j]
            below = v <= low[j]
            count[j] += one if below else zero
            above = top if below else v
            m = mid[j]
            mid[j] = above if above < m else m
    for j in range(count.shape[0]):
        p = low[j]
        m = mid[j]
        high[j] = m if even[j] == one and count[j] == need[j] else p
