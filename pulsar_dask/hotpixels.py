"""Hot pixels: the highest values of a master, and the lists that name them.

The lists are IRIS's (C. Buil, command file of the cosmetic corrections): a line ``P X Y``
for a pixel, ``C X 0`` for a column, ``L Y 0`` for a row, all from zero.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.atomic import AtomicFile
from pulsar_dask.checksum import both_sums
from pulsar_dask.errors import PulsarError, printable, reason
from pulsar_dask.spec import open_text
from pulsar_dask.tiles import Tile

Array = np.ndarray[Any, Any]
HOT_PIXELS = 10_000
#: Pixels that are looked at together: what they take is no matter to a memory budget.
_AT_ONCE = 65_536
#: Values of listed pixels, over all frames, that are replaced together; what that holds.
_CORRECTED_AT_ONCE = 65_536
CORRECTION_BYTES = 80 * _CORRECTED_AT_ONCE


class HotPixels:
    """The N highest values of an image that comes tile by tile, in any order.

    It keeps candidates, twice N of them at most, never the image. Of a colour image, a pixel
    counts with its highest plane.
    """

    def __init__(self, shape: tuple[int, ...], count: int = HOT_PIXELS) -> None:
        self.columns = shape[-1]
        self.count = count
        self._planes: dict[int, _Highest] = {}
        self._lock = threading.Lock()

    def write(self, tile: Tile, values: Array) -> None:
        """Take the values of a tile, shape (height, width)."""
        self.take(tile.plane, self.candidates(tile, values))

    def candidates(self, tile: Tile, values: Array) -> list[tuple[Array, Array]]:
        """Values of a tile that may be among the highest, and their places in the image."""
        floor = self._highest(tile.plane).floor
        flat = np.asarray(values, np.float64).ravel()
        found = []
        for start in range(0, len(flat), _AT_ONCE):
            part = flat[start : start + _AT_ONCE]
            local = np.flatnonzero(part >= floor)  # never NaN
            if len(local):
                y, x = np.divmod(start + local, tile.width)
                best = _highest(part[local], (tile.y + y) * self.columns + tile.x + x, self.count)
                found.append(best)
        return found

    def take(self, plane: int, candidates: list[tuple[Array, Array]]) -> None:
        """Add candidates of a plane."""
        highest = self._highest(plane)
        with self._lock:
            for values, places in candidates:
                highest.add(values, places)

    def _highest(self, plane: int) -> _Highest:
        with self._lock:
            return self._planes.setdefault(plane, _Highest(self.count))

    def positions(self) -> tuple[Array, Array]:
        """Columns and rows (from zero) of the hottest pixels, highest value first, equal
        values by row, then column."""
        if not self._planes:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        best = [highest.best() for highest in self._planes.values()]
        values = np.concatenate([v for v, _ in best])
        places = np.concatenate([p for _, p in best])
        order = np.lexsort((places, -values))
        places = places[order]
        _, first = np.unique(places, return_index=True)
        places = places[np.sort(first)][: self.count]
        y, x = np.divmod(places, self.columns)
        return x, y


class Candidates:
    """What takes a tile for a list, in any process; there it knows what it has seen itself."""

    def __init__(self, hot: HotPixels, *, far: bool = False) -> None:
        self.hot, self.far = hot, far

    def __reduce__(self) -> Any:
        return _far_candidates, (self.hot.columns, self.hot.count)

    def __call__(self, tile: Tile, planes: Mapping[str, Array]) -> list[tuple[Array, Array]]:
        found = self.hot.candidates(tile, planes["image"])
        if self.far:
            self.hot.take(tile.plane, found)
        return found


def _far_candidates(columns: int, count: int) -> Candidates:
    return Candidates(HotPixels((0, columns), count), far=True)


class _Highest:
    """The `count` highest values of those that come: at most so many more are held."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.floor = -np.inf
        """What is below can never come in."""
        self._held = 0
        self._values: list[Array] = [np.empty(0)]
        self._places: list[Array] = [np.empty(0, np.int64)]

    def add(self, values: Array, places: Array) -> None:
        if len(values) > self.count:
            values, places = _highest(values, places, self.count)
        self._values.append(values)
        self._places.append(places)
        self._held += len(values)
        if self._held > 2 * self.count:
            self.best()

    def best(self) -> tuple[Array, Array]:
        values, places = np.concatenate(self._values), np.concatenate(self._places)
        values, places = _highest(values, places, self.count)
        self._values, self._places, self._held = [values], [places], len(values)
        if self.count and len(values) == self.count:
            self.floor = float(values.min())
        return values, places


def _highest(values: Array, places: Array, count: int) -> tuple[Array, Array]:
    """The `count` highest values; of equal ones those that come first in the image."""
    if len(values) <= count:
        return values, places
    if count == 0:
        return values[:0], places[:0]
    worst = np.partition(values, len(values) - count)[len(values) - count]
    above = np.flatnonzero(values > worst)
    equal = np.flatnonzero(values == worst)
    wanted = count - len(above)
    if len(equal) > wanted:
        equal = equal[np.argpartition(places[equal], wanted - 1)[:wanted]]
    keep = np.concatenate([above, equal])
    return values[keep], places[keep]


# --- lists -----------------------------------------------------------------------------


def write_list(path: str, x: Array, y: Array, *, rows: int | None = None) -> None:
    """Write a list: ``P X Y``, CRLF, nothing else.

    Parameters
    ----------
    path : str
        Appears whole or not at all.
    x, y : ndarray of int
        Columns and rows from zero, row 0 first in the file.
    rows : int, optional
        The image's height: Y is then written from the top row, as Siril reads it.
    """
    with sealed_list(path, x, y, rows=rows) as file:
        file.commit()


def sealed_list(
    path: str, x: Array, y: Array, *, rows: int | None = None, verify: bool = True
) -> AtomicFile:
    """The file of `write_list`, on the disk but without its name; `verify` reads it back."""
    return seal_list(path, list_bytes(x, y, rows=rows), verify=verify)


def list_bytes(x: Array, y: Array, *, rows: int | None = None) -> bytes:
    """What `write_list` writes."""
    if rows is not None:
        y = rows - 1 - y
    parts = [slice(i, i + _AT_ONCE) for i in range(0, len(x), _AT_ONCE)]
    return b"".join(_lines(x[part], y[part]) for part in parts)


def seal_list(path: str, data: bytes, *, verify: bool = True) -> AtomicFile:
    """`sealed_list` of `list_bytes`."""
    file = AtomicFile(path)
    try:
        file.write_at(data, 0)
        sums = both_sums(np.frombuffer(data, np.uint8))
        file.seal(*(sums.words, sums.order) if verify else ())
    except BaseException:
        file.close()
        raise
    return file


def _lines(x: Array, y: Array) -> bytes:
    lines = (f"P {a} {b}\r\n" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return "".join(lines).encode("ascii")


#: Bytes that each pixel of a list takes while it is read, when each may be there twice: all, and
#: all in order. Then a place and its ring.
LIST_BYTES, DEFECT_BYTES = 34, 8 + 4
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
    path: str, shape: tuple[int, ...], *, origin_top: bool = False, most: int | None = None
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
    for block in _blocks(path):
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
        for start in range(0, len(listed), _AT_ONCE):
            part = listed[start : start + _AT_ONCE]
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
        raise PulsarError(f"{where}: too long for a list of pixels")
    text = line.strip()
    if not text:
        return None
    match = _LINE.fullmatch(text)
    if not match:
        raise PulsarError(
            f"{where}: {printable(text[:60])!r} is not 'P X Y', 'C X 0' or 'L Y 0', "
            "whole numbers from 0"
        )
    kind, a, b = match[1].upper(), int(match[2]), int(match[3])
    x, y = (a, b) if kind == "P" else (a, 0) if kind == "C" else (0, a)
    if not (0 <= x < size[1] and 0 <= y < size[0]):
        raise PulsarError(
            f"{where}: {printable(text)} lies outside the image of {size[1]} x {size[0]} pixels; "
            "X and Y count from 0"
        )
    return kind, x, y


def _blocks(path: str) -> Iterator[bytes]:
    """A list in blocks of whole lines, whatever ends them, as UTF-8 without a BOM.

    A file without lines is not held whole: of a long comment the beginning is kept, and what
    else is too long for a line is handed on as it is.
    """
    rest = b""
    for part in _parts(path):
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


def _parts(path: str) -> Iterator[bytes]:
    """The bytes of a file as UTF-8: PowerShell writes UTF-16."""
    try:
        with open(path, "rb", buffering=0, opener=open_text) as file:
            part = file.read(_BLOCK) or b""
            if part[:2] in (b"\xff\xfe", b"\xfe\xff"):
                decoder = codecs.getincrementaldecoder("utf-16")("replace")
                while part:
                    yield decoder.decode(part).encode("utf-8", "replace")
                    part = file.read(_BLOCK) or b""
                yield decoder.decode(b"", final=True).encode()  # half a character is none
                return
            part = part.removeprefix(codecs.BOM_UTF8)
            while part:
                yield part
                part = file.read(_BLOCK) or b""
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {reason(error)}") from error


# --- correction ------------------------------------------------------------------------


@dataclass(frozen=True)
class Defects:
    """Listed pixels of an image, with what each one takes its value from."""

    shape: tuple[int, int]
    """(y, x) of the image."""
    places: Array
    """y * columns + x of each, int64, ascending."""
    rings: Array
    """How many steps away the nearest pixels are that are not listed; 0: there are none."""
    step: int
    """1, or 2 on a Bayer sensor, where a neighbour of the same colour is two pixels away."""

    @property
    def reach(self) -> int:
        """Pixels around a tile that correcting it may need."""
        return int(self.rings.max(initial=0)) * self.step


def find_rings(places: Array, shape: tuple[int, ...], *, bayer: bool) -> Defects:
    """Work out for each listed pixel the ring of neighbours that holds one not listed."""
    rows, columns = shape[-2:]
    step = 2 if bayer else 1
    rings = np.zeros(len(places), np.int32)
    # where a colour is listed whole, there is nothing to look for
    parts = [slice(i, i + _AT_ONCE) for i in range(0, len(places), _AT_ONCE)]
    cells = step * step
    listed = np.zeros(cells, np.int64)
    for part in parts:
        listed += np.bincount(_colours(places[part], columns, step), minlength=cells)
    size = [len(range(dy, rows, step)) * len(range(dx, columns, step)) for dy, dx in _cells(step)]
    whole = listed == size
    for part in parts:
        colour = _colours(places[part], columns, step)
        open_ = part.start + np.flatnonzero(~whole[colour])
        _find_rings(places, (rows, columns), step, open_, rings)
    return Defects((rows, columns), places, rings, step)


def _find_rings(
    places: Array, shape: tuple[int, int], step: int, open_: Array, rings: Array
) -> None:
    """Put in the rings of some of the places."""
    rows, columns = shape
    ring = 0
    while len(open_) and ring * step <= max(rows, columns):
        ring += 1
        y, x = np.divmod(places[open_], columns)
        found = np.zeros(len(open_), bool)
        for dy, dx in ring_offsets(ring):
            ny, nx = y + dy * step, x + dx * step
            inside = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
            found |= inside & ~_contains(places, ny * columns + nx)
        rings[open_[found]] = ring
        open_ = open_[~found]


def _cells(step: int) -> list[tuple[int, int]]:
    return [(dy, dx) for dy in range(step) for dx in range(step)]


def _colours(places: Array, columns: int, step: int) -> Array:
    """Index of each pixel's colour, in the order of `_cells`."""
    y, x = np.divmod(places, columns)
    index: Array = y % step * step + x % step
    return index


def ring_offsets(ring: int) -> list[tuple[int, int]]:
    """(dy, dx) of the pixels at Chebyshev distance `ring`, row by row."""
    span = range(-ring, ring + 1)
    return [(dy, dx) for dy in span for dx in span if max(abs(dy), abs(dx)) == ring]


def _contains(sorted_places: Array, wanted: Array) -> Array:
    if not len(sorted_places):
        return np.zeros(len(wanted), bool)
    at = np.searchsorted(sorted_places, wanted)
    at[at == len(sorted_places)] = 0
    found: Array = sorted_places[at] == wanted
    return found


def correct(
    window: Array, origin: tuple[int, int], defects: Defects, inner: Tile
) -> tuple[Array, Array]:
    """Replace listed pixels by the mean of their good neighbours, in place.

    Parameters
    ----------
    window : ndarray of float64, shape (frames, height, width)
        Values of a tile and `Defects.reach` pixels or more around it, as far as the image
        goes; missing ones NaN.
    origin : (int, int)
        Row and column of the window's first pixel in the image.
    defects : Defects
    inner : Tile
        The tile; only its pixels are replaced.

    Returns
    -------
    frames, places : ndarray of int64, shape (n,)
        Values that were left as they are, since the window holds no good neighbour of
        theirs: index of the frame, place in the image.
    """
    columns = defects.shape[1]
    first = np.searchsorted(defects.places, inner.y * columns)
    last = np.searchsorted(defects.places, (inner.y + inner.height) * columns)
    # A new value comes from pixels that are not listed, so that they can be replaced in turns.
    step = max(1, _CORRECTED_AT_ONCE // len(window))
    stays = [
        _correct(window, origin, defects, inner, slice(start, min(start + step, last)))
        for start in range(first, last, step)
    ]
    if not stays:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    frames, places = map(np.concatenate, zip(*stays, strict=True))
    order = np.argsort(frames, kind="stable")
    return frames[order], places[order]


def _correct(
    window: Array, origin: tuple[int, int], defects: Defects, inner: Tile, some: slice
) -> tuple[Array, Array]:
    """`correct` for some of the listed pixels."""
    y, x = np.divmod(defects.places[some], defects.shape[1])
    rings = defects.rings[some]
    here = (x >= inner.x) & (x < inner.x + inner.width)
    y, x, rings = y[here], x[here], rings[here]
    frames, height, width = window.shape
    flat = window.reshape(frames, -1)
    target = (y - origin[0]) * width + (x - origin[1])
    new = np.full((frames, len(target)), np.nan)
    widest = max(height, width) // defects.step
    for ring in np.unique(rings[rings > 0]):
        todo, span = np.flatnonzero(rings == ring), int(ring)
        while len(todo) and span <= widest:
            total, count = _ring_sums(
                flat, (height, width), origin, defects, y[todo], x[todo], span
            )
            mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
            new[:, todo] = np.where(np.isnan(new[:, todo]), mean, new[:, todo])
            # a frame in which all of them are missing takes the next wider ring
            todo = todo[np.isnan(new[:, todo]).any(axis=0)]
            span += 1
            # only as far as the window shows whole rings, or the image ends
            todo = todo[_shows(origin, (height, width), defects, y[todo], x[todo], span)]
    frame, n = np.nonzero(np.isnan(new))
    new[frame, n] = flat[frame, target[n]]
    flat[:, target] = new
    return frame, y[n] * defects.shape[1] + x[n]


def _shows(
    origin: tuple[int, int],
    size: tuple[int, int],
    defects: Defects,
    y: Array,
    x: Array,
    ring: int,
) -> Array:
    """Whether a window holds all of a ring that lies inside the image."""
    reach = ring * defects.step
    shown = np.ones(len(y), bool)
    for at, start, length, whole in zip((y, x), origin, size, defects.shape, strict=True):
        shown &= np.maximum(at - reach, 0) >= start
        shown &= np.minimum(at + reach, whole - 1) < start + length
    return shown


def _ring_sums(
    flat: Array,
    size: tuple[int, int],
    origin: tuple[int, int],
    defects: Defects,
    y: Array,
    x: Array,
    ring: int,
) -> tuple[Array, Array]:
    """Sum and number of the good neighbours on a ring, in the order of the image."""
    height, width = size
    rows, columns = defects.shape
    total = np.zeros((len(flat), len(y)))
    count = np.zeros((len(flat), len(y)), np.int64)
    for dy, dx in ring_offsets(int(ring)):
        ny, nx = y + dy * defects.step, x + dx * defects.step
        wy, wx = ny - origin[0], nx - origin[1]
        good = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
        good &= (wy >= 0) & (wy < height) & (wx >= 0) & (wx < width)
        good &= ~_contains(defects.places, ny * columns + nx)
        value = flat[:, np.where(good, wy * width + wx, 0)]
        use = good & ~np.isnan(value)
        total += np.where(use, value, 0.0)
        count += use
    return total, count
