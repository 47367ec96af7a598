"""The compiled half of `kernels`: selection in blocks of pixels, without the GIL.

Importing Numba and loading what it compiled takes half a second, so this module is only
imported for stacks that repay it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import intrinsic

SWAP = sys.byteorder == "little"
#: Pixels in a block: rows of 50 frames of 16 bits stay in the L1 cache, and the cost of
#: setting up a comparator is spread thin (measured: 64 is twice as slow, 1024 no faster).
BLOCK = 256


def select(bits, swap, mode, special, network, key, low, high, counts):  # type: ignore[no-untyped-def]
    """See `kernels._select`."""
    return _select(
        bits,
        swap,
        mode,
        special,
        network,
        np.empty((len(bits), BLOCK), key),
        np.empty((4, BLOCK), key),
        key.type(np.iinfo(key).max),
        low,
        high,
        counts,
    )


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


@jit
def subtract(bits, swap, missing, blank, scale, zero, dark, out):  # type: ignore[no-untyped-def]
    """Integers as stored to float64 values minus a dark, in one go; missing ones NaN.

    `bits` and `out` have shape (frames, n), `dark` (n,).
    """
    for i in range(bits.shape[0]):
        row = bits[i]
        y = out[i]
        if swap:
            for j in range(y.shape[0]):
                y[j] = (np.float64(byteswap(row[j])) * scale + zero) - dark[j]
        else:
            for j in range(y.shape[0]):
                y[j] = (np.float64(row[j]) * scale + zero) - dark[j]
        if missing:
            for j in range(y.shape[0]):
                v = byteswap(row[j]) if swap else row[j]
                if v == blank:
                    y[j] = np.nan


@jit
def bracket(values, low, high, inside):  # type: ignore[no-untyped-def]
    """How many of `values` are not NaN, below `low`, at `low`, at `high`, and strictly
    between; the last ones go into `inside`."""
    total = below = at_low = at_high = within = 0
    size = 512
    for start in range(0, values.shape[0], size):
        part = values[start : start + size]
        near = 0
        for j in range(part.shape[0]):
            v = part[j]
            total += 1 if v == v else 0
            below += 1 if v < low else 0
            near += 1 if (v >= low) & (v <= high) else 0
        if near:
            for j in range(part.shape[0]):
                v = part[j]
                if low < v < high:
                    inside[within] = v
                    within += 1
                elif v == low:
                    at_low += 1
                elif v == high:
                    at_high += 1
    return total, below, at_low, at_high, within


@jit
def word_sum(words, swap):  # type: ignore[no-untyped-def]
    """Sum of 32-bit words; see `checksum.word_sum`."""
    total = np.uint64(0)
    if swap:
        for i in range(words.shape[0]):
            total += np.uint64(byteswap(words[i]))
    else:
        for i in range(words.shape[0]):
            total += np.uint64(words[i])
    return total
