"""Frames that are expanded before a tile of them is read."""

from __future__ import annotations

import errno
import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.openfiles import OpenFile, guarded, on_close, read_window
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import GB
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]


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
                _check_room([frame])
                self._fill(file, position, frame)
                done.append(True)
        return file, position

    def _fill(self, file: OpenFile, position: int, frame: Frame) -> None:
        try:
            for part in frame.stored.parts(frame):
                file.write(part, position)
                position += len(part)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            raise PulsarError(
                f"no space for the pixels of {printable(frame.path)} in "
                f"{tempfile.gettempdir()}; point TMPDIR to a folder with more",
                "system",
            ) from error

    def drop(self) -> None:
        with self._lock:
            self._file = None
            self._places.clear()
            self._end = 0


SCRATCH = _Scratch()
on_close(SCRATCH.drop)


def expand(frames: Sequence[Frame], threads: int) -> None:
    """Expand those frames that have to be, several at a time."""
    expanded = [f for f in frames if f.stored.expanded]
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
            "are free; point TMPDIR to a folder with more",
            "system",
        )


def read_expanded(frames: Sequence[Frame], tile: Tile, out: Array) -> None:
    """`Stored.read` of frames that are expanded, now if they were not before."""
    for frame, image in zip(frames, out, strict=True):
        file, offset = SCRATCH.place(frame)
        read_window(file, offset, frame, tile, image)
