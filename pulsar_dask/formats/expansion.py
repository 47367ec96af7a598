"""Compressed tiles that hold more than their headers say."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

from pulsar_dask.formats.tables import Coding

_STEP = 1 << 20


def check_expansion(
    coding: Coding, rows: Sequence[int], read: Callable[[int, int], bytes], *, most: int, end: int
) -> None:
    """Raise ValueError where a gzipped compression tile holds more than its pixels.

    It is expanded for that in small parts, which are forgotten: what then decodes it would hold
    all of it, a thousand times its bytes.

    Parameters
    ----------
    coding : Coding
    rows : sequence of int
        Those of the table, a tile each.
    read : function
        Gives so many bytes (the second number) of the file from a place on (the first).
    most : int
        Bytes of a tile's pixels.
    end : int
        Bytes of the file.
    """
    for row in rows:
        start = coding.rows + row * coding.row_bytes
        for column, wide in coding.gzipped:
            size = 8 if wide else 4
            pair = read(start + column, 2 * size)
            length, place = (int.from_bytes(pair[i : i + size]) for i in (0, size))
            if coding.heap + place + length > end:
                raise ValueError("a compressed tile lies outside the file")
            if length and _expanded_size(read, coding.heap + place, length, most) > most:
                raise ValueError("a compressed tile expands to more than its pixels")


def _expanded_size(read: Callable[[int, int], bytes], start: int, length: int, most: int) -> int:
    """Bytes of some gzip members, as far as needed to know whether they are more than `most`."""
    total, member = 0, zlib.decompressobj(31)
    for part in _parts(read, start, length):
        while part:
            total += len(member.decompress(part, _STEP))
            if total > most:
                return total
            part = member.unconsumed_tail
            if member.eof:
                part, member = member.unused_data, zlib.decompressobj(31)
    return total


def _parts(read: Callable[[int, int], bytes], start: int, length: int) -> Iterator[bytes]:
    for place in range(start, start + length, _STEP):
        yield read(place, min(_STEP, start + length - place))
