"""The compiled half of `telegraph`."""

from __future__ import annotations

from pulsar_dask.kernels.blocks import BYTES
from pulsar_dask.kernels.codecache import inside, part
from pulsar_dask.kernels.vectors import (
    alike,
    any_lane,
    choose,
    gather,
    lanes,
    less,
    load_as,
    not_above,
    prefetch,
    put,
    real,
    reals,
    rows_of,
    store,
    whole,
)


@inside
def _there(v, mode, special):  # type: ignore[no-untyped-def]
    if mode == 1:
        return ~alike(v, real(float(special)))
    return alike(v - v, real(0.0))


@part
def look(bits, swap, mode, special, x, values, limit, zero, table, noise, seen):  # type: ignore[no-untyped-def]  # fmt: skip
    """Of each column of `bits` into `seen`: 1 where half of the values reach `limit`, and 2 more
    where they scatter more than `table` allows noise to.

    `mode`, `special` as for `compiled.select`, `x` and `values` as for `clipping_compiled.clip`,
    `zero` is added to integers. `noise` are the numbers of `noise.Noise`, or none: then nothing is
    said of scatter. `table` has a row for each number of values there can be: the most that their
    squares about the mean may add up to, in variances; and so many rows more: without the highest
    and the lowest value.

    A filter, as what it lets through is looked at again: what rounding may have hidden passes.
    """
    frames, n = bits.shape
    width = x.shape[1]
    p = rows_of(values)
    t = rows_of(table)
    start = n - n
    while True:
        for i in range(frames):
            for j in range(start + width, start + 2 * width, BYTES // bits.itemsize):
                prefetch(bits, i, j)
            for j in range(0, width, lanes(x)):
                store(x, i, j, load_as(bits, i, start + j, x, swap))
        for j in range(0, width, 8):
            number = real(float(frames))
            first = reals(p, 0, j)
            total = real(0.0)
            squares = real(0.0)
            if mode == 0:
                high = first
                for i in range(frames):
                    v = reals(p, i, j)
                    d = v - first
                    total = total + d
                    squares = squares + d * d
                    high = choose(less(high, v), v, high)
            else:
                number = real(0.0)
                for i in range(frames):
                    v = reals(p, i, j)
                    there = _there(v, mode, special)
                    first = choose(there & alike(number, real(0.0)), v, first)
                    d = choose(there, v - first, real(0.0))
                    number = number + choose(there, real(1.0), real(0.0))
                    total = total + d
                    squares = squares + d * d
                high = real(limit)
            found = whole(0)
            if any_lane(not_above(real(limit), high)):
                over = real(0.0)
                for i in range(frames):
                    v = reals(p, i, j)
                    reaches = _there(v, mode, special) & not_above(real(limit), v)
                    over = over + choose(reaches, real(1.0), real(0.0))
                found = less(real(0.0), over) & not_above(number, over + over) & whole(1)
            if noise.shape[0]:
                some = choose(less(number, real(1.0)), real(1.0), number)
                mean = total / some
                above = first + real(zero) + mean - real(noise[3])
                bright = choose(less(above, real(0.0)), real(0.0), above)
                variance = real(noise[0]) + real(noise[1]) * above
                variance = variance + real(noise[2]) * bright * bright
                variance = choose(less(variance, real(noise[4])), real(noise[4]), variance) * real(
                    1 - 1e-9
                )
                more = squares + real(1e-12) * squares
                wide = ~less(more - total * mean, variance * gather(t, whole(number), 0))
                if any_lane(wide):
                    low = real(0.0)
                    high = low
                    for i in range(frames):
                        v = reals(p, i, j)
                        d = choose(_there(v, mode, special), v - first, real(0.0))
                        low = choose(less(d, low), d, low)
                        high = choose(less(high, d), d, high)
                    left = total - high - low
                    others = choose(less(some, real(3.0)), real(1.0), some - real(2.0))
                    inner = more - high * high - low * low - left * left / others
                    bound = gather(t, whole(number + real(float(frames + 1))), 0)
                    wide = wide & ~less(inner, variance * bound)
                found = found | (wide & whole(2))
            put(seen, start + j, found)
        done = start + width
        if done >= n:
            break
        start = min(done, n - width)  # the last block may lie over that before
