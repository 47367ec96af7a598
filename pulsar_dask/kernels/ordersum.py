"""A sum of a data unit that sees in which order its words come, which DATASUM does not.

Word i counts ``WEIGHTS[i % 720] * STEP**(i // 720)`` times, modulo the prime 2**61 - 1; a block
of 720 words is 2880 bytes, a record of FITS. So it is added up from parts in any order, each of
which knows where it lies, and moving data by whole blocks multiplies it. Two different words that
change places always change it, in up to 48 GB: no two places there weigh the same, and a product
of two numbers that are not 0 is not 0 modulo a prime. Of any other change (rows or planes
exchanged, turned round, moved) it misses one in 2**61 where blocks mix, and within one block, at
worst (two pairs of words whose tiny differences cancel), one in 2**26. It is no cryptographic sum:
who wants to make another file with the same sums can.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import mul
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
PRIME = (1 << 61) - 1
#: Words, and bytes, of a block.
BLOCK_WORDS, BLOCK_BYTES = 720, 2880
_MULTIPLIER = 6364136223846793005  # Knuth's, of his congruential generator
#: By what a word counts more, one block further on.
STEP = _MULTIPLIER**2 % PRIME
#: Of the words in a block: the upper bits of that generator's numbers, all different. With 26 bits
#: 45 products add up to less than 2**64, and 720 of them with 16-bit numbers to less than 2**53.
WEIGHTS = np.array([pow(_MULTIPLIER, i, 1 << 64) >> 38 for i in range(1, 721)], np.uint32)
#: Blocks that are turned into numbers at a time, so that they stay in the cache.
_MANY = 32
_POWERS = [pow(STEP, i, PRIME) for i in range(_MANY + 1)]


def moved(order: int, offset: int) -> int:
    """The sum of data as it is where they begin `offset` bytes later, a whole number of blocks."""
    return order * pow(STEP, offset // BLOCK_BYTES, PRIME) % PRIME


def sums_of_words(data: Array, offset: int) -> tuple[int, int]:
    """The plain sum of the 32-bit words of a data unit that `data` fill or touch, not folded, and
    the one that sees order. `sumcode.byte_sums` is the same in compiled code.

    Parameters
    ----------
    data : ndarray of uint8, contiguous
    offset : int
        Where they begin in the data unit.
    """
    words = order = 0
    at, end = 0, len(data)
    # whole blocks lie between what begins and ends within one
    first = min(end, -offset % BLOCK_BYTES)
    last = first + (end - first) // BLOCK_BYTES * BLOCK_BYTES
    factor = pow(STEP, offset // BLOCK_BYTES, PRIME)
    for stop in _stops(first, last, end):
        part = data[at:stop]
        before = (offset + at) % BLOCK_BYTES
        if before or len(part) % BLOCK_BYTES:
            whole = np.zeros(BLOCK_BYTES, np.uint8)
            whole[before : before + len(part)] = part
            part = whole
        halves = part.view(">u2").reshape(-1, 2 * BLOCK_WORDS).astype(np.float64)
        # all exact: less than 2**53
        sums = (halves @ _columns()).astype(np.int64)
        high, low, heavy_high, heavy_low = sums.T.tolist()
        words += (sum(high) << 16) + sum(low)
        heavy = (sum(map(mul, heavy_high, _POWERS)) << 16) + sum(map(mul, heavy_low, _POWERS))
        order += heavy * factor
        factor = factor * _POWERS[len(high)] % PRIME
        at = stop
    return words, order % PRIME


def _stops(first: int, last: int, end: int) -> Iterable[int]:
    """Where parts end that lie in one block, or are a stretch of whole ones."""
    step = _MANY * BLOCK_BYTES
    if first:
        yield first
    yield from range(first + step, last, step)
    if last > first:
        yield last
    if end > last:
        yield end


@functools.lru_cache(maxsize=1)
def _columns() -> Array:
    """What adds up the 16-bit halves of a block: upper ones, lower ones, both with weights."""
    columns = np.zeros((BLOCK_WORDS, 2, 4))
    columns[:, 0, 0] = columns[:, 1, 1] = 1
    columns[:, 0, 2] = columns[:, 1, 3] = WEIGHTS
    return columns.reshape(-1, 4)


@dataclass(frozen=True, slots=True)
class Sums:
    """Both sums of bytes of a data unit; of parts of one they add up."""

    words: int = 0
    """In ones' complement, as DATASUM; see `fold`."""
    order: int = 0
    """The one that sees the order; see `ordersum`."""

    def __add__(self, other: Sums) -> Sums:
        return Sums(fold(self.words + other.words), (self.order + other.order) % PRIME)

    @property
    def text(self) -> str:
        """As a header has them, always of one length."""
        return f"{self.words:010} {self.order:016x}"

    def later(self, offset: int) -> Sums:
        """The same data, where what they lie in begins so many bytes before, whole blocks."""
        return Sums(self.words, moved(self.order, offset))


def order_in(value: object) -> tuple[int, int] | None:
    """What `Sums.text` says; None where it is something else."""
    found = re.fullmatch(r"(\d{10}) ([0-9a-f]{16})", str(value).strip(), re.ASCII)
    return (int(found[1]), int(found[2], 16)) if found else None


def fold(total: int) -> int:
    """Ones' complement sum: carries are added back in.

    >>> hex(fold(0x1_FFFFFFFF))
    '0x1'
    """
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
