"""What is known of a frame, and the conventions of the programs that wrote it.

A `Frame` is a small immutable value made from headers alone. Reading pixels is a
function of it, so it travels to any thread, process or machine.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pulsar_dask.errors import printable

Storage = Literal["plain", "tiled", "gzip", "zarr"]

#: BZERO that turns FITS's signed (and unsigned 8-bit) integers into the other sign
#: (FITS standard 4.0, section 5.2.5, table 11).
_OTHER_SIGN = {8: -128.0, 16: 32768.0, 32: 2147483648.0, 64: 9223372036854775808.0}
_OTHER_DTYPE = {8: "i1", 16: "u2", 32: "u4", 64: "u8"}
#: Rows of a compression tile up to which reading it again for each tile is worth while.
MOST_BLOCK_ROWS = 64
_STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


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


# --- the conventions of the capture programs ---------------------------------------

#: IMAGETYP, lower case, without blanks, '_' and '-': what it means.
KINDS = {
    "dark": "dark",
    "darkframe": "dark",
    "flat": "flat",
    "flatframe": "flat",
    "flatfield": "flat",
    "skyflat": "flat",
    "domeflat": "flat",
    "twilightflat": "flat",
    "bias": "bias",
    "biasframe": "bias",
    "zero": "bias",
    "zeroframe": "bias",
    "light": "light",
    "lightframe": "light",
    "object": "light",
    "science": "light",
}

EXPOSURE_KEYWORDS = ("EXPTIME", "EXPOSURE")
TEMPERATURE_KEYWORDS = ("CCD-TEMP", "CCDTEMP", "DET-TEMP", "SENSTEMP")
CAMERA_KEYWORDS = ("INSTRUME", "CAMERA")
READOUT_KEYWORDS = ("READOUTM", "READMODE")


def kind_of(label: str | None) -> tuple[str | None, bool]:
    """The kind that an IMAGETYP stands for, and whether it is a master.

    >>> kind_of(" DARK  "), kind_of("Master Flat"), kind_of(None)
    (('dark', False), ('flat', True), (None, False))
    """
    if label is None:
        return None, False
    words = re.sub(r"[\s_-]+", "", label.lower())
    master = words.startswith("master")
    return KINDS.get(words.removeprefix("master"), "other"), master


def frame_keywords(header: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a `Frame` that comes from keywords about the exposure.

    Parameters
    ----------
    header : mapping
        Keyword to value, as `astropy.io.fits.Header` or a dict.

    Returns
    -------
    dict
        The fields `label` to `problem` of `Frame`.
    """
    exposure, problem = None, None
    for keyword in EXPOSURE_KEYWORDS:
        value = header.get(keyword)
        if value is None or value == "":
            continue
        number = _number(value)
        if number is None or not 0 <= number < 1e9:
            problem = f"{keyword} is {shown(value)}, not a time in seconds"
        else:
            exposure = number
        break
    binning = _number(header.get("XBINNING")), _number(header.get("YBINNING"))
    return {
        "label": _text(header.get("IMAGETYP")),
        "exposure": exposure,
        "filter": _text(header.get("FILTER")),
        "date": _text(header.get("DATE-OBS")),
        "temperature": _first(_number, header, TEMPERATURE_KEYWORDS),
        "gain": _setting(header.get("GAIN")),
        "bias_level": _setting(header.get("OFFSET")),
        "binning": None if None in binning else (int(binning[0] or 0), int(binning[1] or 0)),
        "camera": _first(_text, header, CAMERA_KEYWORDS),
        "readout": _first(_text, header, READOUT_KEYWORDS),
        "bayer": _text(header.get("BAYERPAT")),
        "problem": problem,
    }


def shown(value: Any) -> str:
    """A value of a header for a message: fit for a terminal, cut where it is long."""
    text = printable(repr(value))
    return text if len(text) <= 70 else f"{text[:70]}…"


def _first(convert: Any, header: Mapping[str, Any], keywords: tuple[str, ...]) -> Any:
    found = (convert(header.get(k)) for k in keywords)
    return next((v for v in found if v is not None), None)


def _text(value: Any) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text or None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _setting(value: Any) -> float | str | None:
    number = _number(value)
    return number if number is not None else _text(value)
