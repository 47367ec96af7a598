"""A master frame's header and file: tiles go to their place in it as they come."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask.errors import PulsarError
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.formats.hdus import BLOCK
from pulsar_dask.frames.provenance import Trace, history_cards
from pulsar_dask.kernels.checksum import MINUS_ZERO, ORDER_CARD, Sums, both_sums, encode_checksum
from pulsar_dask.kernels.tile import Tile

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


#: Bytes for each pixel that `encode` holds beside values and result: the rounded value, and what
#: tells those apart that do not fit or are missing.
ENCODING_BYTES = 8 + 2


def encoding_bytes(dtype: str) -> int:
    """Bytes for each pixel that `encode` holds beside its values."""
    rounding = 0 if np.dtype(dtype).kind == "f" else 4  # of float64 values, half a value twice
    return ENCODING_BYTES + 2 * np.dtype(dtype).itemsize + rounding


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
