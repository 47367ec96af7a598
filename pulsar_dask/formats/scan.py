"""From a path to a `Frame`: headers are read block by block, pixels never."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.cards import COMMENTARY
from pulsar_dask.formats.hdus import (
    Hdu,
    Keywords,
    hdus_of,
    integer,
    opened,
    real,
    refusal,
    status_of,
)
from pulsar_dask.formats.tables import check_tiles, coding, image_header, rice_table
from pulsar_dask.frames.frame import Frame, Stated
from pulsar_dask.frames.keywords import frame_keywords
from pulsar_dask.kernels.checksum import ORDER_CARD, order_in, word_sum
from pulsar_dask.kernels.pixels import PixelType

#: gzip makes nothing smaller than this (its longest match in two bits of code).
_GZIP_RATIO = 1032
_BITPIX = (8, 16, 32, 64, -32, -64)


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
    status = status_of(path)
    with opened(path) as (file, zipped):
        primary: fits.Header | None = None
        for hdu in hdus_of(file, path):
            primary = primary if primary is not None else hdu.header
            if not _is_image(hdu.header, path):
                continue
            least = -(-(hdu.offset + hdu.size) // (_GZIP_RATIO if zipped else 1))
            if status.st_size < least:
                raise refusal(path, f"truncated, {status.st_size} bytes of at least {least}")
            return _frame(path, status, hdu, primary, zipped)
    raise refusal(path, "no image with 2 or 3 axes in this FITS file")


def scan_frames(paths: Sequence[str]) -> list[Frame]:
    """`scan_frame` of each path, in order; of a Zarr store all its frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return [frame for path in paths for frame in _frames_of(path)]


def _frames_of(path: str) -> list[Frame]:
    if os.path.isdir(path) and path.lower().rstrip("/\\").endswith(".zarr"):
        from pulsar_dask.formats.storeread import scan_store

        return scan_store(path)
    return [scan_frame(path)]


def read_header(frame: Frame) -> fits.Header:
    """The image header of a frame as it would be were it not compressed, with the cards
    of the primary header that it lacks."""
    if frame.storage == "zarr":
        from pulsar_dask.formats.storeread import header_of

        return header_of(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        with opened(frame.path) as (file, _):
            hdus = []
            for hdu in hdus_of(file, frame.path):
                hdus.append(hdu)
                if hdu.index == frame.hdu:
                    break
        header = hdus[-1].header
        if frame.storage == "tiled":
            header = image_header(header)
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


#: Cards that describe a file's own bytes rather than the image.
STRUCTURE = frozenset(
    "SIMPLE XTENSION BITPIX NAXIS EXTEND PCOUNT GCOUNT GROUPS CHECKSUM DATASUM ZHECKSUM ZDATASUM "
    "DATAORD EXTNAME EXTVER EXTLEVEL INHERIT BSCALE BZERO BLANK TFIELDS THEAP LONGSTRN END".split()
)


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
    naxis = integer(header, z + "NAXIS", path)
    lengths = [integer(header, f"{z}NAXIS{i}", path) for i in range(1, naxis + 1)]
    bitpix = integer(header, z + "BITPIX", path)
    if min(lengths) < 0:
        raise refusal(path, "an axis has a negative length")
    block = (1, 1)
    if tiled:
        width = integer(header, "ZTILE1", path, lengths[0])
        height = integer(header, "ZTILE2", path, 1)
        block = (max(1, height), max(1, width))
        check_tiles(hdu, lengths, bitpix, status.st_size, path)
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
            rice=rice_table(hdu, path) if tiled else None,
            coding=coding(hdu, path) if tiled else None,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
            ctime_ns=status.st_ctime_ns,
            **frame_keywords(keywords),  # type: ignore[arg-type]
        )
    except fits.VerifyError as error:
        raise refusal(path, str(error)) from error


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


def _pixel_type(header: fits.Header, bitpix: int, tiled: bool, path: str) -> PixelType:
    if bitpix not in _BITPIX:
        raise refusal(path, f"BITPIX is {bitpix}, which no FITS image has")
    bscale = real(header, "BSCALE", path, 1.0)
    if bscale == 0:
        raise refusal(path, "BSCALE is 0, so every pixel has the same value")
    blank = None
    if bitpix > 0:
        keyword = "ZBLANK" if tiled and "ZBLANK" in header else "BLANK"
        blank = integer(header, keyword, path, None) if keyword in header else None
        if blank is not None and not _representable(blank, bitpix):
            blank = None
    return _one_type(bitpix, bscale, real(header, "BZERO", path, 0.0), blank)


#: One object for all frames that are alike: they are compared often.
_one_type = functools.lru_cache(maxsize=64)(PixelType)


def _representable(value: int, bitpix: int) -> bool:
    low, high = (0, 255) if bitpix == 8 else (-(2 ** (bitpix - 1)), 2 ** (bitpix - 1) - 1)
    return low <= value <= high


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
    naxis = integer(header, z + "NAXIS", path)
    if naxis not in (2, 3):
        return False
    for i in range(1, naxis + 1):
        if integer(header, f"{z}NAXIS{i}", path) == 0:
            raise refusal(path, f"the image has no pixels ({z}NAXIS{i} is 0)")
    return True
