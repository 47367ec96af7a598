"""FITS checksums: FITS standard 4.0, section 4.4.2.7 and appendix J.

A sum of 32-bit words in ones' complement does not care in which order they come, so parts of a
file are summed where they are read or written and added up.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.kernels import if_loaded

Array = np.ndarray[Any, Any]
#: What an HDU sums up to that has the right CHECKSUM: zero, as ones' complement has it when
#: anything was added.
MINUS_ZERO = 0xFFFFFFFF
_STRETCH = 4 << 20


def word_sum(data: Array, offset: int = 0) -> int:
    """Sum of big-endian 32-bit words.

    Parameters
    ----------
    data : ndarray of uint8, contiguous
    offset : int
        Where the bytes lie in a data unit, whose words begin at 0.

    Returns
    -------
    int
        Modulo 2**32 - 1, as `fold` makes it.
    """
    whole = len(data) // 4 * 4
    words = data[:whole].view(">u4")
    # where compiled code is loaded it is three times as fast
    compiled = if_loaded("word_sum")
    if compiled is not None and words.flags.aligned:
        total = int(compiled(words.view("u4"), sys.byteorder == "little"))
    else:
        total = int(words.sum(dtype=np.uint64))
    return turned(total + int.from_bytes(data[whole:].tobytes().ljust(4, b"\0"), "big"), offset)


def turned(total: int, offset: int) -> int:
    """A sum of words that began at some byte of a data unit, as one of its own words.

    A rotation in ones' complement is a multiplication.
    """
    turn = 8 * (offset % 4)
    total = fold(total)
    return (total >> turn) | (total << (32 - turn) & 0xFFFFFFFF)


def file_sum(path: str) -> int:
    """`word_sum` of a whole file."""
    with open(path, "rb") as file:
        parts = iter(lambda: file.read(_STRETCH), b"")
        return fold(sum(word_sum(np.frombuffer(part, np.uint8)) for part in parts))


class Ledger:
    """Sums of data units, added up from parts as they are read, in any order and any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, total: int, count: int) -> None:
        """Add the sum of `count` bytes."""
        self.add_all([name], [total], count)

    def add_all(self, names: Sequence[str], totals: Sequence[int], count: int) -> None:
        """Add the sums of `count` bytes of each."""
        with self._lock:
            for name, total in zip(names, totals, strict=True):
                self._sums[name] = self._sums.get(name, 0) + total
                self._counts[name] = self._counts.get(name, 0) + count

    def sum(self, name: str, length: int) -> int | None:
        """The sum of a data unit; None unless just its bytes were counted, each once."""
        return fold(self._sums[name]) if self._counts.get(name) == length else None

    def pack(self, names: Sequence[str]) -> tuple[Array, Array]:
        """Sums and counts as small arrays, to send; one count where all are equal."""
        counts = np.array([self._counts.get(name, 0) for name in names], np.int64)
        if len(counts) and (counts == counts[0]).all():
            counts = counts[:1]
        return np.array([fold(self._sums.get(name, 0)) for name in names], np.uint32), counts

    def unpack(self, names: Sequence[str], packed: tuple[Array, Array]) -> None:
        """Add what another ledger packed."""
        sums, counts = packed
        counts = np.broadcast_to(counts, len(sums))
        for name, total, count in zip(names, sums.tolist(), counts.tolist(), strict=True):
            self.add(name, total, count)


def fold(total: int) -> int:
    """Ones' complement sum: carries are added back in.

    >>> hex(fold(0x1_FFFFFFFF))
    '0x1'
    """
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def encode_checksum(value: int) -> str:
    """16 letters and digits that stand for a 32-bit checksum (appendix J.2).

    >>> encode_checksum(868229149)
    '7Bf889Z87Af877Z8'
    """
    excluded = b":;<=>?@[\\]^_`"
    letters = bytearray(16)
    for i in range(4):
        byte = (value >> (24 - 8 * i)) & 0xFF
        quarters = [byte // 4 + 48] * 4
        quarters[0] += byte % 4
        while any(q in excluded for q in quarters):
            for j in (0, 2):
                if quarters[j] in excluded or quarters[j + 1] in excluded:
                    quarters[j] += 1
                    quarters[j + 1] -= 1
        for j in range(4):
            letters[4 * j + i] = quarters[j]
    return (letters[-1:] + letters[:-1]).decode("ascii")
