"""A master frame's header and file: tiles go to their place in it as they come."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask._version import __version__
from pulsar_dask.atomic import AtomicFile
from pulsar_dask.cards import COMMENTARY, ascii_text, standard_card, standard_date, tidy
from pulsar_dask.checksum import MINUS_ZERO, ORDER_CARD, Sums, both_sums, encode_checksum
from pulsar_dask.errors import PulsarError
from pulsar_dask.frame import EXPOSURE_KEYWORDS, TEMPERATURE_KEYWORDS, Frame
from pulsar_dask.outputs import CREATOR
from pulsar_dask.scan import BLOCK, STRUCTURE, read_header
from pulsar_dask.tiles import Tile
from pulsar_dask.trace import Trace, history_cards

Array = np.ndarray[Any, Any]

#: dtype of an output: BITPIX, BZERO (FITS standard 4.0, table 11).
OUTPUT_TYPES = {
    "uint8": (8, 0),
    "int16": (16, 0),
    "uint16": (16, 32768),
    "int32": (32, 0),
    "uint32": (32, 2147483648),
    "float32": (-32, 0),
    "float64": (-64, 0),
}

#: Extremes of one frame, which a master does not share; a card that has lost its meaning.
_DROPPED = STRUCTURE | {"DATAMIN", "DATAMAX", "BLOCKED"}


def default_dtype(frames: Sequence[Frame]) -> str:
    """float32, or float64 where a frame has 32- or 64-bit integers or 64-bit floats."""
    return "float64" if any(f.pixels.wide for f in frames) else "float32"


def common(values: Sequence[Any]) -> Any:
    """The one value that all share, else None."""
    return values[0] if all(v == values[0] for v in values) else None


def master_header(
    frames: Sequence[Frame],
    *,
    kind: str | None,
    method: str = "median",
    tolerance: float = 0.001,
) -> fits.Header:
    """The header of the master of some frames, without the cards of its structure and its trace.

    It begins as the first frame's and then tells the truth about the whole.

    Parameters
    ----------
    frames : sequence of Frame
    kind : str or None
        "bias", "dark", "flat", …: IMAGETYP becomes 'Master Dark'; None: 'Master'.
    method : str
        COMBMETH.
    tolerance : float
        Seconds within which exposures are the same; EXPTIME is the one of most frames.
    """
    header, tail = _without_tail(clean_header(frames[0]))
    header["IMAGETYP"] = (f"Master {kind.capitalize()}" if kind else "Master", "kind of frame")
    header["NCOMBINE"] = (len(frames), "number of frames combined")
    header["COMBMETH"] = (method, "how they were combined")
    _set(header, EXPOSURE_KEYWORDS, _common_exposure(frames, tolerance), "[s] exposure time")
    name = common([f.filter for f in frames])
    _set(header, ("FILTER",), name and ascii_text(name), "filter")
    dates = sorted(d for f in frames if f.date and (d := standard_date(f.date)))
    if dates:
        header["DATE-OBS"] = (dates[0], "start of the earliest frame")
        header.set("DATE-END", dates[-1], "start of the latest frame", after="DATE-OBS")
    temperatures = [f.temperature for f in frames if f.temperature is not None]
    if temperatures:
        value = round(median(temperatures), 6)
        header["CCD-TEMP"] = (value, "[degC] median of the frames")
        for keyword in TEMPERATURE_KEYWORDS[1:]:
            if keyword in header:
                header[keyword] = value
    header["CREATOR"] = (f"{CREATOR} {__version__}", "program that wrote this file")
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "[UTC] when it was written")
    header.extend(tail, unique=False, update=False, end=True)
    return header


def _without_tail(header: fits.Header) -> tuple[fits.Header, list[fits.Card]]:
    """A header, and the comments at its end, which astropy would walk through for each card that
    is put before them."""
    cards = list(header.cards)
    last = next((i for i in reversed(range(len(cards))) if cards[i].keyword not in COMMENTARY), -1)
    return fits.Header(cards[: last + 1]), cards[last + 1 :]


def clean_header(frame: Frame) -> fits.Header:
    """A frame's cards in standard form, without those of its structure, scaling and checksums."""
    kept: dict[Any, fits.Card] = {}  # of a keyword the first card that is in form
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        for i, card in enumerate(read_header(frame).cards):
            keyword = card.keyword
            if keyword in _DROPPED or keyword in kept or keyword.startswith("NAXIS"):
                continue
            new = standard_card(card)
            if new is not None:
                kept.setdefault(i if new.keyword in COMMENTARY else new.keyword, new)
        return tidy(list(kept.values()), len(frame.shape))


def _common_exposure(frames: Sequence[Frame], tolerance: float) -> float | None:
    exposures = sorted(f.exposure for f in frames if f.exposure is not None)
    if not exposures or len(exposures) < len(frames):
        return None
    # a hair of room, so that two times written 1 ms apart are within 1 ms
    if any(b - a > tolerance + 1e-9 for a, b in itertools.pairwise(exposures)):
        return None
    return Counter(exposures).most_common(1)[0][0]


def _set(header: fits.Header, keywords: Sequence[str], value: Any, comment: str) -> None:
    for keyword in keywords[1:] if keywords[0] in header or value is None else ():
        header.remove(keyword, ignore_missing=True)
    if value is None:
        header.remove(keywords[0], ignore_missing=True)
    else:
        header[keywords[0]] = (value, comment)


def to_dtype(values: Array, dtype: str) -> tuple[Array, int, int]:
    """float64 values as an output type.

    Integers are rounded half to even and clipped; a missing value (NaN) becomes 0 there.

    Returns
    -------
    data : ndarray of `dtype`
    clipped : int
        Values outside the range of an integer type.
    missing : int
        Values that are NaN.
    """
    gone = np.isnan(values)
    missing = int(np.count_nonzero(gone))
    if np.dtype(dtype).kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype), 0, missing
    info = np.iinfo(dtype)
    rounded = np.rint(np.where(gone, 0.0, values) if missing else values)
    clipped = int(np.count_nonzero((rounded < info.min) | (rounded > info.max)))
    return np.clip(rounded, info.min, info.max, out=rounded).astype(dtype), clipped, missing


def encode(values: Array, dtype: str) -> tuple[Array, int, int]:
    """Values as they lie in a file of a type, big-endian; how many were clipped, how many are
    missing (see `to_dtype`)."""
    native, clipped, missing = to_dtype(values, dtype)
    if OUTPUT_TYPES[dtype][1]:
        native = native.view(f"i{native.itemsize}") ^ np.iinfo(f"i{native.itemsize}").min
    return native.astype(native.dtype.newbyteorder(">")), clipped, missing


#: Bytes of a file that are brought to the disk and read back while others are computed.
_PART = 8 << 20


class FitsMaster:
    """A FITS file with one primary image, written tile by tile, in any order.

    Memory does not grow with the image. `write` may be called from several threads. Used as
    a context manager: `commit` makes the file appear, else nothing is left of it. With `verify`
    it is read back from the disk before.
    """

    def __init__(
        self,
        path: str,
        shape: tuple[int, ...],
        dtype: str,
        header: fits.Header,
        trace: Trace = Trace(),  # noqa: B008
        *,
        verify: bool = True,
    ) -> None:
        if dtype not in OUTPUT_TYPES:
            raise PulsarError(f"--dtype {dtype}: not one of {', '.join(OUTPUT_TYPES)}")
        self.shape, self.dtype = shape, dtype
        self.bitpix, self.bzero = OUTPUT_TYPES[dtype]
        self.clipped = 0
        """Pixels that did not fit an integer type."""
        self.missing = 0
        """Pixels without any value."""
        self._header = self._complete(header)
        self._trace, self._home = trace, os.path.dirname(os.path.abspath(path))
        self._data_start = len(self._bytes({}, {}))
        self._size = int(np.prod(shape, dtype=object)) * abs(self.bitpix) // 8
        self._sums = Sums()
        self._written: Counter[int] = Counter()  # bytes of each part of the file
        self._verify = verify
        self._sealed = False
        self._lock = threading.Lock()
        padded = -(-self._size // BLOCK) * BLOCK
        self.file = self._file = AtomicFile(path, self._data_start + padded)

    def _complete(self, cards: fits.Header) -> fits.Header:
        header = fits.Header()
        header["SIMPLE"] = (True, "conforms to FITS standard")
        header["BITPIX"] = (self.bitpix, "array data type")
        header["NAXIS"] = (len(self.shape), "number of array dimensions")
        for i, length in enumerate(reversed(self.shape), 1):
            header[f"NAXIS{i}"] = length
        if self.bzero:
            header["BSCALE"] = 1
            header["BZERO"] = (self.bzero, "offset of unsigned integers")
        header["CHECKSUM"] = ("0" * 16, "checksum of this HDU")
        header["DATASUM"] = ("0".ljust(10), "checksum of the data")
        header[ORDER_CARD] = (Sums().text, "DATASUM, sum that sees order")
        header.extend(cards.cards, unique=False, update=False, end=True)
        return header

    def _bytes(self, sums: Mapping[str, Sums], written: Mapping[str, int]) -> Array:
        """The whole header."""
        text: str = self._header.tostring(endcard=False, padding=False)
        text += history_cards(self._trace.texts(self._home, sums, written)) + "END".ljust(80)
        return np.frombuffer(text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii"), np.uint8)

    def write(self, tile: Tile, values: Array) -> None:
        """Write the float64 values of a tile, shape (height, width), rounded once."""
        self.put(tile, *encode(values, self.dtype))

    def put(self, tile: Tile, data: Array, clipped: int, missing: int) -> None:
        """Write what `encode` has made of a tile."""
        rows, columns = self.shape[-2:]
        first = (tile.plane * rows + tile.y) * columns + tile.x
        pieces = data.reshape(1, -1) if tile.width == columns else data
        pieces = pieces.view(np.uint8)
        offset, step = first * data.itemsize, columns * data.itemsize
        for i, piece in enumerate(pieces):
            place = self._data_start + offset + i * step
            self._file.write_at(piece, place)
            if self._verify:
                self._settle(place, piece.nbytes)
        sums = both_sums(pieces, offset, step=step)
        with self._lock:
            self._sums += sums
            self.clipped += clipped
            self.missing += missing

    def _settle(self, offset: int, length: int) -> None:
        """Count what was written; a part that is full is settled."""
        first, last = offset // _PART, (offset + length - 1) // _PART
        for part in range(first, last + 1):
            inside = min(offset + length, (part + 1) * _PART) - max(offset, part * _PART)
            with self._lock:
                self._written[part] += inside
                full = self._written[part] == _PART
            if full:
                self._file.settle(part * _PART, (part + 1) * _PART)

    def seal(self, sums: Mapping[str, Sums] = {}, written: Mapping[str, int] = {}) -> None:
        """Put in the checksums and bring the file to the disk.

        Parameters
        ----------
        sums : mapping
            Those of the inputs by path, for the trace.
        written : mapping
            CRC-32 of lists that are written beside it, by path.
        """
        self._header["DATASUM"] = str(self._sums.words).ljust(10)
        self._header[ORDER_CARD] = self._sums.text
        data = self._sums.later(self._data_start)
        total = both_sums(self._bytes(sums, written)) + data
        self._header["CHECKSUM"] = encode_checksum(~total.words & MINUS_ZERO)
        text = self._bytes(sums, written)
        if len(text) != self._data_start:
            raise AssertionError("the header changed its size")
        self._file.write_at(text, 0)
        if self._verify:
            self._file.seal(MINUS_ZERO, (both_sums(text) + data).order)
        else:
            self._file.seal()
        self._sealed = True

    def commit(self, check: Callable[[], None] | None = None, *, wait: bool = True) -> None:
        """Give the file its name, after `seal`; see `atomic.AtomicFile.commit`."""
        if not self._sealed:
            self.seal()
        self._file.commit(check, wait=wait)

    def __enter__(self) -> FitsMaster:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._file.close()
