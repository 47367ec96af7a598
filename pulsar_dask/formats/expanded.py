"""Frames that are expanded before a tile of them is read."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.compressed import open_tiled, read_section
from pulsar_dask.formats.guard import guarded
from pulsar_dask.formats.hdus import most_expanded
from pulsar_dask.formats.openfiles import OpenFile, check_status
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import GB
from pulsar_dask.kernels.tile import Grid, Tile

Array = np.ndarray[Any, Any]


def read_window(file: OpenFile, offset: int, frame: Frame, tile: Tile, image: Array) -> None:
    rows, columns = frame.shape[-2:]
    start = offset + ((tile.plane * rows + tile.y) * columns + tile.x) * image.itemsize
    if tile.width == columns:
        file.read_into(image, start)
    else:
        for row in image:
            file.read_into(row, start)
            start += columns * image.itemsize


class _Scratch:
    """Pixels that cannot be entered in the middle, expanded once into one temporary file.

    On POSIX the file has no name from the start; on Windows the system deletes it with its
    last handle. Either way it is gone when the process is, however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: OpenFile | None = None
        self._places: dict[Frame, tuple[int, threading.Lock, list[bool]]] = {}
        self._end = 0

    def place(self, frame: Frame) -> tuple[OpenFile, int]:
        """The file and byte where the pixels of a frame lie; expands them the first time."""
        with self._lock:
            if self._file is None:
                raw = tempfile.TemporaryFile(prefix="pulsar-dask-", buffering=0)  # noqa: SIM115
                self._file = OpenFile(raw)
            file = self._file
            if frame not in self._places:
                self._places[frame] = self._end, threading.Lock(), []
                self._end += frame.nbytes
            position, lock, done = self._places[frame]
        with lock:
            if not done:
                check_status(frame, os.stat(frame.path))
                _check_room([frame])
                self._fill(file, position, frame)
                done.append(True)
        return file, position

    def _fill(self, file: OpenFile, position: int, frame: Frame) -> None:
        parts = _gzip_parts(frame) if frame.storage == "gzip" else _tiled_parts(frame)
        try:
            for part in parts:
                file.write(part, position)
                position += len(part)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            raise PulsarError(
                f"no space for the pixels of {printable(frame.path)} in "
                f"{tempfile.gettempdir()}; point TMPDIR to a folder with more"
            ) from error

    def drop(self) -> None:
        with self._lock:
            self._file = None
            self._places.clear()
            self._end = 0


SCRATCH = _Scratch()


def expand(frames: Sequence[Frame], threads: int) -> None:
    """Expand those frames that have to be, several at a time."""
    expanded = [f for f in frames if f.expanded]
    if expanded:
        _check_room(expanded)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for _ in pool.map(guarded(SCRATCH.place), expanded):
            pass


def _check_room(frames: Sequence[Frame]) -> None:
    """Refuse frames that no folder for temporary files can hold expanded."""
    needed, free = sum(f.nbytes for f in frames), shutil.disk_usage(tempfile.gettempdir()).free
    if needed > free:
        more = f" and {len(frames) - 1} more" if len(frames) > 1 else ""
        raise PulsarError(
            f"{printable(frames[0].path)}{more}: no space for the pixels in "
            f"{printable(tempfile.gettempdir())}, {needed / GB:.3g} GB of which {free / GB:.3g} "
            "are free; point TMPDIR to a folder with more"
        )


def _gzip_parts(frame: Frame) -> Iterator[bytes]:
    left = frame.nbytes
    with gzip.open(frame.path, "rb") as source:
        source.seek(frame.offset)
        while left:
            part = source.read(min(left, 1 << 20))
            if not part:
                raise EOFError("truncated, its data end too early")
            yield part
            left -= len(part)
        most = source.tell() + most_expanded(frame.size)
        while source.read(1 << 20):  # to the end, where gzip compares its checksum
            if source.tell() > most:
                raise ValueError("it expands to much more than its image")


def _tiled_parts(frame: Frame) -> Iterator[memoryview]:
    columns = frame.shape[-1]
    for tile in (t for _, t in Grid(frame.shape, frame.block[0], columns)):
        part = np.empty(tile.shape, frame.pixels.stored)
        read_section(frame, tile, part)
        yield memoryview(cast(Any, part)).cast("B")
    open_tiled.cache_clear()


def read_expanded(frame: Frame, tile: Tile, image: Array) -> None:
    file, offset = SCRATCH.place(frame)
    read_window(file, offset, frame, tile, image)
