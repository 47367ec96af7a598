"""The compiled half of `clipping`: blocks of pixels sorted by a network, then clipped one by one,
without the GIL."""

from __future__ import annotations

import math

import numpy as np

from pulsar_dask.kernels.codecache import jit, part
from pulsar_dask.kernels.compiled import _fold, _load_blocks, _run_network
from pulsar_dask.kernels.vectors import byteswap, lanes, load, store

MINMAX, SIGCLIP, WINSORIZED = 0, 1, 2
_GRAIN = 1 / math.sqrt(12)


@jit
def clip(bits, swap, mode, special, network, x, values, top, zero, rule, image, used, low, high):  # type: ignore[no-untyped-def]
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
    rule : ndarray of float64, shape (8,)
        Which one; the lowest and the highest that go (ranks, or scales); most iterations; whether
        the centre is the mean; how many are to be kept, NaN as usual; the grain; how many frames.
    image : ndarray of float64, shape (n,)
    used, low, high : ndarray of int32, shape (n,)
        How many values are kept, and how many are too low or too high.
    """
    frames, n = bits.shape
    width = x.shape[1]
    whole = np.empty(frames, np.int64)
    floats = np.empty(frames, np.float64)
    offset = np.int64(zero)
    start = n - n
    while True:
        missing = _load_blocks(bits, swap, mode, special, top, start, x)
        _run_network(x, network)
        if mode == 2:
            for i in range(frames):
                for j in range(0, width, lanes(x)):
                    store(x, i, j, _fold(x, load(x, i, j), top))
        for j in range(width):
            m = frames
            if mode == 2:
                for i in range(frames):
                    floats[i] = np.float64(values[i, j])
                while missing and m > 0 and floats[m - 1] - floats[m - 1] != 0.0:
                    m -= 1
            else:
                for i in range(frames):
                    whole[i] = np.int64(x[i, j])
                if missing:
                    for i in range(frames):
                        v = byteswap(bits[i, start + j]) if swap else bits[i, start + j]
                        m -= 1 if np.int64(v) == np.int64(special) else 0
                for i in range(m):
                    whole[i] += offset
            at = start + j
            if m == 0:
                image[at] = np.nan
                used[at] = low[at] = high[at] = 0
                continue
            # sums of squares of whole numbers stay within 64 bits
            if mode != 2 and m * (whole[m - 1] - whole[0]) < 2**31:
                first, last = _kept(whole, m, rule)
                total, _ = _sums(whole, first, last, whole[(m - 1) // 2])
                count = last - first
                image[at] = np.float64(count * whole[(m - 1) // 2] + total) / count
            else:
                if mode != 2:
                    for i in range(m):
                        floats[i] = np.float64(whole[i])
                first, last = _kept(floats, m, rule)
                count = last - first
                image[at] = _mean(floats, first, last, floats[(m - 1) // 2])
            used[at] = count
            low[at] = first
            high[at] = m - last
        done = start + width
        if done >= n:
            break
        start = min(done, n - width)  # the last block may lie over that before


@part
def _sums(p, first, last, ref):  # type: ignore[no-untyped-def]
    """Of a run of sorted values minus one of them, and of the squares, in ascending order."""
    total = ref - ref
    squares = total
    for k in range(first, last):
        d = p[k] - ref
        total += d
        squares += d * d
    return total, squares


@part
def _mean(p, first, last, ref):  # type: ignore[no-untyped-def]
    total, _ = _sums(p, first, last, ref)
    mean = ref + total / (last - first)
    if mean - mean == 0.0:
        return mean
    mean = 0.0  # the sum is beyond float64
    for k in range(first, last):
        mean += p[k] / (last - first)
    return mean


@part
def _deviation(p, first, last, ref):  # type: ignore[no-untyped-def]
    """Sample standard deviation of a run; infinite where it cannot be told."""
    m = last - first
    total, squares = _sums(p, first, last, ref)
    square = np.float64(m * squares - total * total) / np.float64(m * (m - 1))
    if square - square != 0.0:
        return np.inf
    return math.sqrt(max(square, 0.0))


@part
def _winsorized(p, first, last, ref, centre, sd):  # type: ignore[no-untyped-def]
    """Scale of a run whose ends are pulled in, again and again, to 1.5 of it."""
    m = last - first
    for _ in range(25):
        low = centre - 1.5 * sd
        high = centre + 1.5 * sd
        a = first
        while a < last and np.float64(p[a]) < low:
            a += 1
        b = last
        while b > a and np.float64(p[b - 1]) > high:
            b -= 1
        total, squares = _sums(p, a, b, ref)
        under = low - np.float64(ref)
        over = high - np.float64(ref)
        one = (a - first) * under + np.float64(total) + (last - b) * over
        two = (a - first) * under * under + np.float64(squares) + (last - b) * over * over
        square = (two - one * one / m) / (m - 1)
        if square - square != 0.0:
            return np.inf
        new = 1.134 * math.sqrt(max(square, 0.0))
        if abs(new - sd) <= 0.0005 * sd:
            return new
        sd = new
    return sd


@part
def _kept(p, m, rule):  # type: ignore[no-untyped-def]
    """First and last (exclusive) of the m sorted values that a rule keeps."""
    which = rule[0]
    if which == MINMAX:
        if m < 3:
            return 0, m
        # of some missing values, the same share (IRAF's rule)
        return int(rule[1] * m / rule[7] + 0.001), m - int(rule[2] * m / rule[7] + 0.001)
    first = 0
    last = m
    if m < (4 if which == WINSORIZED else 3):
        return first, last
    keep = max(3, (m + 1) // 2)
    if rule[5] == rule[5]:
        keep = int(rule[5]) if rule[5] >= 0 else m + int(rule[5])
    keep = min(keep, m)
    ref = p[(m - 1) // 2]
    grain = rule[6]
    for _ in range(int(rule[3])):
        if last - first < 3:
            break
        sd = _deviation(p, first, last, ref)
        middle = first + last
        centre = np.float64(p[(middle - 1) // 2])
        centre = (centre + np.float64(p[middle // 2])) * 0.5
        if which == WINSORIZED:
            sd = _winsorized(p, first, last, ref, centre, sd)
        elif rule[4] == 1.0:
            total, _ = _sums(p, first, last, ref)
            centre = np.float64(ref) + np.float64(total) / (last - first)
        sd = max(sd, grain * _GRAIN)
        low = min(centre - rule[1] * sd, centre - grain)
        high = max(centre + rule[2] * sd, centre + grain)
        a = first
        while a < last and np.float64(p[a]) < low:
            a += 1
        b = last
        while b > a and np.float64(p[b - 1]) > high:
            b -= 1
        if b - a < keep:
            return _nearest(p, first, last, centre, keep)
        if a == first and b == last:
            break
        first = a
        last = b
    return first, last


@part
def _nearest(p, first, last, centre, keep):  # type: ignore[no-untyped-def]
    """The run of those nearest to a centre, with all that are as near as the farthest of them."""
    a = first
    b = last
    while b - a > keep:
        if centre - np.float64(p[a]) > np.float64(p[b - 1]) - centre:
            a += 1
        else:
            b -= 1
    if keep > 0:
        far = max(centre - np.float64(p[a]), np.float64(p[b - 1]) - centre)
        while a > first and centre - np.float64(p[a - 1]) <= far:
            a -= 1
        while b < last and np.float64(p[b]) - centre <= far:
            b += 1
    return a, b
