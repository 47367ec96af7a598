"""FITS images whose pixels lie in the file as they are; and what images
in FITS files have in common."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, cast

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask.files.openlimit import open_limit
from pulsar_dask.formats.cards import fill_up
from pulsar_dask.formats.hdus import hdus_of, header_texts, opened
from pulsar_dask.formats.openfiles import (
    check_opened,
    guarded,
    open_plain,
    read_window,
)
from pulsar_dask.formats.readers import waiting
from pulsar_dask.frames.frame import Frame, Look, Stored
from pulsar_dask.kernels.checksum import read_rows
from pulsar_dask.kernels.native import if_loaded
from pulsar_dask.kernels.ordersum import WEIGHTS
from pulsar_dask.kernels.pixels import Tile


@contextlib.contextmanager
def _opened(frame: Frame) -> Iterator[IO[bytes]]:
    with opened(frame.path) as (file, _):
        check_opened(frame, file)
        yield file


@dataclass(frozen=True, slots=True)
class FitsImage(Stored):
    """An image in an HDU of a FITS file."""

    hdu: int
    """Index of the HDU."""
    offset: int
    """Byte at which its data begin, in the expanded file where it is gzipped."""
    length: int
    """Bytes of its data, without padding."""
    chosen: int | str | None = field(default=None, kw_only=True)

    @property
    def token(self) -> int:
        return self.hdu

    def header(self, frame: Frame) -> fits.Header:
        """The header of its HDU, with the cards of the primary header that it lacks."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with _opened(frame) as file:
                hdus = []
                for hdu in hdus_of(file, frame.path):
                    hdus.append(hdu)
                    if hdu.index == self.hdu:
                        break
            header = self.image_header(hdus[-1].header)
            if len(hdus) > 1:
                fill_up(header, hdus[0].header)
            return header

    def header_texts(self, frame: Frame) -> list[bytes]:
        with _opened(frame) as file:
            return header_texts(file, frame.path, self.hdu)

    def image_header(self, header: fits.Header) -> fits.Header:
        """What the header of its HDU says of the image."""
        return header


Array = np.ndarray[Any, Any]
#: Files read in one go: a thread holds so many open beyond those that are kept.
_AT_ONCE = max(1, min(16, open_limit() // 16))


@dataclass(frozen=True, slots=True)
class Plain(FitsImage):
    """An image as it is."""

    waits: ClassVar[bool] = True

    @property
    def at_once(self) -> int:
        """As many as compiled code reads, where that is loaded: between two reads in Python a
        thread waits for the others."""
        return _AT_ONCE if _reads_rows() else 1

    @property
    def unit(self) -> tuple[int, int]:
        return self.offset, self.length

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> Array | None:
        if _reads_rows():
            found = np.empty((len(frames) if sums else 0, 2), np.uint64)
            if _read_at_once(frames, tile, out, found) == len(frames):
                return found if sums else None
        for frame, image in zip(frames, out, strict=True):  # tells what is wrong
            guarded(_read_one)(frame, tile, image)
        return None

    def read_and_look(
        self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool, look: Look
    ) -> Array | None:
        code = look.prepared() if _reads_rows() else None
        if code is not None:
            found = np.empty((len(frames) if sums else 0, 2), np.uint64)
            if _read_at_once(frames, tile, out, found, code) == len(frames):
                return found if sums else None
            look.forget()  # those before the one that fails, and it fails again
        return FitsImage.read_and_look(self, frames, tile, out, sums=sums, look=look)


def _reads_rows() -> bool:
    return hasattr(os, "pread") and if_loaded(read_rows) is not None


def _offset(frame: Frame) -> int:
    return cast(Plain, frame.stored).offset


def _read_one(frame: Frame, tile: Tile, image: Array) -> None:
    read_window(open_plain(frame), _offset(frame), frame, tile, image)


def _read_at_once(
    frames: Sequence[Frame],
    tile: Tile,
    out: Array,
    sums: Array,
    look: tuple[int, Array] = (0, np.empty(0, np.int64)),
) -> int:
    """How many of the frames were read whole, from the first on."""
    rows, columns = frames[0].shape[-2:]
    first = ((tile.plane * rows + tile.y) * columns + tile.x) * out.itemsize
    # a whole tile's width is one row of bytes
    height = tile.height if tile.width < columns else 1
    files = [guarded(open_plain)(frame) for frame in frames]
    arguments = (
        np.array([file.number for file in files]),
        np.array([_offset(frame) + first for frame in frames]),
        columns * out.itemsize,
        out.view(np.uint8).reshape(len(frames), height, -1),
        first,
        WEIGHTS,
        sums,
        *look,
        out.itemsize,
        clock := np.zeros(20, np.int64),
    )
    with waiting(len(frames), clock):
        count: int = read_rows(*arguments)
    return count
