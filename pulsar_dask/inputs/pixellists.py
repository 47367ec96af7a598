"""Lists of pixels, columns and rows, as IRIS has them.

C. Buil, command file of the cosmetic corrections: a line ``P X Y`` for a pixel, ``C X 0`` for a
column, ``L Y 0`` for a row, all from zero."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, printable, reason
from pulsar_dask.inputs.words import open_text
from pulsar_dask.kernels.highest import AT_ONCE

Array = np.ndarray[Any, Any]
#: Pixels of a list that are read whatever the budget: it has more to spare.
SOME_PIXELS = 300_000
#: Bytes of a list that are looked at together.
_BLOCK = 1 << 20
#: Places that may be held twice before they are sorted out.
_SOME_PLACES = 1_000_000
_LINE = re.compile(r"([PCLpcl])\s+(-?[0-9]{1,12})\s+(-?[0-9]{1,12})(?:\s+[A-Za-z])?")
_LONGEST_LINE = 200
#: Lines that need no look at each: pixels, perhaps with a type letter.
_PLAIN = re.compile(
    rb"(?:[Pp][ \t]++\d{1,9}+[ \t]++\d{1,9}+(?:[ \t]++[A-Za-z])?+[ \t]*+(?:\r\n|\n|\r))*+"
)
_NO_LETTERS = bytes(32 if chr(c).isalpha() else c for c in range(128)) + bytes(range(128, 256))


def read_list(
    path: str,
    shape: tuple[int, ...],
    *,
    origin_top: bool = False,
    most: int | None = None,
    seen: Callable[[bytes], None] = lambda part: None,
) -> Array:
    """Read a list of defects.

    Comments (``#``), blank lines, a trailing type letter and any line ending are fine.

    Parameters
    ----------
    path : str
    shape : tuple of int
        (y, x) or (plane, y, x) of the image that it is for.
    origin_top : bool
        Whether Y counts from the top row.
    most : int, optional
        Places that may be held.
    seen : function, optional
        Shown all that is read, as it is in the file.

    Returns
    -------
    ndarray of int64, shape (n,)
        Places ``y * columns + x``, ascending, each once.

    Raises
    ------
    PulsarError
        The file cannot be read, a line does not parse, or a coordinate lies outside the
        image; the message has the line's number.
    TooMany
        There are more than `most`.
    """
    size = rows, columns = shape[-2], shape[-1]
    found = _Places(most)
    whole_columns: set[int] = set()
    whole_rows: set[int] = set()
    number = 0
    for block in _blocks(path, seen):
        places = _plain_places(block, size)
        if places is not None:
            found.add(places)
            number += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
            continue
        points: list[int] = []
        for line in re.split(r"\r\n|\r|\n", block.decode("utf-8", "replace"))[:-1]:
            number += 1
            where = f"{printable(path)}, line {number}"
            defect = _defect(line, size, where)
            if defect is None:
                continue
            kind, x, y = defect
            if kind == "P":
                points.append(y * columns + x)
            elif kind == "C":
                whole_columns.add(x)
            else:
                whole_rows.add(y)
        found.add(np.array(points, np.int64))
    for n in whole_columns:
        found.add(np.arange(rows, dtype=np.int64) * columns + n)
    for n in whole_rows:
        found.add(n * columns + np.arange(columns, dtype=np.int64))
    if found.too_many:
        raise TooMany(min(found.seen, rows * columns))
    listed = found.sorted()
    if origin_top:
        for start in range(0, len(listed), AT_ONCE):
            part = listed[start : start + AT_ONCE]
            part[:] = (rows - 1 - part // columns) * columns + part % columns
        listed.sort()
    return listed


class TooMany(Exception):
    """A list of more pixels than there is room for; `count` is not less than they are."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class _Places:
    """Places of pixels, each once, in memory for a few times as many as there are.

    Of more than `most` none is held: they are only counted.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most, self.seen, self.too_many = most, 0, False
        self._parts: list[Array] = []
        self._new = 0
        self._known = 0

    def add(self, places: Array) -> None:
        self.seen += len(places)
        if self.too_many:
            return
        self._parts.append(places)
        self._new += len(places)
        held = self._new + self._known
        if self._new > max(_SOME_PLACES, self._known) or held > 2 * (self.most or held):
            self._parts = [self.sorted()]
            self._known = len(self._parts[0])
            self._new = 0
            if self.most is not None and self._known > self.most:
                self.too_many, self._parts = True, []

    def sorted(self) -> Array:
        if not self._parts:
            return np.empty(0, np.int64)
        places = np.concatenate(self._parts)
        self._parts = []
        places.sort()  # numpy.unique hashes, which takes some ten times as long
        once: Array = places[np.concatenate([[True], places[1:] != places[:-1]])[: len(places)]]
        return once


def _plain_places(block: bytes, size: tuple[int, int]) -> Array | None:
    """Places of a block whose lines are all pixels inside the image; else None."""
    if not _PLAIN.fullmatch(block):
        return None
    numbers = np.fromstring(block.translate(_NO_LETTERS), np.int64, sep=" ")
    x, y = numbers[::2], numbers[1::2]
    if x.max(initial=0) >= size[1] or y.max(initial=0) >= size[0]:
        return None
    places: Array = y * size[1] + x
    return places


def _defect(line: str, size: tuple[int, int], where: str) -> tuple[str, int, int] | None:
    """What a line lists: P, C or L, column and row; None for a comment."""
    if line[:_LONGEST_LINE].lstrip().startswith("#"):
        return None
    if len(line) > _LONGEST_LINE:
        raise PulsarError(f"{where}: too long for a list of pixels", "list")
    text = line.strip()
    if not text:
        return None
    match = _LINE.fullmatch(text)
    if not match:
        raise PulsarError(
            f"{where}: {printable(text[:60])!r} is not 'P X Y', 'C X 0' or 'L Y 0', "
            "whole numbers from 0",
            "list",
        )
    kind, a, b = match[1].upper(), int(match[2]), int(match[3])
    x, y = (a, b) if kind == "P" else (a, 0) if kind == "C" else (0, a)
    if not (0 <= x < size[1] and 0 <= y < size[0]):
        raise PulsarError(
            f"{where}: {printable(text)} lies outside the image of {size[1]} x {size[0]} pixels; "
            "X and Y count from 0",
            "list",
        )
    return kind, x, y


def _blocks(path: str, seen: Callable[[bytes], None]) -> Iterator[bytes]:
    """A list in blocks of whole lines, whatever ends them, as UTF-8 without a BOM.

    A file without lines is not held whole: of a long comment the beginning is kept, and what
    else is too long for a line is handed on as it is.
    """
    rest = b""
    for part in _parts(path, seen):
        block = rest + part
        # a CR at the very end may be half of a CRLF
        cut = max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1)) + 1
        if cut:
            yield block[:cut]
        rest = block[cut:]
        if len(rest) >= _BLOCK:
            end = b"\r" if rest.endswith(b"\r") else b""
            head = rest[: 4 * _LONGEST_LINE].decode("utf-8", "replace")[:_LONGEST_LINE]
            if not head.lstrip().startswith("#"):
                yield rest + b"\n"
                return
            rest = b"#" + end
    if rest:
        yield rest if rest.endswith(b"\r") else rest + b"\n"


def _parts(path: str, seen: Callable[[bytes], None]) -> Iterator[bytes]:
    """The bytes of a file as UTF-8: PowerShell writes UTF-16."""
    try:
        with open(path, "rb", buffering=0, opener=open_text) as file:

            def read() -> bytes:
                part = file.read(_BLOCK) or b""
                seen(part)
                return part

            part = read()
            if part[:2] in (b"\xff\xfe", b"\xfe\xff"):
                decoder = codecs.getincrementaldecoder("utf-16")("replace")
                while part:
                    yield decoder.decode(part).encode("utf-8", "replace")
                    part = read()
                yield decoder.decode(b"", final=True).encode()  # half a character is none
                return
            part = part.removeprefix(codecs.BOM_UTF8)
            while part:
                yield part
                part = read()
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {reason(error)}", "list") from error
