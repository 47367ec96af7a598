"""FITS images in a .gz, which cannot be entered in the middle."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.formats.expanded import read_expanded
from pulsar_dask.formats.hdus import most_expanded
from pulsar_dask.formats.openfiles import check_opened
from pulsar_dask.formats.plain import FitsImage
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]
#: Bytes that expanding a .gz holds beside what it writes on: parts of 1 MB, and gzip's own.
_PARTS = 4_000_000
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Gzipped(FitsImage):
    """An image as it is once its file is expanded."""

    @property
    def expanded(self) -> bool:
        return True

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> None:
        read_expanded(frames, tile, out)

    def parts(self, frame: Frame) -> Iterator[bytes]:
        left = frame.nbytes
        with open(frame.path, "rb") as file, gzip.GzipFile(fileobj=file) as source:
            check_opened(frame, file)
            source.seek(self.offset)
            while left:
                part = source.read(min(left, _STEP))
                if not part:
                    raise EOFError("truncated, its data end too early")
                yield part
                left -= len(part)
            most = source.tell() + most_expanded(frame.size)
            while source.read(_STEP):  # to the end, where gzip compares its checksum
                if source.tell() > most:
                    raise ValueError("it expands to much more than its image")

    def expanding_bytes(self, frame: Frame, *, compiled: bool) -> int:
        return _PARTS
