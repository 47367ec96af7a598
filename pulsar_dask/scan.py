"""From a path to a `Frame`: headers are read block by block, pixels never."""

from __future__ import annotations

import functools
import glob
import gzip
import math
import os
import re
import stat
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask.cards import COMMENTARY
from pulsar_dask.checksum import ORDER_CARD, order_in, word_sum
from pulsar_dask.errors import PulsarError, printable, reason
from pulsar_dask.frame import (
    Coding,
    Frame,
    PixelType,
    RiceTable,
    Stated,
    frame_keywords,
    shown,
)
from pulsar_dask.spec import FITS_NAME

BLOCK = 2880
_CARD = 80
_END = b"END".ljust(_CARD)
_FIRST_READ = 5 * BLOCK  # holds most headers whole, so that a frame costs one read
_LONGEST_HEADER = 1024 * BLOCK  # where a file without END is given up
_MOST_HDUS = 1000  # among which the image has to be
_MOST_BYTES = 2**62
#: gzip makes nothing smaller than this (its longest match in two bits of code).
_GZIP_RATIO = 1032
#: Neither do the algorithms for tiles, but for two that code a plain area as one number.
_TILE_RATIO = 4096
_PLAIN_RATIO = 10**6
_PLAIN_CODED = ("HCOMPRESS_1", "PLIO_1")
_BITPIX = (8, 16, 32, 64, -32, -64)


@dataclass(frozen=True)
class Hdu:
    """A header and where its data lie."""

    index: int
    header: fits.Header
    offset: int
    """First byte of the data."""
    size: int
    """Bytes of data, padding not included."""
    text: bytes
    """The header as it is in the file, padding included."""


def scan_frame(path: str | os.PathLike[str]) -> Frame:
    """What the headers of a FITS file say of its first image.

    The image is the first HDU with 2 axes, or 3 (planes, Y, X): primary, IMAGE
    extension or tile-compressed. Keywords that it lacks are looked for in the primary
    header. The file may be gzipped.

    Raises
    ------
    PulsarError
        The file cannot be read, is not FITS, is damaged or holds no image.
    """
    path = os.path.abspath(path)
    status = _stat(path)
    with _open(path) as (file, zipped):
        primary: fits.Header | None = None
        for hdu in _hdus(file, path):
            primary = primary if primary is not None else hdu.header
            if not _is_image(hdu.header, path):
                continue
            least = -(-(hdu.offset + hdu.size) // (_GZIP_RATIO if zipped else 1))
            if status.st_size < least:
                raise refusal(path, f"truncated, {status.st_size} bytes of at least {least}")
            return _frame(path, status, hdu, primary, zipped)
    raise refusal(path, "no image with 2 or 3 axes in this FITS file")


#: What to do about a file that is damaged, and about a Zarr store.
DAMAGED = "copy it again or remove it from the input"
DAMAGED_STORE = "write this store again, with --overwrite"


def refusal(path: str, what: str, way_out: str = DAMAGED) -> PulsarError:
    """The error that refuses a file, for a reason in words; both are made fit for a terminal."""
    return PulsarError(f"{printable(path)}: {printable(what)}; {way_out}")


def most_expanded(size: int) -> int:
    """Bytes that a .gz of `size` bytes may hold besides its image: raw frames shrink to a half,
    what shrinks to a hundredth is made to fill a disk."""
    return max(64_000_000, 100 * size)


def scan_frames(paths: Sequence[str]) -> list[Frame]:
    """`scan_frame` of each path, in order; of a Zarr store all its frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return [frame for path in paths for frame in _frames_of(path)]


def _frames_of(path: str) -> list[Frame]:
    if os.path.isdir(path) and path.lower().rstrip("/\\").endswith(".zarr"):
        from pulsar_dask.storeread import scan_store

        return scan_store(path)
    return [scan_frame(path)]


def read_header(frame: Frame) -> fits.Header:
    """The image header of a frame as it would be were it not compressed, with the cards
    of the primary header that it lacks."""
    if frame.storage == "zarr":
        from pulsar_dask.storeread import header_of

        return header_of(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        with _open(frame.path) as (file, _):
            hdus = []
            for hdu in _hdus(file, frame.path):
                hdus.append(hdu)
                if hdu.index == frame.hdu:
                    break
        header = hdus[-1].header
        if frame.storage == "tiled":
            header = _image_header(header)
        if len(hdus) > 1:
            _fill_up(header, hdus[0].header)
        return header


def _fill_up(header: fits.Header, primary: fits.Header) -> None:
    """Append the cards of the primary header that an image header lacks. (`Header.extend` would
    compare each comment with each, and mend damaged cards, or fail.)"""
    known = set(header)
    said = {(c.keyword, c.value) for c in header.cards if c.keyword in COMMENTARY}
    for card in primary.cards:
        keyword = card.keyword
        if keyword in COMMENTARY:
            missing = card.is_blank or (keyword, card.value) not in said
        else:
            missing = keyword not in known and keyword not in STRUCTURE
        if missing:
            header.append(card, end=True)


# --- below: FITS structure ----------------------------------------------------------

#: Cards that describe a file's own bytes rather than the image.
STRUCTURE = frozenset(
    "SIMPLE XTENSION BITPIX NAXIS EXTEND PCOUNT GCOUNT GROUPS CHECKSUM DATASUM ZHECKSUM ZDATASUM "
    "DATAORD EXTNAME EXTVER EXTLEVEL INHERIT BSCALE BZERO BLANK TFIELDS THEAP LONGSTRN END".split()
)


class Keywords:
    """Values of an image header, then of the primary; a card that cannot be read gives its text."""

    def __init__(self, *headers: fits.Header) -> None:
        self.headers = headers

    def get(self, keyword: str, default: Any = None) -> Any:
        for header in self.headers:
            if keyword in header:
                try:
                    value = header[keyword]
                except (fits.VerifyError, ValueError):
                    return _card_text(header.cards[keyword])
                if isinstance(value, fits.card.Undefined):
                    continue
                return value
        return default


def _card_text(card: fits.Card) -> str:
    """The value of a card that is not in form, as it is written; without the quotes of a text,
    which programs write in UTF-8 or Latin-1."""
    written = card._image[10:]  # `image` would refuse to give it
    if text := re.match(r" *'((?:[^']|'')*)'", written):
        written = text[1].replace("''", "'")
    try:
        return str(written.encode("latin-1").decode()).strip()
    except UnicodeError:
        return str(written).strip()


def _frame(
    path: str, status: os.stat_result, hdu: Hdu, primary: fits.Header, zipped: bool
) -> Frame:
    header = hdu.header
    tiled = _is_tiled(header)
    if tiled and zipped:
        raise PulsarError(
            f"{printable(path)}: a tile-compressed image inside a .gz; expand it with gunzip first"
        )
    z = "Z" if tiled else ""
    naxis = _integer(header, z + "NAXIS", path)
    lengths = [_integer(header, f"{z}NAXIS{i}", path) for i in range(1, naxis + 1)]
    bitpix = _integer(header, z + "BITPIX", path)
    if min(lengths) < 0:
        raise refusal(path, "an axis has a negative length")
    block = (1, 1)
    if tiled:
        width = _integer(header, "ZTILE1", path, lengths[0])
        height = _integer(header, "ZTILE2", path, 1)
        block = (max(1, height), max(1, width))
        _check_tiles(hdu, lengths, bitpix, status.st_size, path)
    keywords = Keywords(header, primary)
    try:
        return Frame(
            path=path,
            hdu=hdu.index,
            shape=tuple(reversed(lengths)),
            pixels=_pixel_type(header, bitpix, tiled, path),
            storage="tiled" if tiled else "gzip" if zipped else "plain",
            offset=hdu.offset,
            length=hdu.size,
            stated=_stated(hdu, tiled),
            block=block,
            rice=_rice_table(hdu, path) if tiled else None,
            coding=_coding(hdu, path) if tiled else None,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
            ctime_ns=status.st_ctime_ns,
            **frame_keywords(keywords),  # type: ignore[arg-type]
        )
    except fits.VerifyError as error:
        raise refusal(path, str(error)) from error


def _check_tiles(hdu: Hdu, lengths: list[int], bitpix: int, size: int, path: str) -> None:
    """Refuse an image that its table of tiles, or a file so small, cannot hold."""
    header, tiles = hdu.header, 1
    for i, length in enumerate(lengths, 1):
        step = _integer(header, f"ZTILE{i}", path, length if i == 1 else 1)
        tiles *= -(-length // max(1, step))
    rows = _integer(header, "NAXIS2", path)
    if rows < tiles:
        raise refusal(path, f"damaged, its table has {rows} rows for {tiles} compression tiles")
    plain = str(Keywords(header).get("ZCMPTYPE")).strip() in _PLAIN_CODED
    least = math.prod(lengths) * abs(bitpix) // 8 // (_PLAIN_RATIO if plain else _TILE_RATIO)
    if size < least:
        raise refusal(path, f"truncated, {size} bytes of at least {least}")


def _stated(hdu: Hdu, tiled: bool) -> Stated | None:
    keywords = Keywords(hdu.header)
    checksum = str(keywords.get("CHECKSUM", "")).strip()
    stated = Stated(
        _sum_in(keywords.get("DATASUM")),
        word_sum(np.frombuffer(hdu.text, np.uint8)) if checksum else None,
        _sum_in(keywords.get("ZDATASUM")) if tiled else None,
        order_in(keywords.get(ORDER_CARD)),
    )
    return None if stated == Stated(None, None, None) else stated


def _sum_in(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None


#: Bytes of a table's column by the letter of its TFORM (FITS standard 4.0, table 18).
_COLUMN_BYTES = dict(
    zip("LXBAIJKEDCMPQ", (1, 1 / 8, 1, 1, 2, 4, 8, 4, 8, 8, 16, 8, 16), strict=True)
)


def _rice_table(hdu: Hdu, path: str) -> RiceTable | None:
    """How to decode an image's tiles, if they are Rice-coded integers; else None."""
    header = hdu.header
    keywords = Keywords(header)
    names = {str(keywords.get(f"ZNAME{i}")): keywords.get(f"ZVAL{i}") for i in range(1, 10)}
    block, bytepix = names.get("BLOCKSIZE", 32), names.get("BYTEPIX", 4)
    bitpix = _integer(header, "ZBITPIX", path)
    if (
        str(keywords.get("ZCMPTYPE")).strip() not in ("RICE_1", "RICE_ONE")
        or bitpix not in (8, 16, 32)
        or _integer(header, "ZTILE3", path, 1) != 1
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
    row_bytes, count = (_integer(header, f"NAXIS{i}", path) for i in (1, 2))
    if found is None or at != row_bytes:
        return None
    heap = hdu.offset + _integer(header, "THEAP", path, row_bytes * count)
    return RiceTable(hdu.offset, row_bytes, *found, heap, block, bytepix)


def _columns(header: fits.Header, path: str) -> dict[str, tuple[int, int, str]] | None:
    """Byte in a row, width in bytes and letter of TFORM by the name of a table's column; None
    where they are not all known."""
    keywords = Keywords(header)
    at, found = 0, {}
    for i in range(1, _integer(header, "TFIELDS", path) + 1):
        form = re.fullmatch(r"\s*(\d*)([A-Z])(.*)", str(keywords.get(f"TFORM{i}")))
        if not form or form[2] not in _COLUMN_BYTES:
            return None
        width = math.ceil(int(form[1] or 1) * _COLUMN_BYTES[form[2]])
        name = str(keywords.get(f"TTYPE{i}")).strip().upper()
        found[name if name not in found else f"{name} {i}"] = at, width, form[2]
        at += width
    return found


def _coding(hdu: Hdu, path: str) -> Coding:
    """How an image's tiles are compressed."""
    header = hdu.header
    columns = _columns(header, path) or {}
    algorithm = str(Keywords(header).get("ZCMPTYPE")).strip()
    pointers = [c for c in ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA") if c in columns]
    row_bytes, count = (_integer(header, f"NAXIS{i}", path) for i in (1, 2))
    return Coding(
        algorithm=algorithm,
        depth=max(1, _integer(header, "ZTILE3", path, 1)),
        quantised="ZSCALE" in columns,
        mixed="GZIP_COMPRESSED_DATA" in columns or "UNCOMPRESSED_DATA" in columns,
        rows=hdu.offset,
        row_bytes=row_bytes,
        heap=hdu.offset + _integer(header, "THEAP", path, row_bytes * count),
        gzipped=tuple(
            (columns[name][0], columns[name][2] == "Q")
            for name in pointers
            if columns[name][2] in "PQ" and (name[0] == "G" or algorithm.startswith("GZIP"))
        ),
    )


def _pixel_type(header: fits.Header, bitpix: int, tiled: bool, path: str) -> PixelType:
    if bitpix not in _BITPIX:
        raise refusal(path, f"BITPIX is {bitpix}, which no FITS image has")
    bscale = _real(header, "BSCALE", path, 1.0)
    if bscale == 0:
        raise refusal(path, "BSCALE is 0, so every pixel has the same value")
    blank = None
    if bitpix > 0:
        keyword = "ZBLANK" if tiled and "ZBLANK" in header else "BLANK"
        blank = _integer(header, keyword, path, None) if keyword in header else None
        if blank is not None and not _representable(blank, bitpix):
            blank = None
    return _one_type(bitpix, bscale, _real(header, "BZERO", path, 0.0), blank)


#: One object for all frames that are alike: they are compared often.
_one_type = functools.lru_cache(maxsize=64)(PixelType)


def _representable(value: int, bitpix: int) -> bool:
    low, high = (0, 255) if bitpix == 8 else (-(2 ** (bitpix - 1)), 2 ** (bitpix - 1) - 1)
    return low <= value <= high


def _stat(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise refusal(path, "a folder, not a regular file", "name one file")
    if not stat.S_ISREG(status.st_mode):
        way_out = "remove it from the input; a list has a @ before its name, as in @<(ls *.fit)"
        raise refusal(path, "not a regular file", way_out)
    if status.st_size == 0:
        raise refusal(path, "the file is empty")
    return status


def _unreadable(path: str, error: OSError) -> PulsarError:
    """The error for a file that the system does not give."""
    if isinstance(error, FileNotFoundError) and glob.has_magic(os.path.basename(path)):
        return refusal(path, "no such file", "a mask is not taken here, name one file")
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return refusal(path, "no such file behind this link", "remove it from the input")
    return PulsarError(f"{printable(path)}: {printable(reason(error))}")


class _open:
    """Opens a file to read its bytes in order, through gzip where it begins as one."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> tuple[IO[bytes], bool]:
        try:
            raw = open(self.path, "rb", buffering=0)
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        self.files = [raw, gzip.GzipFile(fileobj=raw)] if zipped else [raw]
        return self.files[-1], zipped  # type: ignore[return-value]

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        for file in reversed(self.files):
            file.close()
        if isinstance(error, (zlib.error, EOFError, OSError)):
            raise refusal(self.path, f"cannot be read ({error})") from error


def _hdus(file: IO[bytes], path: str) -> Iterator[Hdu]:
    position = 0
    for index in range(_MOST_HDUS):
        if isinstance(file, gzip.GzipFile) and position > most_expanded(os.path.getsize(path)):
            raise refusal(path, f"no image in the first {position} bytes that it expands to")
        text, offset = _header_text(file, position, path, index)
        if text is None:
            return
        try:
            header = fits.Header.fromstring(text[: _find_end(text, 0) + _CARD])
        except Exception as error:  # astropy has no one class for what can be wrong
            raise refusal(path, f"unreadable header ({error})") from error
        size = _data_size(header, path)
        yield Hdu(index, header, offset, size, text)
        position = offset + -(-size // BLOCK) * BLOCK


def _header_text(file: IO[bytes], position: int, path: str, index: int) -> tuple[bytes | None, int]:
    """The header's blocks, and the byte after them."""
    file.seek(position)
    # to go back to the data's end, gzip would begin anew
    step = BLOCK if isinstance(file, gzip.GzipFile) else _FIRST_READ
    text, end = bytearray(), -1
    while end < 0:
        part = file.read(step)
        text += part
        if not text and not index:
            raise refusal(path, "it holds nothing")
        if not text or (index and not text.startswith(b"XTENSION")):
            return None, 0  # the end of the file, or padding after the last HDU
        if index == 0 and not text.startswith(b"SIMPLE  ="):
            foreign = "remove it from the input; a folder's name takes its FITS files only"
            raise refusal(path, "not a FITS file", DAMAGED if FITS_NAME.search(path) else foreign)
        end = _find_end(text, max(0, len(text) - len(part) - _CARD))
        if not part or len(text) > _LONGEST_HEADER:
            raise refusal(path, f"the header of HDU {index} has no END card")
    length = -(-(end + _CARD) // BLOCK) * BLOCK
    return bytes(text[:length]), position + length


def _find_end(text: bytes | bytearray, start: int) -> int:
    start -= start % _CARD
    while (found := text.find(_END, start)) >= 0:
        if found % _CARD == 0:
            return found
        start = found + 1
    return -1


def _data_size(header: fits.Header, path: str) -> int:
    naxis = _integer(header, "NAXIS", path)
    if not 0 <= naxis <= 999:
        raise refusal(path, f"NAXIS is {naxis}")
    lengths = [_integer(header, f"NAXIS{i}", path) for i in range(1, naxis + 1)]
    if any(n < 0 for n in lengths):
        raise refusal(path, "an axis has a negative length")
    if lengths and lengths[0] == 0 and Keywords(header).get("GROUPS") is True:
        lengths[0] = 1  # random groups
    elements = 1 if lengths else 0
    for n in lengths:
        elements *= n
    count, more = _integer(header, "GCOUNT", path, 1), _integer(header, "PCOUNT", path, 0)
    if count < 0 or more < 0:  # what follows would lie before this header
        raise refusal(path, f"{'GCOUNT' if count < 0 else 'PCOUNT'} is negative")
    size = abs(_integer(header, "BITPIX", path)) // 8 * count * (more + elements)
    if size > _MOST_BYTES:
        raise refusal(path, "truncated, its header announces more bytes than any file has")
    return int(size)


def _is_tiled(header: fits.Header) -> bool:
    return Keywords(header).get("ZIMAGE") is True and _extension(header) == "BINTABLE"


def _extension(header: fits.Header) -> str:
    """XTENSION; "IMAGE" for a primary header."""
    return str(Keywords(header).get("XTENSION", "IMAGE")).strip()


def _is_image(header: fits.Header, path: str) -> bool:
    if _is_tiled(header):
        z = "Z"
    elif _extension(header) == "IMAGE" and Keywords(header).get("GROUPS") is not True:
        z = ""
    else:
        return False
    naxis = _integer(header, z + "NAXIS", path)
    if naxis not in (2, 3):
        return False
    for i in range(1, naxis + 1):
        if _integer(header, f"{z}NAXIS{i}", path) == 0:
            raise refusal(path, f"the image has no pixels ({z}NAXIS{i} is 0)")
    return True


_REQUIRED: Any = object()


def _integer(header: fits.Header, keyword: str, path: str, default: Any = _REQUIRED) -> Any:
    value = Keywords(header).get(keyword)
    if value is None and default is not _REQUIRED:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        what = "missing" if value is None else f"{shown(value)}, not a whole number"
        raise refusal(path, f"{keyword} is {what}")
    return value


def _real(header: fits.Header, keyword: str, path: str, default: float) -> float:
    value = Keywords(header).get(keyword)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value - value != 0:
        raise refusal(path, f"{keyword} is {shown(value)}, not a number")
    return float(value)


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


def _image_header(table: fits.Header) -> fits.Header:
    """The header of a compressed image without the cards of the table that holds it."""
    header = fits.Header()
    for card in table.cards:
        word = card.keyword.rstrip("0123456789")
        if card.keyword not in _TABLE_ONLY and (
            word not in _TABLE_NUMBERED or word == card.keyword
        ):
            header.append(card, end=True)
    return header
