"""The compiled half of `survey`: one look at all pixels, in vectors, without the GIL."""

from __future__ import annotations

import numpy as np

from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.survey import RUN
from pulsar_dask.kernels.vectors import (
    at_most,
    bits_of_lanes,
    byteswap,
    choose,
    equal,
    fill,
    highest_lane,
    lanes,
    load_as,
    maximum,
    shift_right,
    sum_of_lanes,
)


@part
def look(bits, swap, mode, special, top, limit, spare, out, begin, whole, start, stop, first, last):  # type: ignore[no-untyped-def]
    """See `survey.look`: rows from `first` to `last`, of each what lies from `begin` to `whole`, or
    one part after the other of that: from `start` to `stop`. `out` goes on being filled; with the
    last part, when it is known which runs hold the highest values, these are counted.

    `mode`, `special` and `top` (the highest key) as in `compiled`; `spare` has shape
    (1, at least as many as there are runs of RUN pixels) and the type of the keys.
    """
    step = lanes(spare)
    zero = fill(spare, top ^ top)
    lowest = fill(spare, top) ^ (zero - fill(spare, top // top))
    marks = fill(spare, special)
    none = -np.int64(top) - 1
    for i in range(first, last):
        j = start
        found = zero
        odd = out[i, 6] & 1
        alone = np.int64(0)
        missing = np.int64(0)
        while j < stop:
            run = (j - begin) // RUN
            fresh = j == begin + run * RUN
            end = min(stop, begin + (run + 1) * RUN)
            vectors = end - (end - j) % step
            high, bad = lowest, zero
            if mode:
                for k in range(j, vectors, step):
                    v = load_as(bits, i, k, spare, swap)
                    gone = equal(v if mode == 1 else v & marks, marks)
                    bad = bad + gone
                    found = found | choose(gone, zero, v)
                    if mode == 2:
                        v = v ^ (shift_right(v, spare.itemsize * 8 - 1) & fill(spare, top))
                    high = maximum(high, choose(gone, lowest, v))
                missing -= sum_of_lanes(bad)
            elif swap:
                high, found, odd = _run(bits, i, j, vectors, True, high, found, odd, spare)
            else:
                high, found, odd = _run(bits, i, j, vectors, False, high, found, odd, spare)
            most = highest_lane(high)
            for k in range(vectors, end):
                key, there, plain = _one(bits, i, k, swap, mode, special, top)
                if there:
                    most = max(most, key)
                    alone |= plain
                else:
                    missing += 1
            spare[0, run] = most if fresh else max(most, np.int64(spare[0, run]))
            j = end
        out[i, 0] += stop - start - missing
        lowest_bit = out[i, 6] | alone | bits_of_lanes(found)
        out[i, 6] = lowest_bit & -lowest_bit
        if stop == whole:
            runs = (whole - begin + RUN - 1) // RUN
            bound = _second(spare, runs, out, i, none)
            for run in range(runs):
                most = np.int64(spare[0, run])
                if most >= bound or (limit > none and most >= limit):
                    k = begin + run * RUN
                    n = min(whole, k + RUN)
                    ends = n - (n - k) % step
                    _count(bits, i, k, ends, n, swap, mode, special, top, limit, spare, out, most)


@part
def _second(spare, runs, out, i, none):  # type: ignore[no-untyped-def]
    """What the second highest value of all is at least, by the highest ones of runs."""
    first, second = none, none
    if out[i, 4]:
        first, second = out[i, 1], out[i, 3]
    for r in range(runs):
        value = np.int64(spare[0, r])
        if value > first:
            first, second = value, first
        elif second < value < first:
            second = value
    return second


@part
def _run(bits, i, j, whole, swap, high, found, odd, spare):  # type: ignore[no-untyped-def]
    """Highest value and bits of vectors of which none is missing; bits are looked for until the
    lowest is found."""
    if odd:
        for k in range(j, whole, lanes(spare)):
            high = maximum(high, load_as(bits, i, k, spare, swap))
        return high, found, odd
    for k in range(j, whole, lanes(spare)):
        v = load_as(bits, i, k, spare, swap)
        high = maximum(high, v)
        found = found | v
    return high, found, bits_of_lanes(found) & 1


@part
def _one(bits, i, k, swap, mode, special, top):  # type: ignore[no-untyped-def]
    """A number alone: its key, whether it is there, and the number as stored."""
    v = byteswap(bits[i, k]) if swap else bits[i, k]
    plain = np.int64(v)
    there = True
    key = plain
    if mode == 1:
        there = plain != np.int64(special)
    elif mode == 2:
        there = (plain & np.int64(special)) != np.int64(special)
        if plain < 0:
            key = plain ^ np.int64(top)
    return key, there, plain


@part
def _key(bits, i, k, swap, mode, marks, lowest, mask, spare):  # type: ignore[no-untyped-def]
    """A vector of keys, and which of them are missing."""
    v = load_as(bits, i, k, spare, swap)
    gone = mask ^ mask
    if mode:
        gone = equal(v if mode == 1 else v & marks, marks)
        if mode == 2:
            v = v ^ (shift_right(v, spare.itemsize * 8 - 1) & mask)
        v = choose(gone, lowest, v)
    return v, gone


@part
def _count(bits, i, j, whole, end, swap, mode, special, top, limit, spare, out, most):  # type: ignore[no-untyped-def]
    """Count the highest value of a run, the next one, and those from a limit on."""
    step = lanes(spare)
    mask = fill(spare, top)
    zero = mask ^ mask
    lowest = mask ^ (zero - fill(spare, top // top))
    marks = fill(spare, special)
    none = -np.int64(top) - 1
    over = limit > none
    highest = fill(spare, spare.dtype.type(most))
    bound = fill(spare, spare.dtype.type(max(limit, none)))
    at, beyond, second = zero, zero, lowest
    if mode:
        for k in range(j, whole, step):
            v, gone = _key(bits, i, k, swap, mode, marks, lowest, mask, spare)
            same = equal(v, highest)
            at = at + choose(gone, zero, same)
            beyond = beyond + choose(gone, zero, at_most(bound, v))
            second = maximum(second, choose(same, lowest, v))
    else:
        for k in range(j, whole, step):
            v = load_as(bits, i, k, spare, swap)
            same = equal(v, highest)
            at = at + same
            beyond = beyond + at_most(bound, v)
            second = maximum(second, choose(same, lowest, v))
    next_ = highest_lane(second)
    n, m, beside = np.int64(0), np.int64(0), np.int64(0)
    for k in range(whole, end):
        key, there, _ = _one(bits, i, k, swap, mode, special, top)
        if there:
            n += 1 if key == most else 0
            beside += 1 if key >= limit else 0
            if key < most:
                next_ = max(next_, key)
    lower = fill(spare, spare.dtype.type(next_))
    below = zero
    if next_ < most:
        for k in range(j, whole, step):
            if not mode:
                below = below + equal(load_as(bits, i, k, spare, swap), lower)
                continue
            v, gone = _key(bits, i, k, swap, mode, marks, lowest, mask, spare)
            below = below + choose(gone, zero, equal(v, lower))
        for k in range(whole, end):
            key, there, _ = _one(bits, i, k, swap, mode, special, top)
            m += 1 if there and key == next_ else 0
    n -= sum_of_lanes(at)
    m -= sum_of_lanes(below)
    beside -= sum_of_lanes(beyond)
    if over:
        out[i, 5] += beside
    if n:
        _merge(out, i, most, n)
    if m:
        _merge(out, i, next_, m)


@part
def _merge(out, i, value, n):  # type: ignore[no-untyped-def]
    """A value that occurs so many times among the two highest that there are."""
    if out[i, 2] and value == out[i, 1]:
        out[i, 2] += n
    elif out[i, 2] == 0 or value > out[i, 1]:
        out[i, 3], out[i, 4] = out[i, 1], out[i, 2]
        out[i, 1], out[i, 2] = value, n
    elif out[i, 4] and value == out[i, 3]:
        out[i, 4] += n
    elif out[i, 4] == 0 or value > out[i, 3]:
        out[i, 3], out[i, 4] = value, n
