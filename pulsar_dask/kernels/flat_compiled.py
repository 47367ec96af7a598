"""The compiled half of `flat`: stored pixels to calibrated values, which never leave the L1 cache,
to what is wanted of them."""

from __future__ import annotations

import numpy as np

from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.compiled import _bisect, _count_near, _fold, _is_missing, _run_network
from pulsar_dask.kernels.vectors import (
    any_lane,
    byteswap,
    choose,
    equal,
    fill,
    lanes,
    load,
    store,
)


@part
def _calibrate(row, swap, missing, blank, scale, zero, dark, y):  # type: ignore[no-untyped-def]
    """As `compiled.subtract`, of a part of a row."""
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


@part
def near(  # type: ignore[no-untyped-def]
    bits, frame, part, swap, missing, blank, scale, zero, dark, cells, whole, low, high, first,
    counts, values, found,
):  # fmt: skip
    """`compiled.bracket` of the calibrated pixels of a part of a frame, of all and of each colour.

    Parameters
    ----------
    bits, dark
        As for `median`.
    part : ndarray of int64, shape (4,)
        y, x, height, width.
    cells : ndarray of int64, shape (period, period)
        Which bracket the pixels of a colour have; none where it is negative.
    whole : bool
        Whether bracket 0 is that of all pixels.
    low, high : ndarray of float64, shape (brackets,)
    first : ndarray of int64, shape (brackets,)
        Where in `found` the values between begin.
    counts : ndarray of int64, shape (brackets, 5)
        Filled: how many are not missing, below, at either end, between.
    values : ndarray of float64, shape (2, n)
        For some of a row.
    found : ndarray of float64
    """
    size = values.shape[1]
    period = cells.shape[0]
    for y in range(part[0], part[0] + part[2]):
        row_cells = cells[(y - part[0]) % period]
        end = part[1] + part[3]
        for start in range(part[1], end, size):
            stop = min(end, start + size)
            n = stop - start
            some = values[0, :n]
            _calibrate(
                bits[frame, y, start:stop], swap, missing, blank, scale, zero,
                dark[y, start:stop], some,
            )  # fmt: skip
            if whole:
                _count_near(some, low[0], high[0], counts[0], found[first[0] :])
            phase = (start - part[1]) % period
            for j in range(min(period, n)):
                k = row_cells[(phase + j) % period]
                if k >= 0:
                    each = values[1, : (n - j + period - 1) // period]
                    for i in range(each.shape[0]):
                        each[i] = some[j + i * period]
                    _count_near(each, low[k], high[k], counts[k], found[first[k] :])


@part
def median(  # type: ignore[no-untyped-def]
    bits, place, swap, missing, blank, scale, zero, dark, factors, cell, network, x, values, top,
    special, middle, image, count,
):  # fmt: skip
    """Medians of calibrated pixels times a factor.

    Parameters
    ----------
    bits : ndarray, shape (frames, rows, columns)
        A window of the frames, of which the tile is a part.
    place : ndarray of int64, shape (2,)
        Row and column of the tile's first pixel in the window.
    dark : ndarray of float64, shape (rows, columns)
    factors : ndarray of float64, shape (frames, period, width + period)
        Of each frame; they repeat with the pattern of the colours.
    cell : ndarray of int64, shape (2,)
        Row and column of the tile's first pixel in that pattern.
    network, top, special
        As for `compiled.select`.
    x, values : ndarray of int64 and of float64, shape (frames, width)
        The same memory, for a block; aligned.
    middle : ndarray of int64, shape (3, width)
        For the two middle values of a block, and how many are missing.
    image, count : ndarray of float64 and of int32, shape (tile rows, tile columns)
        Filled; at least `width` columns.
    """
    frames, width = x.shape
    period = factors.shape[1]
    rows, columns = image.shape
    step = lanes(x)
    zeros = fill(x, top ^ top)
    marks = fill(x, special)
    highest = fill(x, top)
    low = middle[0:1]
    high = middle[1:2]
    missed = middle[2:3]
    lows = low[0].view(np.float64)
    highs = high[0].view(np.float64)
    for r in range(rows):
        y = place[0] + r
        start = columns - columns
        while True:
            at = place[1] + start
            phase = (cell[1] + start) % period
            for i in range(frames):
                some = values[i]
                _calibrate(
                    bits[i, y, at : at + width], swap, missing, blank, scale, zero,
                    dark[y, at : at + width], some,
                )  # fmt: skip
                factor = factors[i, (cell[0] + r) % period, phase : phase + width]
                for j in range(width):
                    some[j] *= factor[j]
            found = zeros
            for i in range(frames):
                for j in range(0, width, step):
                    v = load(x, i, j)
                    bad = _is_missing(v, 2, marks)
                    found = found | bad
                    store(x, i, j, choose(bad, highest, _fold(x, v, top)))
            gone = any_lane(found)
            for j in range(0, width, step):
                lost = zeros
                if gone:
                    for i in range(frames):
                        lost = lost - equal(load(x, i, j), highest)
                store(missed, 0, j, lost)
            if network.shape[1] and not gone:
                _run_network(x, network)
                for j in range(0, width, step):
                    store(low, 0, j, load(x, (frames - 1) // 2, j))
                    store(high, 0, j, load(x, frames // 2, j))
            else:
                for j in range(0, width, step):
                    _bisect(x, top, gone, missed, low, high, 0, j)
            for j in range(0, width, step):
                store(low, 0, j, _fold(x, load(low, 0, j), top))
                store(high, 0, j, _fold(x, load(high, 0, j), top))
            out = image[r, start : start + width]
            for j in range(width):
                a = lows[j] + 0.0
                b = highs[j] + 0.0
                out[j] = (a + b) * 0.5
            for j in range(width):
                if out[j] - out[j] != 0.0:  # the sum is beyond float64
                    out[j] = (lows[j] + 0.0) * 0.5 + (highs[j] + 0.0) * 0.5
            there = count[r, start : start + width]
            for j in range(width):
                there[j] = frames - missed[0, j]
            if gone:
                for j in range(width):
                    if there[j] == 0:
                        out[j] = np.nan
            done = start + width
            if done >= columns:
                break
            start = min(done, columns - width)  # the last block may lie over the one before
