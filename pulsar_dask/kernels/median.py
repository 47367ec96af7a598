"""The exact median of a stack, per pixel, on plain arrays.

Two ways to the middle values, the faster one chosen by the number of frames:

*network*
    a selection network (Batcher's odd-even merge sort, pruned to the outputs that are
    needed): a fixed list of comparators, each one a min/max of two rows of pixels.
*bisection*
    on integers, halve the range of values until one is left, counting how many frames
    lie at or below the middle, from the range that a sample of the frames gives. Its cost
    per frame does not grow with their number, and each pixel may have its own rank, so it
    serves pixels with missing values too.

Both work on vectors of neighbouring pixels, in a block that stays in the L1 cache, on signed
integer keys that order as the values do, and release the GIL. Floats become keys by flipping
the magnitude bits of negative ones, so that one kernel serves all types. A missing value gets
the highest key.

They are compiled by Numba (`compiled`, `vectors`). The network also runs as NumPy calls, which
need no compiled code; the result is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.kernels.blocks import ROW, aligned
from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.network import BOTH, GROUP, MIN, NO_NETWORK, comparators, padded
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type

Array = np.ndarray[Any, Any]
#: Frames above which bisection is faster than the network, by type of a stored pixel: measured on
#: noise with outliers (`benchmarks/kernels.py`), of a spread of 12 and of 300 to 1000, for which
#: bisection takes more steps. Between both, of integers.
NETWORK_FRAMES = {"u1": 200, "i2": 128, "i4": 128, "f4": 300, "i8": 128, "f8": 512}
#: Pixels in a block of NumPy calls: large enough that the calls do not count.
_BLOCK = 4096
#: Values in such a block, where that makes it smaller.
_BLOCK_VALUES = 1 << 18
#: Pixels that are made values together.
_AT_ONCE = 16_384

#: Blocks that are filled at once, as long as they stay in the L2 cache: of a frame far from the
#: next one in memory, a few lines at a time come twice as fast as two (measured).
_BLOCKS, _BLOCKS_BYTES = 4, 1 << 18
_select_blocks = Compiled("compiled.select")
_middle_compiled = Compiled("compiled.middle")


def median(stack: Array, pixels: PixelType, *, compiled: bool = True) -> tuple[Array, Array | None]:
    """Median over the first axis of pixels as they are stored.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
        Stored pixels; dtype `pixels.stored` (big-endian) or that in native order.
    pixels : PixelType
        How to read them.
    compiled : bool
        Whether to use compiled code.

    Returns
    -------
    values : ndarray of float64, shape (n,)
        The exact median of the values that are not missing, rounded to float64 as
        ``numpy.median`` does; NaN where all are missing.
    counts : ndarray of int32, shape (n,), or None
        Values that were not missing; None where nothing can be missing.
    """
    frames, n = stack.shape
    stored = stack.dtype.newbyteorder("=")
    bits = stack.view(bits_type(stored))
    swap = SWAP and stack.dtype.str[0] == ">"
    can_miss = pixels.floating or pixels.blank is not None
    key = np.dtype(f"i{_key_size(stored.itemsize, frames)}")
    special = bits.dtype.type(_exponent_bits(stored) if pixels.floating else (pixels.blank or 0))
    low_rank, high_rank = (frames - 1) // 2, frames // 2
    use_network = frames <= NETWORK_FRAMES[stored.str[1:]]
    low, high = np.empty(n, key), np.empty(n, key)
    counts = np.empty(n if can_miss else 0, key)
    network, select = NO_NETWORK, _select_compiled if compiled else _select
    if use_network and compiled:
        more = {"sorted_first": GROUP, "rows": padded(frames)}
        network = comparators(frames, low_rank, high_rank, **more)
    elif use_network:
        network = comparators(frames, low_rank, high_rank)
    any_missing = select(
        bits,
        swap,
        2 if pixels.floating else int(can_miss),
        special,
        network,
        key,
        low,
        high,
        counts,
    )
    if compiled and not any_missing and stored.itemsize <= 4 and not pixels.scaled:
        values = np.empty(n)  # all exact in float64: in one go
        if pixels.floating:
            low, high = low.view(stored), high.view(stored)
        _middle_compiled(low, high, pixels.bzero, values)
    else:
        two = high_rank != low_rank or any_missing
        values = _middle(low, high if two else None, pixels, stored)
    del low, high  # before there is more
    if any_missing:
        values[counts == 0] = np.nan
    return values, counts.astype(np.int32) if can_miss else None


def _middle(low: Array, high: Array | None, pixels: PixelType, stored: np.dtype[Any]) -> Array:
    """float64 values of the keys in the middle; where there are two, their mean."""
    middle = np.empty(len(low))
    for start in range(0, len(low), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        values = _values(low[part], pixels, stored)
        if high is not None:
            values = _mean(values, _values(high[part], pixels, stored))
        middle[part] = values
    return middle


def scratch_bytes(frames: int, itemsize: int, pixels: int, *, compiled: bool) -> int:
    """Bytes that `median` holds besides its input and what `pixel_bytes` counts, for up to so
    many pixels."""
    key = _key_size(itemsize, frames)
    values = 32 * min(_AT_ONCE, pixels)
    if compiled:  # some blocks of keys; an image narrower than a block is widened to one
        return max(values, (1 << 19) + 1024 * frames)
    # keys, and what folds them, one copy after the other; of 8 frames and fewer also the ranks
    return values + 4 * max(frames, 8) * min(_block(frames), pixels) * key


def pixel_bytes(pixels: PixelType, frames: int, *, compiled: bool) -> int:
    """Bytes per pixel that `median` holds beside its input: the keys of both middle values, the
    float64 values, and what counts those that are missing."""
    key = _key_size(pixels.stored.itemsize, frames)
    if not (pixels.floating or pixels.blank is not None):
        return 2 * key + 8
    return 8 + key + max(2 * key, 4 + 1)


def _block(frames: int) -> int:
    """Pixels in a block of NumPy calls on so many frames."""
    return max(64, min(_BLOCK, _BLOCK_VALUES // frames))


def _key_size(itemsize: int, frames: int) -> int:
    # Ranks and counts are kept in the key's type.
    return max(itemsize, 2 if frames <= 32_000 else 4)


def _exponent_bits(stored: np.dtype[Any]) -> int:
    return 0x7F800000 if stored.itemsize == 4 else 0x7FF0000000000000


def _values(keys: Array, pixels: PixelType, stored: np.dtype[Any]) -> Array:
    """float64 values of (already unfolded) keys."""
    if pixels.floating:
        values = keys.view(stored).astype(np.float64)
    elif pixels.other_sign and pixels.bitpix == 64:
        # float64 would round twice, before and after the offset
        return (keys.view(np.uint64) ^ np.uint64(1 << 63)).astype(np.float64)
    else:
        values = keys.astype(np.float64)
    if pixels.bscale != 1.0:
        values *= pixels.bscale
    values += pixels.bzero  # also turns -0.0 into 0.0
    return values


def _mean(a: Array, b: Array) -> Array:
    with np.errstate(over="ignore"):
        total: Array = a + b
    overflow = np.isinf(total)
    total *= 0.5
    if overflow.any():
        total[overflow] = a[overflow] * 0.5 + b[overflow] * 0.5
    return total


def _select(
    bits: Array,
    swap: bool,
    mode: int,
    special: Any,
    network: Array,
    key: np.dtype[Any],
    low: Array,
    high: Array,
    counts: Array,
) -> bool:
    """Middle values of each column of `bits` into `low` and `high`; whether any was missing.

    `mode` 0: integers, none missing; 1: integers, missing where equal to `special`;
    2: floats, missing where all bits of `special` (the exponent) are set.
    """
    frames, n = bits.shape
    top = np.iinfo(key).max
    any_missing = False
    step = _block(frames)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        x = (bits[:, part].byteswap() if swap else bits[:, part]).astype(key)
        missing = False
        if mode:
            bad = x == special if mode == 1 else (x & special) == special
            if mode == 2:
                x = _fold(x)
            x[bad] = top
            counts[part] = frames - np.count_nonzero(bad, axis=0).astype(key)
            missing = bool(bad.any())
            any_missing |= missing
        if network.shape[1] and not missing:
            low[part], high[part] = _run_network(x, network)
        else:
            x.sort(axis=0)
            m = counts[part] if mode else np.full(x.shape[1], frames)
            ranks = np.stack([np.maximum(m - 1, 0) // 2, np.minimum(m // 2, frames - 1)])
            low[part], high[part] = np.take_along_axis(x, ranks, axis=0)
        if mode == 2:
            low[part], high[part] = _fold(low[part]), _fold(high[part])
    return any_missing


def _select_compiled(
    bits: Array,
    swap: bool,
    mode: int,
    special: Any,
    network: Array,
    key: np.dtype[Any],
    low: Array,
    high: Array,
    counts: Array,
) -> bool:
    """`_select`; `network` is without the comparators that sort groups."""
    frames, n = bits.shape
    width = ROW // key.itemsize
    if n < width:
        wide = np.hstack([bits, np.zeros((frames, width - n), bits.dtype)])
        found = [np.empty(width if len(x) else 0, key) for x in (low, high, counts)]
        any_missing = _select_compiled(wide, swap, mode, special, network, key, *found)
        for x, y in zip((low, high, counts), found, strict=True):
            x[:] = y[: len(x)]
        return any_missing
    blocks = max(1, min(_BLOCKS, _BLOCKS_BYTES // (frames * ROW), n // width))
    rows, top = padded(frames), key.type(np.iinfo(key).max)
    x = aligned((blocks * rows, width), key)
    x.reshape(blocks, rows, width)[:, frames:] = top
    any_missing = _select_blocks(
        bits,
        swap,
        mode,
        key.type(special),
        network,
        x,
        blocks,
        top,
        low[None],
        high[None],
        counts[None],
    )
    np.subtract(frames, counts, out=counts)
    return bool(any_missing)


def _fold(x: Array) -> Array:
    """Float bits to keys that order as the floats do, and back."""
    folded: Array = x ^ ((x >> (8 * x.itemsize - 1)) & x.dtype.type(np.iinfo(x.dtype).max))
    return folded


def _run_network(x: Array, network: Array) -> tuple[Array, Array]:
    """The lower and the upper median of each column; `x` is used up."""
    spare = np.empty_like(x[0])
    rows = list(x)
    for a, b, which in network.tolist():
        if which == BOTH:
            np.minimum(rows[a], rows[b], out=spare)
            np.maximum(rows[a], rows[b], out=rows[b])
            rows[a], spare = spare, rows[a]
        elif which == MIN:
            np.minimum(rows[a], rows[b], out=rows[a])
        else:
            np.maximum(rows[a], rows[b], out=rows[b])
    return rows[(len(rows) - 1) // 2], rows[len(rows) // 2]
