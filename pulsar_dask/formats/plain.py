"""FITS images whose pixels lie in the file as they are.

They are read with positioned reads straight into the tile; a memory map would count the page
cache against the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from pulsar_dask.formats.fitsimage import FitsImage
from pulsar_dask.formats.guard import guarded
from pulsar_dask.formats.openfiles import open_limit, open_plain, read_window
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.loaded import if_loaded
from pulsar_dask.kernels.ordersum import WEIGHTS
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]
#: Files read in one go: a thread holds so many open beyond those that are kept.
_AT_ONCE = max(1, min(16, open_limit() // 16))


@dataclass(frozen=True, slots=True)
class Plain(FitsImage):
    """An image as it is."""

    @property
    def at_once(self) -> int:
        """As many as compiled code reads, where that is loaded: between two reads in Python a
        thread waits for the others."""
        return _AT_ONCE if _read_rows() else 1

    @property
    def unit(self) -> tuple[int, int]:
        return self.offset, self.length

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> Array | None:
        if read_rows := _read_rows():
            found = np.empty((len(frames) if sums else 0, 2), np.uint64)
            if _read_at_once(read_rows, frames, tile, out, found) == len(frames):
                return found if sums else None
        for frame, image in zip(frames, out, strict=True):  # tells what is wrong
            guarded(_read_one)(frame, tile, image)
        return None


def _read_rows() -> Any:
    return if_loaded("read_rows", "sumcode") if hasattr(os, "pread") else None


def _offset(frame: Frame) -> int:
    return cast(Plain, frame.stored).offset


def _read_one(frame: Frame, tile: Tile, image: Array) -> None:
    read_window(open_plain(frame), _offset(frame), frame, tile, image)


def _read_at_once(
    read_rows: Any, frames: Sequence[Frame], tile: Tile, out: Array, sums: Array
) -> int:
    """How many of the frames were read whole, from the first on."""
    rows, columns = frames[0].shape[-2:]
    first = ((tile.plane * rows + tile.y) * columns + tile.x) * out.itemsize
    # a whole tile's width is one row of bytes
    height = tile.height if tile.width < columns else 1
    files = [guarded(open_plain)(frame) for frame in frames]
    count: int = read_rows(
        np.array([file.number for file in files]),
        np.array([_offset(frame) + first for frame in frames]),
        columns * out.itemsize,
        out.view(np.uint8).reshape(len(frames), height, -1),
        first,
        WEIGHTS,
        sums,
    )
    return count
