"""Pixels whose values scatter more than their noise: how much, and whether about two levels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.kernels.blocks import ROW, aligned
from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.noise import RARE, Noise, quantile
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type
from pulsar_dask.kernels.values import to_values

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)
_look = Compiled("telegraph_compiled.look")
#: Values that are looked at together by NumPy, or made of scaled ones.
VALUES = 1 << 16
#: Bytes that `seen_of` holds in a thread, and for each pixel.
THREAD_BYTES, PIXEL_BYTES = 16 * 8 * VALUES, 4 + 2
#: Least share, and number, of the values on each of two levels; noises between these; fewest
#: values.
SHARE, LEAST, APART, FEWEST = 0.15, 3, 3.5, 10
#: Rank that belongs to the higher level, in the number of values; noises above it of hits.
HITS, ABOVE = 0.9, 6.0
#: Of the normal distribution: 1 % and 2 %.
ONE, TWO = 2.3263, 2.0
#: A higher level has more noise: that of the mean is more than that of the median, a little.
_MEAN = 0.7


class Moments(NamedTuple):
    """Of the values of each pixel that are there, float64."""

    number: Array
    mean: Array
    squares: Array
    """Sum of squares about the mean."""
    inner: Array
    """The same without the highest and the lowest value."""


def moments(values: Array) -> Moments:
    """Moments of float64 values, NaN where missing, over the first axis."""
    number, total, squares, high, low, first = np.zeros((6, values.shape[1]))
    with np.errstate(invalid="ignore", over="ignore"):
        for row in values:
            there = row == row
            first = np.where(there & (number == 0), row, first)
            d = np.where(there, row - first, 0.0)
            number += there
            total += d
            squares += d * d
            np.maximum(high, d, out=high)
            np.minimum(low, d, out=low)
        mean = total / np.maximum(number, 1)
        inner = squares - high * high - low * low
        left = total - high - low
        inner -= left * left / np.maximum(number - 2, 1)
        return Moments(number, first + mean, squares - total * mean, inner)


def unsteady(seen: Moments, variance: Array) -> Array:
    """Pixels that scatter more than noise of some variance does once in a million, and not for one
    high or low value alone."""
    n = seen.number
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = seen.squares > variance * (n - 1) * quantile(n - 1, RARE)
        found: Array = wide & (seen.inner > variance * (n - 3) * quantile(n - 3, TWO))
    return found & (n >= FEWEST)


def two_levels(values: Array, noise: Noise) -> tuple[Array, Array]:
    """Whether values lie about two levels, and the variance at the lower one.

    The sorted values are split where the squares about the means of both parts add up to least.
    They are two levels where the means lie more than 3.5 noises apart (by the model, and by what is
    left), each has 15 % of the values
    and three, and what is left is noise, but for once in a hundred.

    Parameters
    ----------
    values : ndarray of float64, shape (frames, n)
        NaN where missing. It is sorted on return, and without hits.
    noise : Noise
        Of one value: at the lower level, as a current that drifts would explain much at the higher
        one.
    """
    values.sort(axis=0)  # NaN last
    n = np.count_nonzero(values == values, axis=0)
    # hits lie above the higher level, which has a tenth of the values at least
    last = (HITS * np.maximum(n - 1, 0)).astype(int)
    top = np.take_along_axis(values, last[None], 0)[0]
    with np.errstate(invalid="ignore"):
        values[values > top + ABOVE * np.sqrt(noise.at(top))] = np.nan
    there = values == values
    n = there.sum(axis=0)
    off = np.where(there, values - values[0], 0.0)
    total, squares = np.cumsum(off, axis=0), np.cumsum(off * off, axis=0)
    k = np.arange(1, len(values) + 1)[:, None]
    rest = np.maximum(n - k, 1)
    low, high = total / k, (total[-1] - total) / rest
    within = squares - total * low
    within += (squares[-1] - squares) - (total[-1] - total) * high
    least = np.maximum(LEAST, np.ceil(SHARE * n))
    within[(k >= n)] = np.inf
    at = np.argmin(within, axis=0)[None]
    left, apart, lower = (np.take_along_axis(a, at, 0)[0] for a in (within, high - low, low))
    variance = noise.at(values[0] + lower)
    beside = at[0] + 1
    found: Array = (beside >= least) & (n - beside >= least) & (n >= FEWEST)
    # where the model has too little noise, what is left of each level tells
    found &= apart > APART * np.sqrt(np.maximum(variance, left / np.maximum(n - 2, 1)))
    found &= left < variance * (n - 2) * quantile(np.maximum(n - 2, 1), ONE)
    return found, variance


def seen_of(
    stack: Array, pixels: PixelType, noise: Noise | None, limit: float, *, compiled: bool
) -> tuple[Array, Array]:
    """Which pixels reach a limit in half of their values, and which have two levels.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
        Pixels as stored, big-endian or in native order; it stays as it is.
    pixels : PixelType
    noise : Noise, optional
        Of a frame; None: nothing is told of levels.
    limit : float
    compiled : bool

    Returns
    -------
    full, two : ndarray of bool, shape (n,)
    """
    n = stack.shape[1]
    full, two = np.zeros(n, bool), np.zeros(n, bool)
    whole = compiled and not pixels.scaled and pixels.bitpix != 64
    some = max(1, VALUES // len(stack))
    for start in range(0, n, n if whole else some):
        part, block, kind = slice(start, n if whole else start + some), stack, pixels
        if not whole:
            block = np.ascontiguousarray(to_values(stack[:, part], pixels), "f8")
            kind = _FLOAT64
        full[part], odd = (_seen if compiled else _plain)(block, kind, noise, limit)
        if noise is None:
            continue
        for i in range(0, len(odd), some):
            at = odd[i : i + some]
            two[start + at] = _two_levels(to_values(block[:, at], kind).astype("f8"), noise)
    return full, two


def warm_up(pixels: PixelType) -> None:
    """Load (or, the first time, compile) what that takes."""
    seen_of(np.zeros((1, 1), pixels.stored), pixels, None, np.inf, compiled=True)


def _seen(
    stack: Array, pixels: PixelType, noise: Noise | None, limit: float
) -> tuple[Array, Array]:
    """Which pixels reach a limit, and numbers of those that may be unsteady."""
    frames, n = stack.shape
    stored = stack.dtype.newbyteorder("=")
    bits = stack.view(bits_type(stored))
    key = np.dtype(f"i{max(2, stored.itemsize)}")
    width = ROW // key.itemsize
    if n < width:
        bits = np.hstack([bits, np.zeros((frames, width - n), bits.dtype)])
    mode = 2 if pixels.floating else int(pixels.blank is not None)
    zero = 0.0 if pixels.floating else pixels.bzero
    x, seen = aligned((frames, width), key), np.empty(max(n, width), np.int32)
    _look(
        bits,
        SWAP and stack.dtype.str[0] == ">",
        mode,
        key.type(0 if mode == 2 else (pixels.blank or 0)),
        x,
        x.view(stored) if pixels.floating else x,
        limit - zero,
        zero,
        _bounds(frames),
        np.array(noise or (), float),
        seen,
    )
    return (seen[:n] & 1).astype(bool), np.flatnonzero(seen[:n] & 2)


def _plain(
    values: Array, pixels: PixelType, noise: Noise | None, limit: float
) -> tuple[Array, Array]:
    """As `_seen`."""
    over, seen = np.count_nonzero(values >= limit, axis=0), moments(values)
    odd = () if noise is None else unsteady(seen, _MEAN * noise.at(seen.mean))
    return (over > 0) & (2 * over >= seen.number), np.flatnonzero(odd)


def _bounds(frames: int) -> Array:
    """The table of `telegraph_compiled.look`."""
    n = np.arange(frames + 1.0)
    bounds = [(n - 1) * quantile(n - 1, RARE), (n - 3) * quantile(n - 3, TWO)]
    found = np.where(n < FEWEST, np.inf, _MEAN * np.array(bounds))
    return np.repeat(found.reshape(-1, 1), 8, axis=1)


def _two_levels(values: Array, noise: Noise) -> Array:
    """Which of some pixels that may be unsteady have two levels; `values` are used up."""
    seen = moments(values)
    odd = np.flatnonzero(unsteady(seen, _MEAN * noise.at(seen.mean)))
    found = np.zeros(values.shape[1], bool)
    two, variance = two_levels(values[:, odd], noise)
    found[odd] = two & unsteady(Moments(*(of[odd] for of in seen)), variance)
    return found
