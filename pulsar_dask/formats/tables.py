"""The binary table that holds a tile-compressed image (FITS standard 4.0, section 10), and tiles
in it that hold more than their headers say."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from astropy.io import fits

from pulsar_dask.errors import refusal
from pulsar_dask.formats.hdus import Hdu, integer
from pulsar_dask.formats.values import Keywords, Lines


@dataclass(frozen=True, slots=True)
class RiceTable:
    """Where the Rice-coded tiles of an image lie: rows of a binary table that point into its
    heap (FITS standard 4.0, section 10.1)."""

    rows: int
    """Byte in the file at which the table begins."""
    row_bytes: int
    column: int
    """Byte in a row at which (length, offset) of a tile stand."""
    wide: bool
    """Whether those are 64-bit numbers."""
    heap: int
    """Byte in the file at which the heap begins."""
    block: int
    """Pixels in a coding block."""
    bytepix: int
    """Bytes of a coded pixel."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How an image's tiles are compressed (FITS standard 4.0, section 10.1)."""

    algorithm: str
    depth: int
    """Planes of a tile."""
    quantised: bool
    """Whether floats are coded as integers with a scale for each tile."""
    mixed: bool
    """Whether some tiles may be coded by another algorithm."""
    rows: int
    """Byte in the file at which the table of tiles begins."""
    row_bytes: int
    heap: int
    """Byte in the file at which the heap begins."""
    gzipped: tuple[tuple[int, bool], ...]
    """Columns that point to gzipped tiles: byte in a row, whether the numbers are of 64 bits."""


#: Neither do the algorithms for tiles, but for two that code a plain area as one number.
_TILE_RATIO = 4096
_PLAIN_RATIO = 10**6
_PLAIN_CODED = ("HCOMPRESS_1", "PLIO_1")


def check_tiles(hdu: Hdu, lengths: list[int], bitpix: int, size: int, path: str) -> None:
    """Refuse an image that its table of tiles, or a file so small, cannot hold."""
    header, tiles = hdu.lines, 1
    for i, length in enumerate(lengths, 1):
        step = integer(header, f"ZTILE{i}", path, length if i == 1 else 1)
        tiles *= -(-length // max(1, step))
    rows = integer(header, "NAXIS2", path)
    if rows < tiles:
        raise refusal(path, f"damaged, its table has {rows} rows for {tiles} compression tiles")
    plain = str(Keywords(header).get("ZCMPTYPE")).strip() in _PLAIN_CODED
    least = math.prod(lengths) * abs(bitpix) // 8 // (_PLAIN_RATIO if plain else _TILE_RATIO)
    if size < least:
        raise refusal(path, f"truncated, {size} bytes of at least {least}")


#: Bytes of a table's column by the letter of its TFORM (FITS standard 4.0, table 18).
_COLUMN_BYTES = dict(
    zip("LXBAIJKEDCMPQ", (1, 1 / 8, 1, 1, 2, 4, 8, 4, 8, 8, 16, 8, 16), strict=True)
)


def rice_table(hdu: Hdu, path: str) -> RiceTable | None:
    """How to decode an image's tiles, if they are Rice-coded integers; else None."""
    header = hdu.lines
    keywords = Keywords(header)
    names = {str(keywords.get(f"ZNAME{i}")): keywords.get(f"ZVAL{i}") for i in range(1, 10)}
    block, bytepix = names.get("BLOCKSIZE", 32), names.get("BYTEPIX", 4)
    bitpix = integer(header, "ZBITPIX", path)
    if (
        str(keywords.get("ZCMPTYPE")).strip() not in ("RICE_1", "RICE_ONE")
        or bitpix not in (8, 16, 32)
        or integer(header, "ZTILE3", path, 1) != 1
        or not isinstance(bytepix, int)
        or bytepix not in (1, 2, 4)
        or 8 * bytepix < bitpix
        or not isinstance(block, int)
        or not 1 <= block < 2**31
    ):
        return None
    columns = _columns(header, path)
    if columns is None or "ZSCALE" in columns:
        return None
    at = sum(width for _, width, _ in columns.values())
    place, _, letter = columns.get("COMPRESSED_DATA", (0, 0, ""))
    found = (place, letter == "Q") if letter in ("P", "Q") else None
    row_bytes, count = (integer(header, f"NAXIS{i}", path) for i in (1, 2))
    if found is None or at != row_bytes:
        return None
    heap = hdu.offset + integer(header, "THEAP", path, row_bytes * count)
    return RiceTable(hdu.offset, row_bytes, *found, heap, block, bytepix)


def _columns(header: Lines | fits.Header, path: str) -> dict[str, tuple[int, int, str]] | None:
    """Byte in a row, width in bytes and letter of TFORM by the name of a table's column; None
    where they are not all known."""
    keywords = Keywords(header)
    at, found = 0, {}
    for i in range(1, integer(header, "TFIELDS", path) + 1):
        form = re.fullmatch(r"\s*(\d*)([A-Z])(.*)", str(keywords.get(f"TFORM{i}")))
        if not form or form[2] not in _COLUMN_BYTES:
            return None
        width = math.ceil(int(form[1] or 1) * _COLUMN_BYTES[form[2]])
        name = str(keywords.get(f"TTYPE{i}")).strip().upper()
        found[name if name not in found else f"{name} {i}"] = at, width, form[2]
        at += width
    return found


def coding(hdu: Hdu, path: str) -> Coding:
    """How an image's tiles are compressed."""
    header = hdu.lines
    columns = _columns(header, path) or {}
    algorithm = str(Keywords(header).get("ZCMPTYPE")).strip()
    pointers = [c for c in ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA") if c in columns]
    row_bytes, count = (integer(header, f"NAXIS{i}", path) for i in (1, 2))
    return Coding(
        algorithm=algorithm,
        depth=max(1, integer(header, "ZTILE3", path, 1)),
        quantised="ZSCALE" in columns,
        mixed="GZIP_COMPRESSED_DATA" in columns or "UNCOMPRESSED_DATA" in columns,
        rows=hdu.offset,
        row_bytes=row_bytes,
        heap=hdu.offset + integer(header, "THEAP", path, row_bytes * count),
        gzipped=tuple(
            (columns[name][0], columns[name][2] == "Q")
            for name in pointers
            if columns[name][2] in "PQ" and (name[0] == "G" or algorithm.startswith("GZIP"))
        ),
    )


#: Cards of the table that holds a compressed image, which the image itself does not have
#: (FITS standard 4.0, section 10.1).
_TABLE_ONLY = frozenset(
    "ZIMAGE ZCMPTYPE ZMASKCMP ZQUANTIZ ZDITHER0 ZTENSION ZSIMPLE ZEXTEND ZBLOCKED ZPCOUNT "
    "ZGCOUNT ZBLANK ZBITPIX ZNAXIS FZALGOR FZTILE".split()
)
_TABLE_NUMBERED = (
    "ZNAXIS",
    "ZTILE",
    "ZNAME",
    "ZVAL",
    "TTYPE",
    "TFORM",
    "TUNIT",
    "TNULL",
    "TDIM",
    "TDISP",
)


def image_header(table: fits.Header) -> fits.Header:
    """The header of a compressed image without the cards of the table that holds it."""
    header = fits.Header()
    for card in table.cards:
        word = card.keyword.rstrip("0123456789")
        if card.keyword not in _TABLE_ONLY and (
            word not in _TABLE_NUMBERED or word == card.keyword
        ):
            header.append(card, end=True)
    return header


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
