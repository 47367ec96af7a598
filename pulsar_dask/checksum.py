"""FITS checksums (FITS standard 4.0, section 4.4.2.7 and appendix J), and beside them sums that see
the order of the words, see `ordersum`.

A sum of 32-bit words in ones' complement does not care in which order they come, so parts of a
file are summed where they are read or written and added up; so are the others, as each part knows
where it lies.
"""

from __future__ import annotations

import functools
import itertools
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from pulsar_dask.kernels import if_loaded
from pulsar_dask.ordersum import BLOCK_BYTES, PRIME, WEIGHTS, moved, sums_of_words

Array = np.ndarray[Any, Any]
#: Keyword in a master: DATASUM and the sum that sees the order of the data.
ORDER_CARD = "DATAORD"
#: What an HDU sums up to that has the right CHECKSUM: zero, as ones' complement has it when
#: anything was added.
MINUS_ZERO = 0xFFFFFFFF
_STRETCH = 4 << 20
_END = b"END".ljust(80)


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


def both_sums(data: Array, offset: int = 0, *, step: int = 0) -> Sums:
    """The sums of bytes of a data unit.

    Parameters
    ----------
    data : ndarray of uint8, shape (length,) or (rows, length)
        The bytes of a row lie together.
    offset : int
        Where the first one lies in the data unit, whose words begin at 0.
    step : int
        Bytes from one row to the next in the data unit.
    """
    rows = data if data.ndim == 2 else data[None]
    compiled = if_loaded("byte_sums", "sumcode")
    if compiled is not None:
        words, order = map(
            int, compiled(rows.ctypes.data, *rows.shape, rows.strides[0], offset, step, WEIGHTS)
        )
        return Sums(fold(words), order % PRIME)
    words = order = 0
    for i, row in enumerate(rows):
        more, weighed = sums_of_words(row, offset + i * step)
        words, order = words + more, order + weighed
    return Sums(fold(words), order % PRIME)


def word_sum(data: Array, offset: int = 0) -> int:
    """`Sums.words` alone, of bytes (ndarray of uint8) that begin at some byte of a data unit."""
    return both_sums(data, offset).words


def order_in(value: object) -> tuple[int, int] | None:
    """What `Sums.text` says; None where it is something else."""
    found = re.fullmatch(r"(\d{10}) ([0-9a-f]{16})", str(value).strip(), re.ASCII)
    return (int(found[1]), int(found[2], 16)) if found else None


def file_sums(path: str) -> Sums:
    """`both_sums` of a whole file."""
    with open(path, "rb") as file:
        return _sums_of(file)


def _sums_of(file: BinaryIO) -> Sums:
    total, at = Sums(), 0
    while part := file.read(_STRETCH):
        total += both_sums(np.frombuffer(part, np.uint8), at)
        at += len(part)
    return total


def is_as_written(path: str) -> bool:
    """Whether the words of a FITS file with CHECKSUM, and nothing behind its one HDU, add up, and
    lie in the order that it states; a program that changes pixels may make CHECKSUM anew."""
    with open(path, "rb") as file:  # once: another file may get the name meanwhile
        found = _sums_of(file)
        if found.words != MINUS_ZERO:
            return False
        file.seek(0)
        cards = iter(functools.partial(file.read, 80), b"")
        head = list(itertools.takewhile(_END.__ne__, cards))
        stated = next((c for c in head if c.startswith(ORDER_CARD.ljust(8).encode() + b"= '")), b"")
        order = order_in(stated[11:38].decode("ascii", "replace"))
        if order is None:  # of the first versions
            return True
        start = -(-80 * (len(head) + 1) // BLOCK_BYTES) * BLOCK_BYTES
        file.seek(0)
        text = np.frombuffer(file.read(start), np.uint8)
    return found.order == (both_sums(text) + Sums(*order).later(start)).order


class Ledger:
    """Sums of data units, added up from parts as they are read, in any order and any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, tuple[int, int]] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, total: int, count: int, order: int = 0) -> None:
        """Add the sums of `count` bytes."""
        self.add_all([name], [(total, order)], count)

    def add_all(self, names: Sequence[str], totals: Sequence[Sequence[int]], count: int) -> None:
        """Add the sums of `count` bytes of each."""
        with self._lock:
            for name, (words, order) in zip(names, totals, strict=True):
                before = self._sums.get(name, (0, 0))
                self._sums[name] = before[0] + words, (before[1] + order) % PRIME
                self._counts[name] = self._counts.get(name, 0) + count

    def sums(self, name: str, length: int) -> Sums | None:
        """The sums of a data unit; None unless just its bytes were counted, each once."""
        if self._counts.get(name) != length:
            return None
        words, order = self._sums[name]
        return Sums(fold(words), order)

    def sum(self, name: str, length: int) -> int | None:
        """Of those the one that DATASUM is."""
        found = self.sums(name, length)
        return found.words if found else None

    def pack(self, names: Sequence[str]) -> tuple[Array, Array, Array]:
        """Sums and counts as small arrays, to send; one count where all are equal."""
        counts = np.array([self._counts.get(name, 0) for name in names], np.int64)
        if len(counts) and (counts == counts[0]).all():
            counts = counts[:1]
        sums = [self._sums.get(name, (0, 0)) for name in names]
        words = np.array([fold(total) for total, _ in sums], np.uint32)
        return words, np.array([order for _, order in sums], np.uint64), counts

    def unpack(self, names: Sequence[str], packed: tuple[Array, Array, Array]) -> None:
        """Add what another ledger packed."""
        words, orders, counts = packed
        counts = np.broadcast_to(counts, len(words))
        for name, *sums, count in zip(
            names, words.tolist(), orders.tolist(), counts.tolist(), strict=True
        ):
            self.add_all([name], [sums], count)


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
