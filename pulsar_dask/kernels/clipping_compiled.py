"""The compiled half of `clipping`: blocks of pixels sorted by a network, then clipped eight at a
time, without the GIL.

What is done to a pixel does not depend on those beside it: a lane goes on by itself, and sums are
of what lies in its run, in ascending order, or of whole numbers, where they are exact.

Long: what is compiled into one another lies in one file, as Numba's cache does not see that another
has changed.
"""

from __future__ import annotations

import math

import numpy as np

from pulsar_dask.kernels.codecache import inside as part
from pulsar_dask.kernels.codecache import part as entry
from pulsar_dask.kernels.compiled import _fold, _load_blocks, _run_network
from pulsar_dask.kernels.noise import MAD_SIGMA
from pulsar_dask.kernels.vectors import (
    alike,
    any_lane,
    at_most,
    byteswap,
    choose,
    difference,
    fill,
    gather,
    half,
    lane,
    lanes,
    less,
    load,
    maximum,
    minimum,
    not_above,
    product,
    put,
    real,
    reals,
    root,
    rows_of,
    shift_right,
    store,
    whole,
)

MEAN, MEDIAN, MINMAX, SIGCLIP, WINSORIZED, CCDCLIP = 0, 1, 2, 3, 4, 5
#: Numbers of a rule, in the order of `clipping.Rule`.
_WHICH, _LOW, _HIGH, _MAXITERS, _BY_MEAN, _NKEEP, _GRAIN, _GUARD = range(8)
_VARIANCE, _SLOPE, _SQUARE, _LEVEL, _FLOOR, _FRAMES = range(8, 14)
LANES = 8
_STEP = 1 / math.sqrt(12)
#: A pixel's own noise counts where it is above that of the model by the inverse of 0.7.
_OWN = 0.7 * MAD_SIGMA
#: Beyond so many median absolute deviations a value is not of the spread of a median.
_FAR = 5 * MAD_SIGMA


@entry
def clip(bits, swap, mode, special, network, x, values, top, zero, numbers, there, sums, most, ends, y, columns, numbers_, floats, image, used, low, high, sd, spread, outlier):  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: E501
    """Sort each column of `bits`, clip it by a rule, and take the mean of what is kept.

    Parameters
    ----------
    bits, swap, mode, special, network, top
        As for `compiled._select`; the network sorts all rows.
    x : ndarray, shape (frames, width)
        For the keys of a block; aligned.
    values : ndarray
        The same bytes, as what unfolded keys are.
    zero : float
        Added to integers; a whole number.
    numbers : ndarray of float64, shape (14,)
        See `clipping.Rule`; at its end how many frames there are.
    there : ndarray of int64, shape (1, width)
        For how many values of each pixel are there.
    sums : ndarray of int32, shape (4, width)
        For sums of whole numbers of 16 bits.
    most : integer
        The squares of as many of these as there are frames add up in 32 bits.
    ends : ndarray, shape (2, width)
        Like `x`, for limits.
    y : ndarray, shape (frames, 8)
        Like `values`, for the columns from which something is rejected.
    columns : ndarray of int64, shape (width,)
        For which those are.
    numbers_, floats : ndarray of int32 and of float64, shape (8,)
        For what is made of them.
    image : ndarray of float64, shape (n,)
    used, low, high, outlier : ndarray of int32, shape (n,) or (0,)
        How many values are kept, and how many are too low or too high; 1 where so many lie far
        away that the method gives up.
    sd, spread : ndarray of float64, shape (n,) or (0,)
        Sample standard deviation of what is kept; that from which the error of the image follows.
    """
    frames, n = bits.shape
    width = x.shape[1]
    itemsize = bits.itemsize
    # a tuple can be handed over without being counted
    rule = (
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6],
        numbers[7], numbers[8], numbers[9], numbers[10], numbers[11], numbers[12], numbers[13],
    )  # fmt: skip
    p = rows_of(values)
    s = rows_of(sums)
    those = rows_of(y)
    lowest, highest = _trimmed(frames, rule)
    limited = rule[_WHICH] == SIGCLIP or rule[_WHICH] == WINSORIZED or rule[_WHICH] == CCDCLIP
    if rule[_WHICH] == MEDIAN and frames < 32_768:
        limited = spread.shape[0] > 0
    squared = rule[_WHICH] == SIGCLIP or rule[_WHICH] == WINSORIZED or sd.shape[0] > 0
    start = n - n
    while True:
        missing = _load_blocks(bits, swap, mode, special, top, start, x)
        _run_network(x, network)
        if mode == 2:
            for i in range(frames):
                for j in range(0, width, lanes(x)):
                    store(x, i, j, _fold(x, load(x, i, j), top))
        if missing:
            for j in range(width):
                m = frames
                if mode == 2:
                    while m > 0 and values[m - 1, j] - values[m - 1, j] != 0.0:
                        m -= 1
                else:
                    for i in range(frames):
                        v = byteswap(bits[i, start + j]) if swap else bits[i, start + j]
                        m -= 1 if np.int64(v) == np.int64(special) else 0
                there[0, j] = m
        narrow = x.itemsize == 2 and not missing
        if narrow:
            if squared:
                _add_up_squares(x, lowest, highest, ends, False, most, sums, 0)
            else:
                _add_up(x, lowest, highest, sums)
        many = width
        apart = narrow and limited
        if apart:
            many = _settle(
                x, p, s, sums, ends, most, squared, zero, start, columns, rule, image, used, low,
                high, outlier, sd, spread,
            )  # fmt: skip
        for k in range(0, many, LANES):
            q = p
            j = k
            if apart:
                for i in range(LANES):
                    column = columns[min(k + i, many - 1)]
                    for row in range(frames):
                        y[row, i] = values[row, column]
                q = those
                j = k - k
            m = load(there, 0, j) if missing else whole(frames)
            exact = mode != 2
            if exact and itemsize > 2:  # squares of whole numbers add up to whole ones
                top_ = _pick(q, j, maximum(m - whole(1), whole(0)))
                widest = top_ - reals(q, 0, j)
                exact = not any_lane(~less(real(m) * widest * widest, real(2.0**53)))
            ref = _pick(q, j, _lower(whole(0), m))
            first, last, total, squares, far = _kept(
                q,
                s,
                j,
                m,
                lowest,
                highest,
                missing,
                narrow and not apart,
                squared,
                exact,
                ref,
                zero,
                most,
                rule,
            )
            count = real(last - first)
            mean = ref
            if rule[_WHICH] == MEDIAN or any_lane(far):
                mean = _middle(q, j, whole(0), m, zero)
            if rule[_WHICH] != MEDIAN:
                kept = ref + real(zero) + total / count
                if exact:
                    kept = (count * (ref + real(zero)) + total) / count
                elif any_lane(~_finite(kept)):
                    kept = choose(_finite(kept), kept, _shares(q, j, first, last))
                mean = choose(far, mean, kept)
            where = start, k, many, apart
            none = at_most(m, whole(0))
            _give(image, where, columns, floats, choose(none, real(np.nan), mean))
            if used.shape[0]:
                _give(used, where, columns, numbers_, last - first)
                _give(low, where, columns, numbers_, first)
                _give(high, where, columns, numbers_, m - last)
                _give(outlier, where, columns, numbers_, whole(0) - far)
            if sd.shape[0]:
                deviation = _deviation(total, squares, last - first, exact)
                _give(
                    sd,
                    where,
                    columns,
                    floats,
                    choose(at_most(last - first, whole(1)), real(np.nan), deviation),
                )
            if spread.shape[0]:
                deviation = _spread(
                    q, j, m, missing, first, last, exact, zero, total, squares, rule
                )
                deviation = choose(at_most(m, whole(1)), real(np.nan), deviation)
                _give(spread, where, columns, floats, deviation)
        done = start + width
        if done >= n:
            break
        start = min(done, n - width)  # the last block may lie over that before


@part
def _give(out, where, columns, spare, vector):  # type: ignore[no-untyped-def]
    """Into an array of pixels: to eight in a row, or to those columns."""
    start, k, many, apart = where
    if not apart:
        put(out, start + k, vector)
        return
    put(spare, 0, vector)
    for i in range(min(LANES, many - k)):
        out[start + columns[k + i]] = spare[i]


# --- pixels from which nothing is rejected ---------------------------------------------------


@part
def _settle(x, p, s, sums, ends, most, squared, zero, start, columns, rule, image, used, low, high, outlier, sd, spread):  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: E501
    """What is made of a block of 16-bit numbers if nothing is rejected; how many of the pixels that
    does not hold for, and which (`columns`)."""
    frames, width = x.shape
    which = rule[_WHICH]
    m = whole(frames)
    none = whole(0)
    lower = (frames - 1) // 2
    upper = frames // 2
    if which == WINSORIZED or which == MEDIAN:  # noqa: SIM109
        for j in range(0, width, LANES):
            centre = (reals(p, lower, j) + real(zero) + (reals(p, upper, j) + real(zero))) * real(
                0.5
            )
            reach = real(1.5 if which == WINSORIZED else 1.0) * _needed(p, j, centre, zero, rule)
            a = none - _floor(reach - (centre - real(zero)))
            b = _floor(reach + (centre - real(zero)))
            put(ends, j, minimum(maximum(a, whole(-32768)), whole(32767)))
            put(ends, width + j, minimum(maximum(b, whole(-32768)), whole(32767)))
        if which == WINSORIZED:
            _add_up_squares(x, 0, frames, ends, True, most, sums, 2)
        else:
            _count(x, ends, sums, 2)
    odd = 0
    for j in range(0, width, LANES):
        ref = reals(p, lower, j)
        total, squares = _added_up(p, s, j, 0, frames, ref, most, squared)
        mean = (real(m) * (ref + real(zero)) + total) / real(m)
        if which == MEDIAN:
            mean = _middle(p, j, none, m, zero)
        put(image, start + j, mean)
        if used.shape[0]:
            put(used, start + j, m)
            put(low, start + j, none)
            put(high, start + j, none)
            put(outlier, start + j, none)
        deviation = real(0.0)
        if squared:
            deviation = _deviation(total, squares, m, True)
        if sd.shape[0]:
            put(sd, start + j, deviation if frames > 1 else real(np.nan))
        if which == MEDIAN and spread.shape[0]:
            put(spread, start + j, deviation if frames > 1 else real(np.nan))
        if frames < (4 if which == WINSORIZED else 3):
            continue
        centre = (ref + real(zero) + (reals(p, upper, j) + real(zero))) * real(0.5)
        if which == WINSORIZED or which == MEDIAN:  # noqa: SIM109
            needed = _needed(p, j, centre, zero, rule)
            sure = needed * real(1 + 1e-9) + real(1e-9 + 1e-14 * abs(zero))
            if which == WINSORIZED:
                # The scale of values that are pulled in does not fall where they are pulled in
                # less, so that one which is not below what it came from is a lower bound of what
                # follows.
                scale = real(1.134) * _deviation(reals(s, 2, j), reals(s, 3, j), m, True)
                goes = less(scale, sure) | less(deviation, sure)
            else:
                # no more than half of the values lie nearer than that: so does their median
                goes = less(real((frames - 1) // 2), reals(s, 2, j))
            goes = goes & less(real(0.0), needed)
        else:
            scale = deviation
            if which == CCDCLIP:
                scale = _noise(centre, rule)
            elif rule[_BY_MEAN] == 1.0:
                centre = ref + real(zero) + total / real(m)
            # that of the guard of `CCDCLIP` is never less
            below, above = _limits(centre, scale, rule)
            goes = less(reals(p, 0, j) + real(zero), below)
            goes = goes | less(above, reals(p, frames - 1, j) + real(zero))
        if any_lane(goes):
            for i in range(LANES):
                if lane(goes, i):
                    columns[odd] = j + i
                    odd += 1
    return odd


@part
def _needed(p, j, centre, zero, rule):  # type: ignore[no-untyped-def]
    """Scales (with `MEDIAN` median absolute deviations) for which the lowest and the highest of all
    values are just not rejected."""
    grain = real(rule[_GRAIN])
    lowest = reals(p, 0, j) + real(zero)
    highest = reals(p, p[2] - 1, j) + real(zero)
    far = rule[_WHICH] == MEDIAN
    below = real(1 / _FAR if far else 1 / rule[_LOW]) * (centre - lowest)
    above = real(1 / _FAR if far else 1 / rule[_HIGH]) * (highest - centre)
    below = choose(less(lowest, centre - grain), below, real(0.0))
    above = choose(less(centre + grain, highest), above, real(0.0))
    return choose(less(below, above), above, below)


@part
def _floor(v):  # type: ignore[no-untyped-def]
    """The whole numbers below those of some 16 bits; a little nearer to 0 than these may be."""
    return whole(v + real(2.0**20)) - whole(real(2.0**20))


# --- runs of sorted values: from `first` to `last` (exclusive), in each lane its own --------------


@part
def _finite(v):  # type: ignore[no-untyped-def]
    return alike(v - v, real(0.0))


@part
def _pick(p, j, rows):  # type: ignore[no-untyped-def]
    """The values of a row for each lane; mostly it is the same."""
    row = np.int64(lane(rows, 0))
    if any_lane(rows ^ whole(row)):
        return gather(p, rows, j)
    return reals(p, row, j)


@part
def _lower(first, last):  # type: ignore[no-untyped-def]
    """Rows of the lower medians; of an empty run the first."""
    return shift_right(first + maximum(last, first + whole(1)) - whole(1), 1)


@part
def _middle(p, j, first, last, zero):  # type: ignore[no-untyped-def]
    """Medians."""
    a = _pick(p, j, _lower(first, last)) + real(zero)
    b = _pick(p, j, _lower(first, last + whole(1))) + real(zero)
    mean = (a + b) * real(0.5)
    # a sum may lie beyond float64
    return choose(_finite(mean), mean, a * real(0.5) + b * real(0.5))


@part
def _inside(first, last, i):  # type: ignore[no-untyped-def]
    return at_most(first, whole(i)) & at_most(whole(i + 1), last)


@part
def _sums(p, j, first, last, ref):  # type: ignore[no-untyped-def]
    """Sums of values minus one, and of the squares, in ascending order."""
    total = real(0.0)
    squares = real(0.0)
    frames = p[2]
    if any_lane(first | (last ^ whole(frames))):
        for i in range(frames):
            d = choose(_inside(first, last, i), reals(p, i, j) - ref, real(0.0))
            total = total + d
            squares = squares + d * d
    else:
        for i in range(frames):
            d = reals(p, i, j) - ref
            total = total + d
            squares = squares + d * d
    return total, squares


@part
def _trimmed(frames, rule):  # type: ignore[no-untyped-def]
    """Rows that `MINMAX` keeps of so many values; of some missing ones, the same share is left out
    (IRAF's rule)."""
    if rule[_WHICH] != MINMAX or frames < 3:
        return 0, frames
    low = np.int64(rule[_LOW] * frames / rule[_FRAMES] + 0.001)
    return low, frames - np.int64(rule[_HIGH] * frames / rule[_FRAMES] + 0.001)


@part
def _add_up(x, first, last, sums):  # type: ignore[no-untyped-def]
    """Sums of rows of 16-bit numbers, 32 pixels at a time: of upper and lower bytes apart, of which
    128 add up in 16 bits."""
    byte = fill(x, x.dtype.type(255))
    for j in range(0, x.shape[1], lanes(x)):
        scale = half(byte, 0) + half(fill(x, x.dtype.type(1)), 0)
        a = half(byte ^ byte, 0)
        b = a
        for start in range(first, last, 128):
            upper = byte ^ byte
            lower = upper
            for i in range(start, min(start + 128, last)):
                v = load(x, i, j)
                upper = upper + shift_right(v, 8)
                lower = lower + (v & byte)
            a = a + half(upper, 0) * scale + half(lower, 0)
            b = b + half(upper, 1) * scale + half(lower, 1)
        store(sums, 0, j, a)
        store(sums, 0, j + lanes(x) // 2, b)


@part
def _add_up_squares(x, first, last, ends, pulled, most, sums, row):  # type: ignore[no-untyped-def]
    """Sums of rows minus the lower medians, and of the squares, into `row` and the next; what lies
    farther off than `most` counts as that: so their squares add up in 32 bits. `pulled`: what lies
    outside the `ends` of a pixel counts as those."""
    highest = fill(x, most)
    lowest = (highest ^ highest) - highest
    for j in range(0, x.shape[1], lanes(x)):
        ref = load(x, (x.shape[0] - 1) // 2, j)
        a = half(ref ^ ref, 0)
        b = a
        c = a
        d = a
        for i in range(first, last):
            v = load(x, i, j)
            if pulled:
                v = minimum(maximum(v, load(ends, 0, j)), load(ends, 1, j))
            off = minimum(maximum(difference(v, ref), lowest), highest)
            p = half(off, 0)
            q = half(off, 1)
            a = a + p
            b = b + q
            c = c + p * p
            d = d + q * q
        store(sums, row, j, a)
        store(sums, row, j + lanes(x) // 2, b)
        store(sums, row + 1, j, c)
        store(sums, row + 1, j + lanes(x) // 2, d)


@part
def _count(x, ends, sums, row):  # type: ignore[no-untyped-def]
    """How many values of each pixel lie within its `ends`."""
    for j in range(0, x.shape[1], lanes(x)):
        lowest = load(ends, 0, j)
        highest = load(ends, 1, j)
        count = lowest ^ lowest
        for i in range(x.shape[0]):
            v = load(x, i, j)
            count = count - (at_most(lowest, v) & at_most(v, highest))
        store(sums, row, j, half(count, 0))
        store(sums, row, j + lanes(x) // 2, half(count, 1))


@part
def _added_up(p, s, j, first, last, ref, most, squared):  # type: ignore[no-untyped-def]
    """These sums, of values minus `ref`, with what lies far off as it is: at the ends."""
    total = reals(s, 0, j)
    if not squared:
        return total - real(np.float64(last - first)) * ref, total
    squares = reals(s, 1, j)
    far = real(np.float64(most))
    for i in range(first, last):
        d = reals(p, i, j) - ref
        over = less(d, real(0.0) - far)
        if not any_lane(over):
            break
        total = total + choose(over, d + far, real(0.0))
        squares = squares + choose(over, d * d - far * far, real(0.0))
    for i in range(last - 1, first - 1, -1):
        d = reals(p, i, j) - ref
        over = less(far, d)
        if not any_lane(over):
            break
        total = total + choose(over, d - far, real(0.0))
        squares = squares + choose(over, d * d - far * far, real(0.0))
    return total, squares


@part
def _shares(p, j, first, last):  # type: ignore[no-untyped-def]
    """Means of floats whose sum may lie beyond float64."""
    count = real(last - first)
    total = real(0.0)
    for i in range(p[2]):
        share = choose(_inside(first, last, i), reals(p, i, j) / count, real(0.0))
        total = total + share
    return total


@part
def _variance(total, squares, n, exact):  # type: ignore[no-untyped-def]
    """Sample variances of n values; infinite where they cannot be told."""
    if exact:
        t = whole(total)
        found = real(product(n, whole(squares)) - product(t, t)) / real(product(n, n - whole(1)))
    else:
        m = real(n)
        found = (m * squares - total * total) / (m * (m - real(1.0)))
    found = choose(less(found, real(0.0)), real(0.0), found)
    return choose(_finite(found), found, real(np.inf))


@part
def _deviation(total, squares, n, exact):  # type: ignore[no-untyped-def]
    return root(_variance(total, squares, n, exact))


# --- what rules keep -------------------------------------------------------------------------


@part
def _least(m, rule):  # type: ignore[no-untyped-def]
    """How many of m values stay at least."""
    if rule[_NKEEP] != rule[_NKEEP]:
        half = shift_right(m + whole(1), 1)
        return half if rule[_WHICH] == CCDCLIP else maximum(half, whole(3))
    given = np.int64(rule[_NKEEP])
    return minimum(whole(given) if given >= 0 else m + whole(given), m)


@part
def _kept(p, s, j, m, lowest, highest, missing, narrow, squared, exact, ref, zero, most, rule):  # type: ignore[no-untyped-def]
    """First and last (exclusive) of the m sorted values that a rule keeps; sums of those minus
    `ref` and of their squares; and where it gives up and takes the median instead (-1)."""
    which = rule[_WHICH]
    far = whole(0)
    first = whole(lowest)
    last = whole(highest)
    if missing:
        first = whole(0)
        last = m
        if which == MINMAX:  # `_trimmed` of each
            some = at_most(whole(3), m)
            low = whole(real(rule[_LOW]) * real(m) / real(rule[_FRAMES]) + real(0.001))
            high = whole(real(rule[_HIGH]) * real(m) / real(rule[_FRAMES]) + real(0.001))
            first = some & low
            last = choose(some, m - high, m)
    if narrow:
        total, squares = _added_up(p, s, j, lowest, highest, ref, most, squared)
    else:
        total, squares = _sums(p, j, first, last, ref)
    if which == MEAN or which == MEDIAN or which == MINMAX:  # noqa: SIM109  (no constants)
        return first, last, total, squares, far
    going = at_most(whole(4 if which == WINSORIZED else 3), m)
    keep = minimum(_least(m, rule), m)
    again = False
    for k in range(int(rule[_MAXITERS])):
        going = going & at_most(whole(3), last - first)
        if not any_lane(going):
            break
        n = last - first
        centre = (
            _pick(p, j, _lower(first, last))
            + real(zero)
            + (_pick(p, j, _lower(first, last + whole(1))) + real(zero))
        ) * real(0.5)
        if which == CCDCLIP:
            sd = _noise(centre, rule)
            if rule[_GUARD] == 1.0:
                sd = _protected(p, j, first, last, missing or k > 0, centre, zero, sd)
        else:
            if again:
                total, squares = _sums(p, j, first, last, ref)
                again = False
            sd = _deviation(total, squares, n, exact)
            if which == WINSORIZED:
                sd = _winsorized(
                    p, j, first, last, exact, ref, centre, zero, sd, total, squares, going
                )
            elif rule[_BY_MEAN] == 1.0:
                centre = ref + real(zero) + total / real(n)
        low, high = _limits(centre, sd, rule)
        a, b, one, two = _within(p, j, first, last, low, high, ref, zero)
        few = going & ~at_most(keep, b - a)
        if any_lane(few):
            if which == CCDCLIP:
                far = far | few
                a = choose(few, whole(0), a)
                b = choose(few, m, b)
            else:
                c, d = _nearest(p, j, first, last, centre, zero, keep, few)
                a = choose(few, c, a)
                b = choose(few, d, b)
        moved = (a ^ first) | (b ^ last)
        first = choose(going, a, first)
        last = choose(going, b, last)
        if any_lane(moved):
            # what whole numbers leave can be taken from their sums
            again = again or not exact or any_lane(few)
            total = choose(going, total - one, total)
            squares = choose(going, squares - two, squares)
        going = going & ~few & ~alike(real(moved), real(0.0))
    if again:
        total, squares = _sums(p, j, first, last, ref)
    return first, last, total, squares, far


@part
def _limits(centre, sd, rule):  # type: ignore[no-untyped-def]
    grain = real(rule[_GRAIN])
    sd = choose(less(sd, real(rule[_GRAIN] * _STEP)), real(rule[_GRAIN] * _STEP), sd)
    low = centre - real(rule[_LOW]) * sd
    high = centre + real(rule[_HIGH]) * sd
    low = choose(less(centre - grain, low), centre - grain, low)
    high = choose(less(high, centre + grain), centre + grain, high)
    return low, high


@part
def _within(p, j, first, last, low, high, ref, zero):  # type: ignore[no-untyped-def]
    """What of runs lies within limits, and the sums of what does not; from both ends, as far as a
    lane has something to leave."""
    a = first
    b = last
    total = real(0.0)
    squares = real(0.0)
    frames = p[2]
    for i in range(frames):
        v = reals(p, i, j)
        goes = less(v + real(zero), low) & _inside(a, last, i)
        if not any_lane(goes | ~at_most(a, whole(i))):
            break
        a = a - goes
        d = choose(goes, v - ref, real(0.0))
        total = total + d
        squares = squares + d * d
    for i in range(frames - 1, -1, -1):
        v = reals(p, i, j)
        goes = less(high, v + real(zero)) & _inside(a, b, i)
        if not any_lane(goes | at_most(b, whole(i))):
            break
        b = b + goes
        d = choose(goes, v - ref, real(0.0))
        total = total + d
        squares = squares + d * d
    return a, b, total, squares


@part
def _winsorized(p, j, first, last, exact, ref, centre, zero, sd, total, squares, going):  # type: ignore[no-untyped-def]  # fmt: skip
    """Scales of runs whose ends are pulled in, again and again, to 1.5 of it."""
    frames = p[2]
    n = real(last - first)
    share = real(1.0) / n
    below_n = real(1.0) / (n - real(1.0))
    at = ref + real(zero)
    for _ in range(25):
        low = centre - real(1.5) * sd
        high = centre + real(1.5) * sd
        a = whole(0)
        b = whole(0)
        one = total
        two = squares
        if exact:  # from both ends, as far as a lane has something there
            for i in range(frames):
                v = reals(p, i, j)
                below = less(v + real(zero), low) & at_most(whole(i + 1), last)
                under = below & at_most(first, whole(i))
                d = choose(under, v - ref, real(0.0))
                a = a - under
                one = one - d
                two = two - d * d
                if not any_lane(below):
                    break
            for i in range(frames - 1, -1, -1):
                v = reals(p, i, j)
                above = less(high, v + real(zero)) & at_most(first, whole(i))
                over = above & at_most(whole(i + 1), last)
                d = choose(over, v - ref, real(0.0))
                b = b - over
                one = one - d
                two = two - d * d
                if not any_lane(above):
                    break
        else:
            one = real(0.0)
            two = real(0.0)
            for i in range(frames):
                v = reals(p, i, j)
                there = _inside(first, last, i)
                under = less(v + real(zero), low) & there
                over = less(high, v + real(zero)) & there
                d = choose(there & ~(under | over), v - ref, real(0.0))
                a = a - under
                b = b - over
                one = one + d
                two = two + d * d
        under_ = low - at
        over_ = high - at
        one = real(a) * under_ + one + real(b) * over_
        two = real(a) * under_ * under_ + two + real(b) * over_ * over_
        square = (two - one * one * share) * below_n
        new = real(1.134) * root(choose(less(square, real(0.0)), real(0.0), square))
        new = choose(_finite(square), new, real(np.inf))
        change = choose(less(new, sd), sd - new, new - sd)
        more = going & ~not_above(change, real(0.0005) * sd) & _finite(new)
        sd = choose(going, new, sd)
        going = more
        if not any_lane(going):
            break
    return sd


@part
def _noise(centre, rule):  # type: ignore[no-untyped-def]
    """The noise that a model gives for levels."""
    x = centre - real(rule[_LEVEL])
    bright = choose(less(x, real(0.0)), real(0.0), x)
    v = real(rule[_VARIANCE]) + real(rule[_SLOPE]) * x + real(rule[_SQUARE]) * bright * bright
    floor = real(rule[_FLOOR])
    return root(choose(less(v, floor), floor, v))


@part
def _mad(p, j, first, last, partly, centre, zero):  # type: ignore[no-untyped-def]
    """Median absolute deviations from the median: so far from it reach the nearest k values, which
    are a window of k rows, whichever reaches least far."""
    n = last - first
    odd = n - shift_right(n, 1) - shift_right(n, 1)
    half = shift_right(n, 1)
    frames = p[2]
    if partly:
        # as many as lie at or below the lower, and the upper of the two middle deviations
        near = real(np.inf)
        far = real(np.inf)
        for i in range(frames):
            v = centre - (reals(p, i, j) + real(zero))
            k = whole(i) + half - whole(1) + odd
            there = at_most(first, whole(i)) & at_most(k + whole(1), last) & at_most(whole(1), n)
            row = choose(there, k, whole(0))
            reach = gather(p, row, j) + real(zero) - centre
            reach = choose(less(reach, v), v, reach)
            near = choose(there & less(reach, near), reach, near)
            k = whole(i) + half
            there = at_most(first, whole(i)) & at_most(k + whole(1), last) & at_most(whole(1), n)
            row = choose(there, k, whole(0))
            reach = gather(p, row, j) + real(zero) - centre
            reach = choose(less(reach, v), v, reach)
            far = choose(there & less(reach, far), reach, far)
        return choose(at_most(odd, whole(0)), (near + far) * real(0.5), near)
    size = (frames + 1) // 2
    near = real(np.inf)
    far = real(np.inf)
    for i in range(frames - size + 1):
        v = centre - (reals(p, i, j) + real(zero))
        reach = reals(p, i + size - 1, j) + real(zero) - centre
        reach = choose(less(reach, v), v, reach)
        near = choose(less(reach, near), reach, near)
        if i + frames // 2 < frames:
            reach = reals(p, i + frames // 2, j) + real(zero) - centre
            reach = choose(less(reach, v), v, reach)
            far = choose(less(reach, far), reach, far)
    return near if frames % 2 else (near + far) * real(0.5)


@part
def _protected(p, j, first, last, partly, centre, zero, sd):  # type: ignore[no-untyped-def]
    """The noise, and from 10 values on what a pixel's own would be, if that is much more: 0.7 of
    its median absolute deviation as one of normal noise."""
    many = at_most(whole(10), last - first)
    if not any_lane(many):
        return sd
    if not partly:
        # where more than half lie in a window this near, that is less
        frames = p[2]
        half = frames // 2
        middle = (frames - half) // 2
        near = sd * real((1 - 1e-12) / _OWN)
        held = whole(0)
        for k in range(2 * (frames // 10) + 1):  # from the middle on, where it mostly is so
            i = middle + (k + 1) // 2 if k % 2 else middle - k // 2
            below = centre - (reals(p, i, j) + real(zero))
            above = reals(p, i + half, j) + real(zero) - centre
            held = held | (not_above(below, near) & not_above(above, near))
            if not any_lane(~held):
                return sd
    own = real(_OWN) * _mad(p, j, first, last, partly, centre, zero)
    return choose(many & less(sd, own), own, sd)


@part
def _nearest(p, j, first, last, centre, zero, keep, going):  # type: ignore[no-untyped-def]
    """The runs of those nearest to centres, with all that are as near as the farthest of them."""
    a = first
    b = last
    zero_ = real(zero)
    while True:
        more = going & ~at_most(b - a, keep) & at_most(whole(1), b - a)
        if not any_lane(more):
            break
        below = centre - (gather(p, choose(more, a, whole(0)), j) + zero_)
        above = gather(p, choose(more, b - whole(1), whole(0)), j) + zero_ - centre
        low = less(above, below)
        a = a - (more & low)
        b = b + (more & ~low)
    some = going & at_most(whole(1), keep)
    below = centre - (gather(p, choose(some, a, whole(0)), j) + zero_)
    above = gather(p, choose(some, b - whole(1), whole(0)), j) + zero_ - centre
    far = choose(less(above, below), below, above)
    while True:
        more = some & at_most(first + whole(1), a)
        row = choose(more, a - whole(1), whole(0))
        more = more & not_above(centre - (gather(p, row, j) + zero_), far)
        if not any_lane(more):
            break
        a = a + more
    while True:
        more = some & at_most(b + whole(1), last)
        row = choose(more, b, whole(0))
        more = more & not_above(gather(p, row, j) + zero_ - centre, far)
        if not any_lane(more):
            break
        b = b - more
    return a, b


@part
def _spread(p, j, m, missing, first, last, exact, zero, total, squares, rule):  # type: ignore[no-untyped-def]
    """What the error of the value of m sorted values follows from where that is not the deviation
    of what is kept: with minmax that of the values whose ends are pulled in to the ranks that stay
    (Tukey and McLaughlin 1963), with the median that of those within 5 robust deviations."""
    ref = _pick(p, j, _lower(whole(0), m))
    if rule[_WHICH] == MEDIAN:
        centre = _middle(p, j, whole(0), m, zero)
        far = real(_FAR) * _mad(p, j, whole(0), m, missing, centre, zero)
        a, b, _, _ = _within(p, j, whole(0), m, centre - far, centre + far, ref, zero)
        total, squares = _sums(p, j, a, b, ref)
        return _deviation(total, squares, b - a, exact)
    low = _pick(p, j, first) - ref
    high = _pick(p, j, maximum(last - whole(1), whole(0))) - ref
    below = real(first)
    above = real(m - last)
    total = total + below * low + above * high
    squares = squares + below * low * low + above * high * high
    return _deviation(total, squares, m, exact)
