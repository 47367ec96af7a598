"""Pixels whose values scatter more than their noise: how much, and whether about two levels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.noise import RARE, Noise, quantile
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type
from pulsar_dask.kernels.values import to_values

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)
_moments = Compiled("telegraph_compiled.moments")
#: Pixels that are looked at together.
BLOCK = 4096
#: Values that are sorted together, or made of scaled ones.
VALUES = 1 << 18
#: Bytes that `seen_of` holds in a thread, and for each pixel.
THREAD_BYTES, PIXEL_BYTES = 20 * 8 * BLOCK + 10 * 8 * VALUES, 2
#: Least share, and number, of the values on each of two levels; noises between these; fewest
#: values.
SHARE, LEAST, APART, FEWEST = 0.15, 3, 3.5, 10
#: Rank that belongs to the higher level, in the number of values; noises above it of hits.
HITS, ABOVE = 0.9, 6.0
#: Of the normal distribution: 1 % and 2 %.
ONE, TWO = 2.3263, 2.0


class Moments(NamedTuple):
    """Of the values of each pixel that are there, float64."""

    number: Array
    mean: Array
    squares: Array
    """Sum of squares about the mean."""
    inner: Array
    """The same without the highest and the lowest value."""
    over: Array
    """How many reach a limit."""


def moments(
    stack: Array, part: slice, pixels: PixelType, limit: float, *, compiled: bool
) -> Moments:
    """Moments of some columns of pixels as they are stored, over the first axis.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
        Neither scaled nor of 64-bit integers: those as float64.
    part : slice
    pixels : PixelType
    limit : float
        Of `Moments.over`, as a value.
    compiled : bool
    """
    stored = stack.dtype.newbyteorder("=")
    bits = stack.view(bits_type(stored))
    mode = 2 if pixels.floating else int(pixels.blank is not None)
    swap = SWAP and stack.dtype.str[0] == ">"
    zero = 0.0 if pixels.floating else pixels.bzero
    start, stop, _ = part.indices(stack.shape[1])
    key = np.empty(stop - start, bits.dtype)
    values = key.view(stored) if pixels.floating else key
    special = bits.dtype.type(pixels.blank or 0)
    first, found = np.zeros(len(key)), np.zeros((7, len(key)))
    found[5] = limit - zero
    block = bits, start, swap, mode, special, key, values, first, found
    with np.errstate(invalid="ignore", over="ignore"):
        (_moments if compiled else _plain)(*block)
        number, total, squares, high, low, _, over = found
        mean = total / np.maximum(number, 1)
        inner = squares - high * high - low * low
        left = total - high - low
        inner -= left * left / np.maximum(number - 2, 1)
        return Moments(number, first + zero + mean, squares - total * mean, inner, over)


def _plain(
    bits: Array,
    start: int,
    swap: bool,
    mode: int,
    special: Any,
    key: Array,
    values: Array,
    first: Array,
    found: Array,
) -> None:
    """As `telegraph_compiled.moments`."""
    number, total, squares, high, low, limit, over = found
    for row in bits[:, start : start + len(key)]:
        key[...] = row.byteswap() if swap else row
        x = values.astype("f8")
        there = np.isfinite(x) if mode == 2 else (key != special) | (mode != 1)
        first[...] = np.where(there & (number == 0), x, first)
        d = np.where(there, x - first, 0.0)
        number += there
        total += d
        squares += d * d
        np.maximum(high, d, out=high)
        np.minimum(low, d, out=low)
        over += there & (x >= limit)


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
    whole = not pixels.scaled and pixels.bitpix != 64
    step = min(BLOCK, max(64, VALUES // len(stack)))
    for start in range(0, n, step):
        part = slice(start, min(n, start + step))
        block, kind, at = stack, pixels, part
        if not whole:
            block = np.ascontiguousarray(to_values(stack[:, part], pixels), "f8")
            kind, at = _FLOAT64, slice(0, part.stop - start)
        seen = moments(block, at, kind, limit, compiled=compiled)
        full[part] = (seen.over > 0) & (2 * seen.over >= seen.number)
        if noise is not None:
            two[part] = _two_levels(block, at, kind, noise, seen)
    return full, two


def _two_levels(block: Array, part: slice, pixels: PixelType, noise: Noise, seen: Moments) -> Array:
    found = np.zeros(len(seen.mean), bool)
    # a higher level has more noise: that of the mean is more than that of the median, a little
    odd = np.flatnonzero(unsteady(seen, 0.7 * noise.at(seen.mean)))
    step = max(16, VALUES // len(block))
    for start in range(0, len(odd), step):
        some = odd[start : start + step]
        values = to_values(block[:, part.start + some], pixels).astype("f8")
        two, variance = two_levels(values, noise)
        found[some] = two & unsteady(Moments(*(of[some] for of in seen)), variance)
    return found
