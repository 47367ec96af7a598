"""The compiled half of `kernels`: selection in blocks of pixels, without the GIL.

Imported only to compile (`native`).
"""

from __future__ import annotations

import numpy as np

from pulsar_dask.kernels import vectors
from pulsar_dask.kernels.blocks import BYTES
from pulsar_dask.kernels.codecache import inside, part
from pulsar_dask.kernels.network import GROUP, group_comparators
from pulsar_dask.kernels.vectors import (
    any_lane,
    at_most,
    byteswap,
    choose,
    equal,
    fill,
    lanes,
    load,
    load_as,
    maximum,
    minimum,
    prefetch,
    shift_right,
    store,
)

# What makes the loops without `vectors` vectorise (each measured): rows as slices, ranges over a
# shape, "a if a < b else b" and not min(). Written otherwise they are up to 16 times slower.


sort_group = vectors.network_of(group_comparators(), GROUP)


@part
def select(bits, swap, mode, special, network, x, blocks, top, low, high, missed):  # type: ignore[no-untyped-def]  # fmt: skip
    """Middle values of each column of `bits` into `low` and `high`, missing ones counted in
    `missed`, each of shape (1, n); whether any was missing.

    `mode` 0: integers, none missing; 1: integers, missing where equal to `special`;
    2: floats, missing where all bits of `special` (the exponent) are set. `x` is for so many
    `blocks`; rows that a block has beside the frames hold `top`, and keep it.
    """
    frames, n = bits.shape
    step = lanes(x)
    rows = x.shape[0] // blocks
    any_missing = False
    start = n - n  # a number like those that follow: a literal would be compiled for itself
    while True:
        missing = _load_blocks(bits, swap, mode, special, top, start, x, blocks)
        if mode:
            any_missing |= missing
            for j in range(start, start + blocks * x.shape[1], step):
                count = fill(x, top ^ top)
                if missing:
                    count = _count_missing(bits, swap, mode, special, x, j)
                store(missed, 0, j, count)
        for block in range(blocks):
            y = x[block * rows : (block + 1) * rows]
            first = start + block * y.shape[1]
            if network.shape[1] and not missing:
                _run_network(y, network)
                for j in range(0, y.shape[1], step):
                    store(low, 0, first + j, load(y, (frames - 1) // 2, j))
                    store(high, 0, first + j, load(y, frames // 2, j))
            else:
                y = y[:frames]
                for j in range(0, y.shape[1], step):
                    _bisect(y, top, missing, missed, low, high, first, j)
            if mode == 2:
                for j in range(first, first + y.shape[1], step):
                    store(low, 0, j, _fold(x, load(low, 0, j), top))
                    store(high, 0, j, _fold(x, load(high, 0, j), top))
        done = start + blocks * x.shape[1]
        if done >= n:
            break
        start = min(done, n - blocks * x.shape[1])  # the last blocks may lie over those before
    return any_missing


@part
def _load_blocks(bits, swap, mode, special, top, start, x, blocks=1):  # type: ignore[no-untyped-def]
    """Blocks as keys, one below the other in `x`, missing values as the highest key; whether
    there are any."""
    frames = bits.shape[0]
    rows = x.shape[0] // blocks
    width = x.shape[1]
    marks = fill(x, special)
    highest = fill(x, top)
    found = fill(x, top ^ top)
    total = blocks * width
    for i in range(frames):
        # No processor foresees that the next blocks go on behind these in each frame.
        for j in range(start + total, start + 2 * total, BYTES // bits.itemsize):
            prefetch(bits, i, j)
        for block in range(blocks):
            for j in range(0, width, lanes(x)):
                v = load_as(bits, i, start + block * width + j, x, swap)
                if mode:
                    bad = _is_missing(v, mode, marks)
                    found = found | bad
                    if mode == 2:
                        v = _fold(x, v, top)
                    v = choose(bad, highest, v)
                store(x, block * rows + i, j, v)
    return any_lane(found)


@part
def _is_missing(v, mode, marks):  # type: ignore[no-untyped-def]
    return equal(v if mode == 1 else v & marks, marks)


@part
def _count_missing(bits, swap, mode, special, x, j):  # type: ignore[no-untyped-def]
    marks = fill(x, special)
    count = marks ^ marks
    for i in range(bits.shape[0]):
        count = count - _is_missing(load_as(bits, i, j, x, swap), mode, marks)
    return count


@part
def _fold(x, v, top):  # type: ignore[no-untyped-def]
    return v ^ (shift_right(v, x.itemsize * 8 - 1) & fill(x, top))


@part
def _run_network(x, network):  # type: ignore[no-untyped-def]
    step = lanes(x)
    for i in range(0, x.shape[0] - GROUP + 1, GROUP):
        for j in range(0, x.shape[1], step):
            sort_group(x, i, 1, j)
    for c in range(network.shape[0]):
        a = network[c, 0]
        b = network[c, 1]
        for j in range(0, x.shape[1], step):
            p = load(x, a, j)
            q = load(x, b, j)
            store(x, a, j, minimum(p, q))
            store(x, b, j, maximum(p, q))


@part
def _bisect(x, top, missing, missed, low_, high_, start, j):  # type: ignore[no-untyped-def]
    """The values of rank (m - 1) // 2 and m // 2 of the m that are not missing, at column j.

    The order of the rows changes.
    """
    frames = x.shape[0]
    zero = fill(x, top ^ top)
    one = fill(x, top // top)
    highest = fill(x, top)
    lowest = highest ^ (zero - one)
    m = fill(x, x.dtype.type(frames))
    if missing:
        m = m - load(missed, 0, start + j)
    # the lower median is the least value with so many at or below it
    need = maximum(shift_right(m + one, 1), one)
    low = lowest
    high = highest
    if frames >= GROUP:
        # Between the second and the last but one of a sample lies almost every median.
        sort_group(x, 0, frames // GROUP, j)
        p = load(x, frames // GROUP, j)
        q = load(x, (GROUP - 2) * (frames // GROUP), j)
        not_below = zero
        count = zero
        for i in range(frames):
            v = load(x, i, j)
            not_below = not_below - at_most(p, v)
            count = count - at_most(v, q)
        before = at_most(need, fill(x, x.dtype.type(frames)) - not_below)
        within = at_most(need, count)
        low = choose(before, lowest, choose(within, p, q + one))
        high = choose(before, p - one, choose(within, q, highest))
    while any_lane(low ^ high):
        mid = (low & high) + shift_right(low ^ high, 1)  # floor of the mean, without overflow
        enough = at_most(need, _count(x, j, mid))
        high = choose(enough, mid, high)
        low = choose(enough, low, mid + one)
    # The upper median is the same value where enough frames hold it, else the next one.
    above = highest
    count = zero
    for i in range(frames):
        v = load(x, i, j)
        below = at_most(v, low)
        count = count - below
        above = minimum(above, choose(below, highest, v))
    even = equal(m & one, zero)
    store(low_, 0, start + j, low)
    store(high_, 0, start + j, choose(even & equal(count, need), above, low))


@part
def _count(x, j, limit):  # type: ignore[no-untyped-def]
    """How many rows are at or below a limit."""
    frames = x.shape[0]
    a = limit ^ limit
    b = a
    for i in range(0, frames - 3, 4):
        a = a - at_most(load(x, i, j), limit)
        b = b - at_most(load(x, i + 1, j), limit)
        a = a - at_most(load(x, i + 2, j), limit)
        b = b - at_most(load(x, i + 3, j), limit)
    for i in range(frames - frames % 4, frames):
        a = a - at_most(load(x, i, j), limit)
    return a + b


@part
def middle(low, high, zero, out):  # type: ignore[no-untyped-def]
    """The mean of two numbers of up to 32 bits, plus a constant."""
    for j in range(out.shape[0]):
        out[j] = (np.float64(low[j]) + np.float64(high[j])) * 0.5 + zero


@part
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


@inside
def _count_near(some, low, high, counts, found):  # type: ignore[no-untyped-def]
    """See `bracket`."""
    total = below = at_low = at_high = close = 0
    for j in range(some.shape[0]):
        v = some[j]
        total += 1 if v == v else 0
        below += 1 if v < low else 0
        close += 1 if (v >= low) & (v <= high) else 0
    if close:
        within = counts[4]
        for j in range(some.shape[0]):  # without branches: what it is cannot be foreseen
            v = some[j]
            found[within] = v
            within += 1 if (v > low) & (v < high) else 0
            at_low += 1 if v == low else 0
            at_high += 1 if (v == high) & (v != low) else 0
        counts[4] = within
    counts[0] += total
    counts[1] += below
    counts[2] += at_low
    counts[3] += at_high


@part
def bracket(values, low, high, counts, found):  # type: ignore[no-untyped-def]
    """Add to `counts`, shape (5,), how many of `values` are not NaN, below `low`, at `low`, at
    `high`, and strictly between; these come to `found`, from its element `counts[4]` on."""
    size = 512
    for start in range(0, values.shape[0], size):
        _count_near(values[start : start + size], low, high, counts, found)
