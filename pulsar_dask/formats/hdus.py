"""The HDUs of a FITS file: headers are read block by block, data never."""

from __future__ import annotations

import glob
import gzip
import itertools
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from astropy.io import fits

from pulsar_dask.errors import DAMAGED, PulsarError, printable, reason, refusal, shown
from pulsar_dask.formats.values import Keywords, Lines, of_cards
from pulsar_dask.inputs.numbers import number
from pulsar_dask.inputs.others import kind_of, told
from pulsar_dask.inputs.words import FITS_NAME

BLOCK = 2880
_CARD = 80
_END = b"END".ljust(_CARD)
_FIRST_READ = 5 * BLOCK  # holds most headers whole, so that a frame costs one read
_LONGEST_HEADER = 1024 * BLOCK  # where a file without END is given up
_MOST_HDUS = 1000  # among which the image has to be
_MOST_BYTES = 2**62


@dataclass(frozen=True)
class Hdu:
    """A header and where its data lie."""

    index: int
    lines: Lines | fits.Header
    """Its cards, for `Keywords`."""
    offset: int
    """First byte of the data."""
    size: int
    """Bytes of data, padding not included."""
    text: bytes
    """The header as it is in the file, padding included."""

    @property
    def header(self) -> fits.Header:
        return self.lines.header if isinstance(self.lines, Lines) else self.lines


def most_expanded(size: int) -> int:
    """Bytes that a .gz of `size` bytes may hold besides its image: raw frames shrink to a half,
    what shrinks to a hundredth is made to fill a disk."""
    return max(64_000_000, 100 * size)


def status_of(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _checked(path, status)


def _checked(path: str, status: os.stat_result) -> os.stat_result:
    if stat.S_ISDIR(status.st_mode):
        raise refusal(path, "a folder, not a regular file", "name one file")
    if not stat.S_ISREG(status.st_mode):
        way_out = "remove it from the input; a list has a @ before its name, as in @<(ls *.fit)"
        raise refusal(path, "not a regular file", way_out)
    if status.st_size == 0:
        raise refusal(path, "the file is empty")
    return status


def _unreadable(path: str, error: OSError | ValueError) -> PulsarError:
    """The error for a file that the system does not give."""
    if isinstance(error, ValueError):
        return refusal(path, "no file can have this name")
    if isinstance(error, FileNotFoundError) and glob.has_magic(os.path.basename(path)):
        return refusal(path, "no such file", "a mask is not taken here, name one file")
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return refusal(path, "no such file behind this link", "remove it from the input")
    return PulsarError(f"{printable(path)}: {printable(reason(error))}", "unreadable")


def _open_now(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe is not waited for


class opened:
    """Opens a regular file to read its bytes in order, through gzip where it begins as one."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> tuple[IO[bytes], bool]:
        try:
            raw = open(self.path, "rb", buffering=0, opener=_open_now)
        except (OSError, ValueError) as error:
            status_of(self.path)  # tells of a folder
            raise _unreadable(self.path, error) from error
        try:
            self.status = _checked(self.path, os.fstat(raw.fileno()))
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


def hdus_of(file: IO[bytes], path: str) -> Iterator[Hdu]:
    position, size = 0, os.fstat(file.fileno()).st_size
    for index in range(_MOST_HDUS):
        if isinstance(file, gzip.GzipFile) and position > most_expanded(size):
            raise refusal(path, f"no image in the first {position} bytes that it expands to")
        text, offset = _header_text(file, position, path, index)
        if text is None:
            return
        try:
            lines = _lines(_mended(text[: _find_end(text, 0)]))
        except Exception as error:  # astropy has no one class for what can be wrong
            raise refusal(path, f"unreadable header ({error})") from error
        length = _data_size(lines, path)
        yield Hdu(index, lines, offset, length, text)
        position = offset + -(-length // BLOCK) * BLOCK


def _lines(cards: bytes) -> Lines | fits.Header:
    try:
        return Lines(cards)
    except ValueError:
        return fits.Header.fromstring(cards + _END)


def header_texts(file: IO[bytes], path: str, index: int) -> list[bytes]:
    """The cards of an HDU, and those of the primary header where it is another; not parsed."""
    if index:
        hdus = list(itertools.islice(hdus_of(file, path), index + 1))
        found = [hdus[-1].text, hdus[0].text]
    else:
        found = [_header_text(file, 0, path, 0)[0] or b""]
    return [_mended(text[: _find_end(text, 0)]) for text in found]


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
            raise _foreign(path, bytes(text))
        end = _find_end(text, max(0, len(text) - len(part) - _CARD))
        if not part or len(text) > _LONGEST_HEADER:
            raise refusal(path, f"the header of HDU {index} has no END card")
    length = -(-(end + _CARD) // BLOCK) * BLOCK
    return bytes(text[:length]), position + length


#: Keywords behind which a text begins at once.
_TEXTS = (b"COMMENT ", b"HISTORY ", b"CONTINUE", b"HIERARCH", b"        ")


def _mended(text: bytes) -> bytes:
    """A header in which a blank follows each =, as astropy wants it to know a value."""
    odd = [
        8 + _CARD * i
        for i, (sign, after) in enumerate(zip(text[8::_CARD], text[9::_CARD], strict=False))
        if sign == 61 and after != 32 and text[_CARD * i :][:8] not in _TEXTS
    ]
    if not odd:
        return text
    cards = bytearray(text)
    for place in odd:
        # what does not fit is the last character of a comment, or there is none
        end = place - 8 + _CARD
        cards[place + 1 : end] = b" " + cards[place + 1 : end - 1]
    return bytes(cards)


def _foreign(path: str, head: bytes) -> PulsarError:
    """The error for a file that is no FITS file."""
    way_out = "remove it from the input; a folder's name takes its FITS files only"
    if kind := kind_of(path, head):
        if kind.preview:
            return refusal(path, "not a FITS file", f"{way_out}. It is {told([path], kind)}")
        what = f"not a FITS file but {told([path], kind)}"
        return PulsarError(f"{printable(path)}: {what}, or remove it from the input", "unreadable")
    return refusal(path, "not a FITS file", DAMAGED if FITS_NAME.search(path) else way_out)


def _find_end(text: bytes | bytearray, start: int) -> int:
    start -= start % _CARD
    while (found := text.find(b"END", start)) >= 0:
        rest = text[found + 3 : found + _CARD]
        if found % _CARD == 0 and len(rest) == _CARD - 3 and not rest.strip(b" \0"):
            return found
        start = found + 1
    return -1


@of_cards
def _data_size(header: Lines | fits.Header, path: str) -> int:
    naxis = integer(header, "NAXIS", path)
    if not 0 <= naxis <= 999:
        raise refusal(path, f"NAXIS is {naxis}")
    lengths = [integer(header, f"NAXIS{i}", path) for i in range(1, naxis + 1)]
    if any(n < 0 for n in lengths):
        raise refusal(path, "an axis has a negative length")
    if lengths and lengths[0] == 0 and Keywords(header).get("GROUPS") is True:
        lengths[0] = 1  # random groups
    elements = 1 if lengths else 0
    for n in lengths:
        elements *= n
    count, more = integer(header, "GCOUNT", path, 1), integer(header, "PCOUNT", path, 0)
    if count < 0 or more < 0:  # what follows would lie before this header
        raise refusal(path, f"{'GCOUNT' if count < 0 else 'PCOUNT'} is negative")
    size = abs(integer(header, "BITPIX", path)) // 8 * count * (more + elements)
    if size > _MOST_BYTES:
        raise refusal(path, "truncated, its header announces more bytes than any file has")
    return int(size)


_REQUIRED: Any = object()


def integer(header: Lines | fits.Header, keyword: str, path: str, default: Any = _REQUIRED) -> Any:
    value = Keywords(header).get(keyword)
    if value is None and default is not _REQUIRED:
        return default
    found = _number_in(value)
    if found is not None and found == int(found):
        return int(found)
    what = "missing" if value is None else f"{shown(value)}, not a whole number"
    raise refusal(path, f"{keyword} is {what}")


def real(header: Lines | fits.Header, keyword: str, path: str, default: float) -> float:
    value = Keywords(header).get(keyword)
    if value is None:
        return default
    found = _number_in(value)
    if found is None:
        raise refusal(path, f"{keyword} is {shown(value)}, not a number")
    return float(found)


def _number_in(value: Any) -> int | float | None:
    """A finite number, as some programs write one: 50 as 50.0 or '50'."""
    if isinstance(value, str):
        try:
            value = number(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value - value != 0:
        return None
    return value
