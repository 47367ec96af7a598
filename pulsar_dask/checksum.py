"""FITS checksums: FITS standard 4.0, section 4.4.2.7 and appendix J.

A sum of 32-bit words in ones' complement does not care in which order they come, so parts of a
file are summed where they are read or written and added up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def word_sum(data: Array, offset: int) -> int:
    """Sum of big-endian 32-bit words, modulo 2**32 - 1 up to `fold`, for bytes that begin
    anywhere in a file whose words begin at `offset` 0."""
    before = offset % 4
    after = -(len(data) + before) % 4
    if before or after:
        data = np.concatenate([np.zeros(before, "u1"), data, np.zeros(after, "u1")])
    return int(data.view(">u4").sum(dtype=np.uint64))


def fold(total: int) -> int:
    """Ones' complement sum: carries are added back in."""
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
