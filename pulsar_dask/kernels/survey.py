"""What is seen of all pixels of each frame while they are in memory: number, the two highest
values and how often they occur, how many reach a limit, and the lowest bit that is ever set.

All of it adds up over tiles, whatever their order: the two highest values of an image are among
the two highest of the tiles that hold them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.kernels.native import Compiled, if_loaded
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type

Array = np.ndarray[Any, Any]
#: Columns of `look`: how many are not missing, the highest value, its count, the next one, its
#: count, how many reach the limit, the lowest bit that is set (merged: and others). Values are
#: keys: stored integers, or the bits of floats so that they order.
NUMBER, TOP, TOP_COUNT, NEXT, NEXT_COUNT, OVER, LOWEST_BIT = range(7)
#: Bytes of what is seen of a frame.
EACH = 8 * 7
#: No limit.
NO_LIMIT = -(1 << 63)
#: Pixels of a run: the highest values of all runs are known before any is counted, as only few hold
#: the two highest of all.
RUN = 2048
#: Pixels that are looked at together without compiled code.
_BLOCK = 65_536
_look = Compiled("survey_compiled.look")


def nothing_seen(frames: int) -> Array:
    """What has been seen before the first pixel."""
    return np.zeros((frames, 7), np.int64)


@dataclass(frozen=True)
class Looking:
    """A look at frames: how, and what was seen of them so far."""

    seen: Array
    """Shape (frames, 7); goes on being filled."""
    pixels: PixelType
    limit: float | None
    compiled: bool

    def over(self, images: Array) -> Look:
        """At an image of each, as soon as it is there."""
        stack = images.reshape(len(self.seen), -1)
        arguments = _arguments(stack, self.pixels, self.seen, slice(None), self.limit)
        compiled = self.compiled and if_loaded(_look) is not None
        return Look(arguments, _look.prepared(*arguments) if compiled else None, self.seen)


@dataclass(frozen=True)
class Look:
    """A look at images that are read one after the other."""

    arguments: tuple[Any, ...]
    """The arrays are kept by them."""
    code: tuple[int, Array] | None
    """See `native.Compiled.prepared`."""
    seen: Array
    first: int = 0

    def of(self, part: slice) -> Look:
        """At some of them."""
        return Look(self.arguments, self.code, self.seen[part], self.first + part.start)

    def at(self) -> None:
        """Look at them."""
        last = self.first + len(self.seen)
        _do(*self.arguments[:-2], self.first, last, compiled=self.code is not None)

    def prepared(self) -> tuple[int, Array] | None:
        """A look at each image for `sumcode.read_rows`, where compiled code is loaded."""
        if self.code is not None:
            self.code[1][-2] = self.first
        return self.code

    def forget(self) -> None:
        """What was seen of them."""
        self.seen[:] = 0


def look(
    stack: Array,
    pixels: PixelType,
    seen: Array,
    *,
    part: slice = slice(None),
    limit: float | None = None,
    compiled: bool = True,
) -> None:
    """Add pixels as they are stored to what has been seen.

    Parameters
    ----------
    stack : ndarray, shape (frames, n), C-contiguous
    pixels : PixelType
        How to read them.
    seen : ndarray of int64, shape (frames, 7)
    part : slice
        The columns to look at, without a step.
    limit : float, optional
        The value from which pixels are counted as those that reach it.
    compiled : bool
        Whether to use compiled code, where that is loaded (`loading.warm_up`).
    """
    _do(*_arguments(stack, pixels, seen, part, limit), compiled=compiled)


def _do(*arguments: Any, compiled: bool) -> None:
    code = if_loaded(_look) if compiled else None
    if code is not None:
        code(*arguments)
        return
    bits, swap, mode, special, _, bound, _, seen, _, _, start, stop, first, last = arguments
    for begin in range(start, stop, _BLOCK):
        block = bits[first:last, begin : min(stop, begin + _BLOCK)]
        for row, values in zip(seen[first:last], block.byteswap() if swap else block, strict=True):
            _look_at(row, values.astype(special.dtype), mode, special, bound)


def _arguments(
    stack: Array, pixels: PixelType, seen: Array, part: slice, limit: float | None
) -> tuple[Any, ...]:
    """See `survey_compiled.look`."""
    bits, swap, mode, special, top, bound = _constants(stack.dtype, pixels, limit)
    start, stop, _ = part.indices(stack.shape[1])
    spare = np.empty((1, -(-(stop - start) // RUN)), special.dtype)
    how = stack.view(bits), swap, mode, special, top, bound, spare
    return *how, seen, start, stop, start, stop, 0, len(seen)


@functools.lru_cache(maxsize=64)
def _constants(
    dtype: np.dtype[Any], pixels: PixelType, limit: float | None
) -> tuple[Any, bool, int, Any, Any, int]:
    """How pixels are read: the type of their bits, whether bytes are swapped, `mode`, `special`
    and `top` as in `survey_compiled`, and the key of the limit."""
    size = dtype.itemsize
    key = np.dtype(f"i{max(size, 2)}")
    mode = 2 if pixels.floating else int(pixels.blank is not None)
    exponent = 0x7F800000 if size == 4 else 0x7FF0000000000000
    special = key.type(exponent if mode == 2 else (pixels.blank or 0))
    bits = bits_type(dtype)
    swap = SWAP and dtype.str[0] == ">"
    top = key.type(np.iinfo(key).max)
    return bits, swap, mode, special, top, _limit_key(limit, pixels, key)


def _look_at(row: Array, values: Array, mode: int, special: Any, bound: int) -> None:
    if mode:
        values = values[(values if mode == 1 else values & special) != special]
    if not len(values):
        return
    keys = values
    if mode == 2:
        keys = values ^ ((values >> (values.itemsize * 8 - 1)) & np.iinfo(values.dtype).max)
    row[NUMBER] += len(values)
    if mode != 2:
        bits = int(row[LOWEST_BIT]) | int(np.bitwise_or.reduce(values))
        row[LOWEST_BIT] = bits & -bits
    top = int(keys.max())
    if row[NEXT_COUNT] and top < row[NEXT] and (bound == NO_LIMIT or top < bound):
        return
    if bound != NO_LIMIT:
        row[OVER] += int(np.count_nonzero(keys >= bound))
    _merge(row, top, int(np.count_nonzero(keys == top)))
    below = keys[keys < top]
    if len(below):
        _merge(row, int(below.max()), int(np.count_nonzero(below == below.max())))


def merge(seen: Array, *more: Array) -> None:
    """Add what was seen elsewhere, of the same frames."""
    for each in more:
        seen[:, NUMBER] += each[:, NUMBER]
        seen[:, OVER] += each[:, OVER]
        seen[:, LOWEST_BIT] |= each[:, LOWEST_BIT]
    values = np.hstack([each[:, TOP:OVER:2] for each in (seen, *more)])
    counts = np.hstack([each[:, TOP_COUNT:OVER:2] for each in (seen, *more)])
    for first in (TOP, NEXT):
        best = np.where(counts > 0, values, np.iinfo(np.int64).min).max(axis=1)
        same = (values == best[:, None]) & (counts > 0)
        n = (counts * same).sum(axis=1)
        seen[:, first], seen[:, first + 1] = np.where(n > 0, best, 0), n
        counts[same] = 0


def _merge(row: Array, value: int, n: int) -> None:
    """A value that occurs so many times among the two highest that there are."""
    known = {int(row[TOP]): int(row[TOP_COUNT]), int(row[NEXT]): int(row[NEXT_COUNT])}
    if row[TOP] == row[NEXT] and row[TOP_COUNT]:
        known[int(row[TOP])] = int(row[TOP_COUNT])
    known[value] = known.get(value, 0) + n
    best = sorted((v for v, count in known.items() if count), reverse=True)[:2]
    row[TOP : NEXT_COUNT + 1] = 0
    for place, v in zip((TOP, NEXT), best, strict=False):
        row[place], row[place + 1] = v, known[v]


def _limit_key(limit: float | None, pixels: PixelType, key: np.dtype[Any]) -> int:
    """The lowest key whose value reaches a limit."""
    if limit is None or not math.isfinite(limit) or pixels.bscale <= 0:
        return NO_LIMIT
    stored = (limit - pixels.bzero) / pixels.bscale
    ends = np.iinfo(key)
    if not pixels.floating:
        return int(min(max(math.ceil(stored), ends.min + 1), ends.max))
    with np.errstate(over="ignore"):
        bits = int(np.array([stored], f"f{key.itemsize}").view(key)[0])
    return bits ^ ends.max if bits < 0 else bits


@dataclass(frozen=True)
class Seen:
    """What was seen of a frame, in values rather than keys."""

    number: int
    """Pixels that are not missing."""
    top: float
    """The highest value; NaN where there is none."""
    top_count: int
    next: float
    next_count: int
    over: int | None
    """Pixels that reach the limit; None where there is none."""
    shift: int
    """How many of the lowest bits are never set."""

    @staticmethod
    def of(row: Array, pixels: PixelType, *, limit: bool) -> Seen:
        n = int(row[NUMBER])
        top, after = (_value(int(row[k]), pixels) for k in (TOP, NEXT))
        bits = int(row[LOWEST_BIT]) & 0xFFFF
        shift = (bits & -bits).bit_length() - 1 if bits and not pixels.floating else 0
        return Seen(
            n,
            top if row[TOP_COUNT] else math.nan,
            int(row[TOP_COUNT]),
            after if row[NEXT_COUNT] else math.nan,
            int(row[NEXT_COUNT]),
            int(row[OVER]) if limit else None,
            shift if pixels.bzero % (1 << shift) == 0 else 0,
        )


def _value(key: int, pixels: PixelType) -> float:
    value: float = key
    if pixels.floating:
        size = pixels.stored.itemsize
        bits = key ^ ((1 << (8 * size - 1)) - 1) if key < 0 else key
        value = float(np.array([bits], f"i{size}").view(f"f{size}")[0])
    return value * pixels.bscale + pixels.bzero
