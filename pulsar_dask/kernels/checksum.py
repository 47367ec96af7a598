"""FITS checksums (FITS standard 4.0, section 4.4.2.7 and appendix J), and beside them sums that see
the order of the words, see `ordersum`.

A sum of 32-bit words in ones' complement does not care in which order they come, so parts of a
file are summed where they are read or written and added up; so are the others, as each part knows
where it lies.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from pulsar_dask.kernels.native import Compiled, if_loaded
from pulsar_dask.kernels.ordersum import (
    BLOCK_BYTES,
    PRIME,
    WEIGHTS,
    Sums,
    fold,
    order_in,
    sums_of_words,
)

Array = np.ndarray[Any, Any]
#: Keyword in a master: DATASUM and the sum that sees the order of the data.
ORDER_CARD = "DATAORD"
#: What an HDU sums up to that has the right CHECKSUM: zero, as ones' complement has it when
#: anything was added.
MINUS_ZERO = 0xFFFFFFFF
_STRETCH = 4 << 20
_END = b"END".ljust(80)
byte_sums, read_rows = Compiled("sumcode.byte_sums"), Compiled("sumcode.read_rows")


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
    if code := if_loaded(byte_sums):
        words, order = code(rows.ctypes.data, *rows.shape, rows.strides[0], offset, step, WEIGHTS)
        return Sums(fold(words), order % PRIME)
    words = order = 0
    for i, row in enumerate(rows):
        more, weighed = sums_of_words(row, offset + i * step)
        words, order = words + more, order + weighed
    return Sums(fold(words), order % PRIME)


def word_sum(data: Array, offset: int = 0) -> int:
    """`Sums.words` alone, of bytes (ndarray of uint8) that begin at some byte of a data unit."""
    return both_sums(data, offset).words


def file_sums(path: str) -> Sums:
    """`both_sums` of a whole file."""
    with open(path, "rb") as file:
        return _sums_of(file)


class Summing:
    """`both_sums` of bytes that come one after the other."""

    def __init__(self) -> None:
        self.sums, self._at = Sums(), 0

    def add(self, part: bytes) -> None:
        self.sums += both_sums(np.frombuffer(part, np.uint8), self._at)
        self._at += len(part)


def _sums_of(file: BinaryIO) -> Sums:
    found = Summing()
    while part := file.read(_STRETCH):
        found.add(part)
    return found.sums


def is_as_written(path: str) -> bool:
    """`adds_up` of a file."""
    with open(path, "rb") as file:  # once: another file may get the name meanwhile
        return adds_up(file)


def adds_up(file: BinaryIO) -> bool:
    """Whether the words of a FITS file with CHECKSUM, and nothing behind its HDUs, add up, and
    lie in the order that it states; a program that changes pixels may make CHECKSUM anew, and one
    that adds an HDU gives it one. A file has one HDU, and as many more as NEXTEND says."""
    stated, hdus, old = Sums(), 0, False
    file.seek(0)
    found = _sums_of(file)
    if found.words != MINUS_ZERO:
        return False
    end = file.tell()
    file.seek(0)
    while (start := file.tell()) < end:
        cards = iter(functools.partial(file.read, 80), b"")
        head = {card[:8].rstrip(): card for card in itertools.takewhile(_END.__ne__, cards)}
        if not hdus:
            wanted = 1 + _number(head, b"NEXTEND")
        hdus += 1
        data = -(-file.tell() // BLOCK_BYTES) * BLOCK_BYTES
        file.seek(start)
        stated += both_sums(np.frombuffer(file.read(data - start), np.uint8)).later(start)
        if size := _data_bytes(head):
            order = order_in(head.get(ORDER_CARD.encode(), b"")[11:38].decode("ascii", "replace"))
            if order is None and hdus > 1:
                return False
            old = order is None  # of the first versions
            stated += Sums(*order).later(data) if order else Sums()
        file.seek(data + -(-size // BLOCK_BYTES) * BLOCK_BYTES)
    return hdus == wanted and (old or found.order == stated.order)


def _data_bytes(head: Mapping[bytes, bytes]) -> int:
    """Bytes of the image whose header has these cards."""
    axes = _number(head, b"NAXIS")
    lengths = (_number(head, b"NAXIS%d" % i) for i in range(1, axes + 1))
    return math.prod(lengths) * abs(_number(head, b"BITPIX")) // 8 if axes else 0


def _number(head: Mapping[bytes, bytes], keyword: bytes) -> int:
    text = head.get(keyword, b"")[10:30].strip()
    return int(text) if text.lstrip(b"-").isdigit() else 0


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
