"""Which image of a FITS file is meant: the one that it holds, or the one that was asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

from astropy.io import fits

from pulsar_dask._version import CREATOR
from pulsar_dask.errors import PulsarError, count, printable, refusal
from pulsar_dask.formats.hdus import BLOCK, Hdu, hdus_of, integer
from pulsar_dask.formats.values import Keywords, Lines, of_cards
from pulsar_dask.frames.keywords import about
from pulsar_dask.frames.planes import IN_FILES, plane_named

#: What an image says of another one of its shape: how good its pixels are.
_DESCRIBES = re.compile(
    r"(.*[ _-])?(UNCERT|UNCERTAINTY|MASK|ERR|ERROR|DQ|BPM|BADPIX|VAR|VARIANCE|IVAR|WEIGHT|WHT|STD|"
    r"STDDEV|SIGMA|RMS|NOISE|FLAGS?|QUALITY|EXPMAP)[ _-]?\d*",
    re.IGNORECASE,
)
#: What CCDData.write adds besides, of a shape of its own.
_NEVER = ("PSFIMAGE",)
_MOST_NAMED = 8


@dataclass(frozen=True)
class Image:
    """An HDU that holds an image."""

    hdu: Hdu
    """Its header without axes of length 1."""
    primary: Lines | fits.Header
    shape: tuple[int, ...]
    tiled: bool

    @property
    def keywords(self) -> Keywords:
        return Keywords(self.hdu.lines, self.primary)

    @property
    def name(self) -> str:
        """Its EXTNAME."""
        name = str(Keywords(self.hdu.lines).get("EXTNAME", "")).strip()
        return "" if name.upper() == "COMPRESSED_IMAGE" else name

    @property
    def mine(self) -> bool:
        """Whether this program wrote it."""
        return str(self.keywords.get("CREATOR", "")).startswith(f"{CREATOR} ")

    @property
    def plane(self) -> str | None:
        """Of what is no image but a plane of a master of this program: its name."""
        name = plane_named(self.name)
        return name if name in IN_FILES and self.mine else None


def image_of(
    file: IO[bytes], path: str, size: int, zipped: bool, wanted: int | str | None
) -> tuple[Image, int | str | None]:
    """The image of a file of that size, and what it was chosen by among several.

    Raises
    ------
    PulsarError
        There is none, none that is wanted, or several and none is wanted.
    """
    images = images_of(file, path, size, zipped, whole=wanted is not None)
    if wanted is not None:
        return wanted_image(images, wanted, path)
    if len(images) == 1:
        return images[0], None
    mine = any(image.mine for image in images)  # an archive moves the first one behind another
    named = [
        i
        for i in images
        if i.name.upper() in _NEVER
        or _DESCRIBES.fullmatch(i.name)
        or (mine and plane_named(i.name) in IN_FILES)
    ]
    own = [i for i in images if i not in named] or named[:1]
    shapes = [i.shape for i in own]
    own += [
        i for i in named if i not in own and i.shape not in shapes and i.name.upper() not in _NEVER
    ]
    if len(own) > 1:
        raise PulsarError(
            f"{printable(path)}: {len(own)} images in this file ({_listed(own)}); "
            "⟦hdu⟧ with a number or name says which one is meant",
            "unreadable",
        )
    return own[0], None


def images_of(
    file: IO[bytes], path: str, size: int, zipped: bool, *, whole: bool = True
) -> list[Image]:
    """The images of a file of that size: all, or as far as the one is sure that is meant."""
    return list(_images(file, path, size, zipped, whole))


def _images(file: IO[bytes], path: str, size: int, zipped: bool, whole: bool) -> Iterator[Image]:
    primary, empty, found = None, "", False
    hdus = hdus_of(file, path)
    while True:
        try:
            hdu = next(hdus, None)
        except Exception:
            # past its image a .gz is looked at as far as it goes: what is wrong with it is told
            # when it is expanded
            if found and zipped:
                return
            raise
        if hdu is None:
            break
        primary = primary if primary is not None else hdu.lines
        try:
            image = _image(hdu, primary, path)
        except _Empty as error:
            empty = empty or str(error)
            continue
        if image is None:
            continue
        yield image
        found = True
        if _is_last(file, path, size, zipped, hdu):
            return
        if not whole and (image.plane or (image.mine and hdu.index == 0)):
            return  # a master of this program holds one; `verify` tells of what was added
    if not found:
        raise refusal(path, empty or "no image with 2 or 3 axes in this FITS file")


def _is_last(file: IO[bytes], path: str, size: int, zipped: bool, hdu: Hdu) -> bool:
    """Whether nothing is behind an HDU, as far as can be told without a look."""
    end = hdu.offset + hdu.size
    padded = hdu.offset + -(-hdu.size // BLOCK) * BLOCK
    if not zipped:
        return size <= padded
    with open(path, "rb") as raw:  # the last four bytes say how much was compressed, modulo 2**32
        raw.seek(-4, os.SEEK_END)
        expanded = int.from_bytes(raw.read(4), "little")
    return expanded in (end % 2**32, padded % 2**32)


class _Empty(Exception):
    """An image without pixels."""


def _image(hdu: Hdu, primary: Lines | fits.Header, path: str) -> Image | None:
    found = _axes(hdu.lines, path)
    if found is None:
        return None
    z, lengths, kept = found
    if len(kept) < len(lengths):
        hdu = replace(hdu, lines=_of_axes(hdu.header, z, kept, lengths, path))
    return Image(hdu, primary, tuple(lengths[i] for i in reversed(kept)), bool(z))


@of_cards
def _axes(
    header: Lines | fits.Header, path: str
) -> tuple[str, Sequence[int], Sequence[int]] | None:
    """ "Z" where it is tiled, the lengths of an image's axes, and which of them count; None where
    it is no image."""
    if is_tiled(header):
        z = "Z"
    elif _extension(header) == "IMAGE" and Keywords(header).get("GROUPS") is not True:
        z = ""
    else:
        return None
    naxis = integer(header, z + "NAXIS", path)
    if not 2 <= naxis <= 999:
        return None
    lengths = [integer(header, f"{z}NAXIS{i}", path) for i in range(1, naxis + 1)]
    if min(lengths) < 0:
        raise refusal(path, "an axis has a negative length")
    if 0 in lengths:
        raise _Empty(f"the image has no pixels ({z}NAXIS{lengths.index(0) + 1} is 0)")
    kept = axes_that_count(lengths)
    return (z, lengths, kept) if len(kept) <= 3 else None


def axes_that_count(lengths: Sequence[int]) -> list[int]:
    """Those that are left without axes of length 1; two at least.

    >>> axes_that_count((50, 40, 1, 1)), axes_that_count((1, 50, 40)), axes_that_count((1, 1))
    ([0, 1], [1, 2], [0, 1])
    """
    kept = list(range(len(lengths)))
    for axis in reversed(range(len(lengths))):
        if len(kept) > 2 and lengths[axis] == 1:
            kept.remove(axis)
    return kept


def _of_axes(
    header: fits.Header, z: str, kept: Sequence[int], lengths: Sequence[int], path: str
) -> fits.Header:
    """A header that has only those axes."""
    tiles = [
        integer(header, f"ZTILE{i}", path, length if i == 1 else 1)
        for i, length in enumerate(lengths, 1)
    ]
    header = header.copy()
    header[z + "NAXIS"] = len(kept)
    for i, axis in enumerate(kept, 1):
        header[f"{z}NAXIS{i}"] = lengths[axis]
        if z:
            header[f"ZTILE{i}"] = tiles[axis]
    return header


def wanted_image(
    images: Sequence[Image], wanted: int | str, path: str
) -> tuple[Image, int | str | None]:
    """One of the images of a file, and what it was chosen by among several."""
    found = [i for i in images if _is_named(i, wanted)]
    if len(found) == 1:
        return found[0], wanted if len(images) > 1 else None
    if not found and len(images) == 1 and _is_master(images[0]):
        return images[0], None  # a bias or dark that was made of such an HDU
    what = f"HDU {wanted}" if isinstance(wanted, int) else printable(repr(wanted))
    how_many = f"{len(found)} images of the name" if found else "no image in"
    there = count(len(images), "image")
    of_two = "; NAME,EXTVER or a number tells them apart" if found else ""
    raise PulsarError(
        f"{printable(path)}: {how_many} {what}, which ⟦hdu⟧ names; it holds {there} "
        f"({_listed(images)}){of_two}",
        "unreadable",
    )


def _is_named(image: Image, wanted: int | str) -> bool:
    if isinstance(wanted, int):
        return image.hdu.index == wanted
    version = str(Keywords(image.hdu.lines).get("EXTVER", 1)).strip()
    names = (image.name.upper(), f"{image.name},{version}".upper())
    return wanted.strip().upper() in names


def _is_master(image: Image) -> bool:
    return image.mine or about(image.keywords).master is not None


def _listed(images: Sequence[Image]) -> str:
    names = [f"{i.hdu.index} {printable(i.name)}".strip() for i in images[:_MOST_NAMED]]
    return f"HDU {', '.join(names)}" + (" …" if len(images) > _MOST_NAMED else "")


def is_tiled(header: Lines | fits.Header) -> bool:
    return Keywords(header).get("ZIMAGE") is True and _extension(header) == "BINTABLE"


def _extension(header: Lines | fits.Header) -> str:
    """XTENSION; "IMAGE" for a primary header."""
    return str(Keywords(header).get("XTENSION", "IMAGE")).strip()
