"""FITS files: headers are read block by block, pixels never.

The image is the HDU with 2 axes, or 3 (planes, Y, X), see `fitsimage`: primary, IMAGE extension or
tile-compressed. Keywords that it lacks are looked for in the primary header. The file may be
gzipped.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask.errors import PulsarError, printable, refusal
from pulsar_dask.formats.fitsimage import Image, image_of, images_of, wanted_image
from pulsar_dask.formats.gzipped import Gzipped
from pulsar_dask.formats.hdus import Hdu, integer, opened, real
from pulsar_dask.formats.plain import FitsImage, Plain
from pulsar_dask.formats.values import Keywords, Lines, ManyKeywords, of_cards
from pulsar_dask.frames.frame import Frame, Stated
from pulsar_dask.frames.keywords import about
from pulsar_dask.frames.planes import IN_FILES
from pulsar_dask.kernels.checksum import ORDER_CARD, word_sum
from pulsar_dask.kernels.ordersum import order_in
from pulsar_dask.kernels.pixels import PixelType

#: gzip makes nothing smaller than this (its longest match in two bits of code).
_GZIP_RATIO = 1032
_BITPIX = (8, 16, 32, 64, -32, -64)


def recognise(path: str) -> bool:
    """Whether a path is to be read as FITS: any is, and where it is none, that is told."""
    return True


def scan(path: str, hdu: int | str | None = None) -> list[Frame]:
    """The image of a file, or the one of an HDU, by index or EXTNAME, as its headers describe it.

    Raises
    ------
    PulsarError
        The file cannot be read, is not FITS, is damaged, or holds no image, or more than one.
    """
    looked = opened(path)
    with looked as (file, zipped):
        image, chosen = image_of(file, path, looked.status.st_size, zipped, hdu)
        return [_frame(path, looked.status, image, zipped, chosen)]


def scan_planes(path: str) -> dict[str, Frame]:
    """The planes in a file that this program wrote, by name; none of those that are damaged."""
    found = {}
    looked = opened(path)
    with looked as (file, zipped):
        images = images_of(file, path, looked.status.st_size, zipped)
        for plane in IN_FILES.values():
            with contextlib.suppress(PulsarError):
                image, chosen = wanted_image(images, plane.extname, path)
                if image.plane == plane.name:  # else it is the only image there is
                    found[plane.name] = _frame(path, looked.status, image, zipped, chosen)
    return found


def _frame(
    path: str, status: os.stat_result, image: Image, zipped: bool, chosen: int | str | None
) -> Frame:
    hdu, tiled = image.hdu, image.tiled
    least = -(-(hdu.offset + hdu.size) // (_GZIP_RATIO if zipped else 1))
    if status.st_size < least:
        raise refusal(path, f"truncated, {status.st_size} bytes of at least {least}")
    header = hdu.lines
    if tiled and zipped:
        raise PulsarError(
            f"{printable(path)}: a tile-compressed image inside a .gz; expand it with gunzip first",
            "unreadable",
        )
    lengths = list(reversed(image.shape))
    bitpix = integer(header, ("Z" if tiled else "") + "BITPIX", path)
    stored: FitsImage
    if tiled:
        from pulsar_dask.formats.tables import check_tiles, coding, rice_table
        from pulsar_dask.formats.tiled import Tiled

        width = integer(header, "ZTILE1", path, lengths[0])
        height = integer(header, "ZTILE2", path, 1)
        check_tiles(hdu, lengths, bitpix, status.st_size, path)
        coded, rice = coding(hdu, path), rice_table(hdu, path)
        block = (max(1, height), max(1, width))
        stored = Tiled(hdu.index, hdu.offset, hdu.size, coded, rice, block, chosen=chosen)
    else:
        kind = Gzipped if zipped else Plain
        stored = kind(hdu.index, hdu.offset, hdu.size, chosen=chosen)
    try:
        return Frame(
            path=path,
            shape=image.shape,
            pixels=_pixel_type(header, path, bitpix, tiled),
            stored=stored,
            stated=_stated(hdu, tiled),
            plane=image.plane,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
            ctime_ns=status.st_ctime_ns,
            about=about(ManyKeywords(header, *([image.primary] if hdu.index else [])), path),
        )
    except fits.VerifyError as error:
        raise refusal(path, str(error)) from error


def _stated(hdu: Hdu, tiled: bool) -> Stated | None:
    keywords = Keywords(hdu.lines)
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


@of_cards
def _pixel_type(header: Lines | fits.Header, path: str, bitpix: int, tiled: bool) -> PixelType:
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
