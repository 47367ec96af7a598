"""How pixel values are stored, and tiles: the rectangles in which a stack is read."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Whether numbers as FITS has them are to be swapped here.
SWAP = sys.byteorder == "little"
#: BZERO that turns FITS's signed (and unsigned 8-bit) integers into the other sign
#: (FITS standard 4.0, section 5.2.5, table 11).
_OTHER_SIGN = {8: -128.0, 16: 32768.0, 32: 2147483648.0, 64: 9223372036854775808.0}
_OTHER_DTYPE = {8: "i1", 16: "u2", 32: "u4", 64: "u8"}
_STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def bits_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The integers as which stored numbers are looked at, in native order: unsigned of one byte."""
    return np.dtype(f"i{dtype.itemsize}" if dtype.itemsize > 1 else "u1")


@dataclass(frozen=True, slots=True)
class PixelType:
    """How pixel values are stored: ``value = stored * bscale + bzero``."""

    bitpix: int
    """FITS BITPIX: 8, 16, 32, 64, -32 or -64."""
    bscale: float = 1.0
    bzero: float = 0.0
    blank: int | None = None
    """The stored integer that means "no value"."""

    @property
    def stored(self) -> np.dtype[Any]:
        """dtype of the pixels as they lie in the file (big-endian)."""
        return np.dtype(_STORED[self.bitpix])

    @property
    def floating(self) -> bool:
        return self.bitpix < 0

    @property
    def other_sign(self) -> bool:
        """Whether BZERO only flips the sign convention (uint16 stored as int16, …)."""
        return self.bscale == 1.0 and self.bzero == _OTHER_SIGN.get(self.bitpix)

    @property
    def scaled(self) -> bool:
        """Whether values differ from stored numbers by more than the sign convention."""
        return not self.other_sign and (self.bscale, self.bzero) != (1.0, 0.0)

    @property
    def overflows(self) -> bool:
        """Whether a stored number may be beyond float64 when it is scaled: a missing value, as
        infinities are."""
        if not self.scaled:
            return False
        largest = float(np.finfo(self.stored).max) if self.floating else 2.0**self.bitpix
        return math.isinf(largest * abs(self.bscale) + abs(self.bzero))

    @property
    def native(self) -> np.dtype[Any]:
        """dtype that holds the values exactly: integers stay integers unless they are
        scaled (float64) or can be missing (float32 up to 16 bits, else float64)."""
        if self.scaled:
            return np.dtype("f8")
        if self.floating:
            return np.dtype("f4" if self.bitpix == -32 else "f8")
        if self.blank is not None:
            return np.dtype("f4" if self.bitpix <= 16 else "f8")
        if self.other_sign:
            return np.dtype(_OTHER_DTYPE[self.bitpix])
        return self.stored.newbyteorder("=")

    @property
    def wide(self) -> bool:
        """Whether a median of such pixels needs float64 (32-bit integers and up)."""
        return self.bitpix in (32, 64, -64)


def as_stored(values: Array, pixels: PixelType) -> Array:
    """Values of the native type as FITS stores them, but for the order of bytes."""
    if not pixels.other_sign:
        return values
    unsigned = values.view(f"u{values.itemsize}")
    flipped: Array = unsigned ^ unsigned.dtype.type(1 << (8 * values.itemsize - 1))
    return flipped.view("u1" if values.itemsize == 1 else f"i{values.itemsize}")


#: Type of values: how a FITS file would store them (see `PixelType.native`).
PIXELS = {
    "uint8": PixelType(8),
    "int8": PixelType(8, 1.0, -128.0),
    "int16": PixelType(16),
    "uint16": PixelType(16, 1.0, 32768.0),
    "int32": PixelType(32),
    "uint32": PixelType(32, 1.0, 2147483648.0),
    "int64": PixelType(64),
    "uint64": PixelType(64, 1.0, 9223372036854775808.0),
    "float32": PixelType(-32),
    "float64": PixelType(-64),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of one plane: rows y to y + height, columns x to x + width."""

    plane: int
    y: int
    x: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Grid:
    """An image cut into tiles of one size, the last ones smaller."""

    shape: tuple[int, ...]
    """(y, x) or (plane, y, x)."""
    height: int
    width: int

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Tile lengths along each axis, as dask writes them."""
        rows, columns = self.shape[-2:]
        planes = ((1,) * self.shape[0],) if len(self.shape) == 3 else ()
        return (*planes, _cuts(rows, self.height), _cuts(columns, self.width))

    def __len__(self) -> int:
        return math.prod(len(c) for c in self.chunks)

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], Tile]]:
        """(index of the tile along each axis, tile), in the order of the file."""
        rows, columns = self.shape[-2:]
        planes = range(self.shape[0]) if len(self.shape) == 3 else [None]
        for plane in planes:
            for i, y in enumerate(range(0, rows, self.height)):
                for j, x in enumerate(range(0, columns, self.width)):
                    tile = Tile(
                        plane or 0, y, x, min(self.height, rows - y), min(self.width, columns - x)
                    )
                    yield ((i, j) if plane is None else (plane, i, j)), tile


def _cuts(length: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, length - start) for start in range(0, length, step))
