"""What is known of a frame, and the conventions of the programs that wrote it.

A `Frame` is a small immutable value made from headers alone. Reading pixels is a
function of it, so it travels to any thread, process or machine.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

from pulsar_dask.frames.keywords import kind_of
from pulsar_dask.kernels.pixels import PixelType

Storage = Literal["plain", "tiled", "gzip", "zarr"]
#: Rows of a compression tile up to which reading it again for each tile is worth while.
MOST_BLOCK_ROWS = 64


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


@dataclass(frozen=True, slots=True)
class Stated:
    """The checksums that a frame's header states (FITS standard 4.0, section 4.4.2.7)."""

    data: int | None
    """DATASUM of the HDU."""
    header: int | None
    """Where there is a CHECKSUM, the sum of the header: with that of the data it is -0."""
    pixels: int | None
    """What DATASUM was before the image was compressed."""
    order: tuple[int, int] | None = None
    """Of a master of this program: DATASUM, and the sum of those data that sees their order. A
    program that changes pixels and leaves this card gives the data another DATASUM."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image in one file, as its headers describe it. No pixel has been read."""

    path: str
    """Absolute path."""
    hdu: int
    """Index of the HDU that holds the image."""
    shape: tuple[int, ...]
    """(y, x) or (plane, y, x), in pixels."""
    pixels: PixelType
    storage: Storage
    """"plain": pixels lie in the file as they are; "tiled": tile-compressed; "gzip": in a .gz;
    "zarr": in a Zarr store."""
    offset: int
    """Byte at which the data of its HDU begin (in the expanded file for "gzip")."""
    block: tuple[int, int]
    """Rows and columns of a compression tile or chunk; (1, 1) where pixels lie as they are."""
    rice: RiceTable | None
    """How to decode the tiles, where they are Rice-coded integers."""
    size: int
    """Bytes in the file when it was scanned."""
    mtime_ns: int
    """Time of last change when it was scanned, in ns."""
    label: str | None
    """IMAGETYP as written, without surrounding blanks; None where missing or empty."""
    exposure: float | None
    """Seconds."""
    filter: str | None
    date: str | None
    """DATE-OBS as written."""
    temperature: float | None
    """°C."""
    gain: float | str | None
    bias_level: float | str | None
    """The camera's OFFSET setting."""
    binning: tuple[int, int] | None
    """Pixels along x and y."""
    camera: str | None
    readout: str | None
    bayer: str | None
    problem: str | None = None
    """What is wrong with a keyword that a pipeline would need, in words."""
    inode: int = 0
    """Number of the file and time of its status, where it was scanned; see
    `reading.check_unchanged`."""
    ctime_ns: int = 0
    index: int = 0
    """Place among the frames of a Zarr store."""
    depth: int = 1
    """Frames in its Zarr store, which are read together."""
    length: int = 0
    """Bytes of data in its HDU, without padding."""
    stated: Stated | None = None
    """Checksums in its header, where there are any."""
    coding: Coding | None = None
    """How its tiles are compressed, where they are."""

    @property
    def file(self) -> str:
        """The file whose size and time tell whether the frame is as it was scanned."""
        if self.storage != "zarr":
            return self.path
        # the path is store/place/name, so that each frame has its own
        return os.path.join(os.path.dirname(os.path.dirname(self.path)), "zarr.json")

    @property
    def kind(self) -> str | None:
        """ "bias", "dark", "flat", "light", "other"; None for an unlabelled frame."""
        return kind_of(self.label)[0]

    @property
    def is_master(self) -> bool:
        return kind_of(self.label)[1]

    @property
    def expanded(self) -> bool:
        """Whether its pixels have to be expanded into a scratch file before a tile is read:
        a .gz cannot be entered in the middle, nor can a compression tile of many rows."""
        return self.storage == "gzip" or (
            self.storage == "tiled" and self.block[0] > MOST_BLOCK_ROWS
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the stored pixels, not compressed."""
        return math.prod(self.shape) * self.pixels.stored.itemsize
