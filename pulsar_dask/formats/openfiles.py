"""Files open for positioned reads, and what libraries raise over damaged ones."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any, cast

import numpy as np

from pulsar_dask.errors import PulsarError, exhausted, printable, refusal
from pulsar_dask.files.openlimit import open_limit
from pulsar_dask.formats.readers import waiting
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]


def check_unchanged(frames: Sequence[Frame]) -> None:
    """Raise PulsarError if a file is no longer the one that was scanned, by this process."""
    for frame in frames:
        if frame.file is None:
            continue
        try:
            status = os.stat(frame.file)
        except OSError as error:
            raise PulsarError(f"{printable(frame.path)}: {error.strerror}", "unreadable") from error
        _check_status(frame, status)
        # Another file of that size and time. Each of the two alone changes without that: the
        # number in some network folders, the time with a further link or other permissions.
        if status.st_ino != frame.inode and status.st_ctime_ns != frame.ctime_ns:
            raise _changed(frame.path)


class OpenFile:
    """A file open for positioned reads; closed when nothing refers to it any more."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._lock = threading.Lock()

        self.number: int = raw.fileno()

    def stat(self) -> os.stat_result:
        return os.fstat(self.number)

    def read_into(self, array: Array, offset: int) -> None:
        """Fill a C-contiguous array with the bytes at `offset`."""
        view = memoryview(cast(Any, array.view(np.uint8))).cast("B")
        done = 0
        with waiting():
            while done < len(view):
                if hasattr(os, "preadv"):
                    count = os.preadv(self.number, [view[done:]], offset + done)
                else:  # Windows
                    with self._lock:
                        self._raw.seek(offset + done)
                        count = self._raw.readinto(view[done:]) or 0
                if count == 0:
                    raise EOFError("the file ends too early")
                done += count

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes at `offset`."""
        part = np.empty(count, np.uint8)
        self.read_into(part, offset)
        return part.tobytes()

    def write(self, data: bytes | memoryview, offset: int) -> None:
        with self._lock:
            self._raw.seek(offset)
            view = memoryview(data)
            while view:
                view = view[self._raw.write(view) :]

    def __del__(self) -> None:
        self._raw.close()


_CLOSE: list[Callable[[], None]] = []


def on_close(close: Callable[[], None]) -> None:
    """Have a function called whenever the files that are kept open are closed."""
    _CLOSE.append(close)


def close_kept() -> None:
    """Close the files kept open for reading, and drop the scratch file."""
    for close in _CLOSE:
        close()


def open_plain(frame: Frame) -> OpenFile:
    # by a few values: to hash a whole frame for each read would cost as much as the read; a worker
    # that goes on for days may have one open that was replaced by another of its size and time
    return _open_file(frame.path, frame.size, frame.mtime_ns, frame.inode)


@functools.lru_cache(maxsize=open_limit())
def _open_file(path: str, size: int, mtime_ns: int, inode: int) -> OpenFile:
    file = OpenFile(open(path, "rb", buffering=0))  # noqa: SIM115
    status = file.stat()
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise _changed(path)
    return file


on_close(_open_file.cache_clear)


def read_window(file: OpenFile, offset: int, frame: Frame, tile: Tile, image: Array) -> None:
    """Fill an image with a tile of a frame whose pixels lie in a file from a byte on."""
    rows, columns = frame.shape[-2:]
    start = offset + ((tile.plane * rows + tile.y) * columns + tile.x) * image.itemsize
    if tile.width == columns:
        file.read_into(image, start)
    else:
        for row in image:
            file.read_into(row, start)
            start += columns * image.itemsize


def check_opened(frame: Frame, file: IO[bytes]) -> None:
    """Raise PulsarError if a file that was opened for a frame is not the one of its headers."""
    _check_status(frame, os.fstat(file.fileno()))


def _check_status(frame: Frame, status: os.stat_result) -> None:
    if (status.st_size, status.st_mtime_ns) != (frame.size, frame.mtime_ns):
        raise _changed(frame.path)


def _changed(path: str) -> PulsarError:
    return PulsarError(
        f"{printable(path)}: the file changed after its header was read; "
        "run again when nothing writes to it",
        "changed",
    )


def guarded(read: Callable[..., Any]) -> Callable[..., Any]:
    """`read`, with what a damaged file makes the libraries raise told as a PulsarError."""

    def guarded(frame: Frame, *args: Any, **more: Any) -> Any:
        try:
            return read(frame, *args, **more)
        except PulsarError:
            raise
        except Exception as error:
            if text := exhausted(error):
                raise PulsarError(f"{printable(frame.place)}: {text}", "unreadable") from error
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            what, way_out = f"its pixels cannot be read ({reason})", frame.stored.way_out
            raise refusal(frame.place, what, way_out) from error

    return guarded
