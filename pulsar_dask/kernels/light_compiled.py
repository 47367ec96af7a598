"""The compiled half of `light`: pixels as stored to calibrated values, eight at a time."""

from __future__ import annotations

import numpy as np

from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.vectors import (
    alike,
    any_lane,
    choose,
    less,
    not_above,
    nothing,
    number,
    numbers,
    real,
    single,
    store,
    sum_of_lanes,
)


@part
def _known(v):  # type: ignore[no-untyped-def]
    """What is infinite is missing."""
    return choose(alike(v - v, real(0.0)), v, real(np.nan))


@part
def calibrate(  # type: ignore[no-untyped-def]
    raw, dark, bias, flat, swap, missing, constants, takes, levels, floors, cell, counted, out
):
    """The formula of `masters.lightband`.

    Parameters
    ----------
    raw, dark, bias, flat : ndarray, shape (rows, columns)
        As `vectors.numbers` reads them, at least 8 columns; those that there are not have no rows.
    swap : bool
        Whether they are in the other byte order.
    missing : bool
        Whether a stored number of the light means "no value".
    constants : ndarray of float64
        BSCALE, BZERO, that number, k, the bias where it is a number, by what bias and dark are
        multiplied, and from which value a pixel is saturated.
    takes : ndarray of int64, shape (2,)
        Whether the bias is taken from the light, and from the dark.
    levels, floors : ndarray of float64, shape (period, period + 8)
        M, and what the flat is above, of the pixels of the pattern of colours.
    cell : ndarray of int64, shape (2,)
        Row and column of the first pixel in that pattern.
    counted : ndarray of int64, shape (4,)
        Rows and columns, from and to, where saturated pixels are counted.
    out : ndarray of float64, shape (rows, columns)

    Returns
    -------
    int
        Saturated pixels.
    """
    rows, columns = out.shape
    period = levels.shape[0]
    scale, zero, blank, k = constants[0], constants[1], constants[2], constants[3]
    level, bias_times, dark_times = constants[4], constants[5], constants[6]
    limit = constants[7]
    saturated = 0
    for y in range(rows):
        row = raw[y]
        counts = (limit < np.inf) & (counted[0] <= y) & (y < counted[1])
        at_once = counts & (counted[3] - counted[2] == columns) & (columns % 8 == 0)
        seen_ = nothing()
        if counts and not at_once:
            for j in range(counted[2], counted[3]):
                r = number(row[j], swap)
                v = r * scale + zero
                saturated += 1 if (v >= limit) & (v < np.inf) & ~(missing & (r == blank)) else 0
        i = (cell[0] + y) % period
        x = cell[1]
        for n in range(0, columns, 8):
            j = min(n, columns - 8)  # the last ones are done twice
            if j < n:
                x = (cell[1] + j) % period
            r_ = numbers(raw, y, j, swap)
            v_ = _known(r_ * real(scale) + real(zero))
            if missing:
                v_ = choose(alike(r_, real(blank)), real(np.nan), v_)
            if at_once:
                seen_ = seen_ + not_above(real(limit), v_)
            b_ = real(level)
            if bias.shape[0]:
                b_ = _known(numbers(bias, y, j, swap)) * real(bias_times)
            if takes[0]:
                v_ = v_ - b_
            if dark.shape[0]:
                d_ = _known(numbers(dark, y, j, swap)) * real(dark_times)
                if takes[1]:
                    d_ = d_ - b_
                v_ = v_ - real(k) * d_
            if flat.shape[0]:
                f_ = _known(numbers(flat, y, j, swap))
                f_ = choose(less(numbers(floors, i, x, False), f_), f_, real(np.nan))
                v_ = v_ * numbers(levels, i, x, False) / f_
            store(out, y, j, v_)
            x = (x + 8) % period if period > 1 else x
        saturated -= sum_of_lanes(seen_)
    return saturated


@part
def rounded(values, more, swap, out):  # type: ignore[no-untyped-def]
    """Values plus a number as float32, whose bits go to `out`, uint32; how many are missing."""
    missing = 0
    for y in range(out.shape[0]):
        row = values[y]
        bits = out[y]
        for j in range(bits.shape[0]):
            v = row[j] + more
            missing += 0 if v == v else 1
            bits[j] = single(v, swap)
    return missing


@part
def unfit(bits, swap, floors, cell):  # type: ignore[no-untyped-def]
    """Whether a value is missing or not above a floor, as `floors` and `cell` of `calibrate` have
    it; a floor of infinity counts for nothing."""
    rows, columns = bits.shape
    period = floors.shape[0]
    found_ = nothing()
    for y in range(rows):
        i = (cell[0] + y) % period
        for n in range(0, columns, 8):
            j = min(n, columns - 8)
            x = (cell[1] + j) % period if period > 1 else period - 1
            v_ = numbers(bits, y, j, swap)
            floor_ = numbers(floors, i, x, False)
            fits_ = less(floor_, v_) & less(v_, real(np.inf))
            found_ = found_ | ~(fits_ | alike(floor_, real(np.inf)))
    return any_lane(found_)


@part
def values(bits, swap, out):  # type: ignore[no-untyped-def]
    """Numbers as `vectors.number` reads them, in a row, as float64; what is infinite is missing."""
    for j in range(out.shape[0]):
        v = number(bits[j], swap)
        out[j] = v if v - v == 0.0 else np.nan
