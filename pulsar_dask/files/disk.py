"""What is written comes to the disk, and is read back from there; what to say where it is not."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import sys
import threading
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.kernels.checksum import both_sums
from pulsar_dask.kernels.ordersum import Sums

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_READ_AT_ONCE = 1 << 20
_WINDOWS_LOCK = threading.Lock()


def failure(path: str, error: OSError) -> PulsarError:
    """What to say when an output cannot be written."""
    advice = _ADVICE.get(error.errno or 0, "")
    if sys.platform == "win32" and isinstance(error, PermissionError):
        advice = f": close it in other programs{advice.replace(':', ', or', 1)}"
    return PulsarError(
        f"{printable(path)}: cannot be written ({error.strerror or error}){advice}", "write"
    )


_ADVICE = {
    errno.ENOSPC: ": free some space, or name an output on another disk",
    errno.EDQUOT: ": free some space, or name an output on another disk",
    errno.EFBIG: ": a file may not be that large here (`ulimit -f`, or the file system)",
    errno.EROFS: ": name an output in a folder that can be written to",
    errno.EACCES: ": name an output in a folder that can be written to",
    errno.EPERM: ": name an output in a folder that can be written to",
    errno.ENOENT: ": its folder has gone",
    errno.EMFILE: ": too many open files, raise `ulimit -n`",
    errno.EIO: ": the disk or its connection is failing",
}


def unlike(path: str, reason: str = "") -> PulsarError:
    """What to say when an output does not read back as it was written."""
    return PulsarError(
        f"{printable(path)}: what was written does not read back the same{reason}; "
        "the disk or its connection is failing; nothing was replaced",
        "write",
    )


def settled(path: str, fd: int, start: int, stop: int, *, passing: bool = False) -> Sums | None:
    """`read_part` of what was just written, brought to the disk before."""
    if passing and (found := _past_memory(fd, start, stop)) is not None:  # which writes it first
        return found
    try:
        os.fsync(fd)
    except OSError as error:
        raise failure(path, error) from error
    return read_part(fd, start, stop)


def read_part(fd: int, start: int, stop: int, *, passing: bool = False) -> Sums | None:
    """Sums of a part of a file as the disk has it; None if it ends before. It stays in memory for
    who reads it next, but for what is `passing`, where the system can do without."""
    if start == stop:
        return Sums()
    if passing and (found := _past_memory(fd, start, stop)) is not None:
        return found
    drop_cached(fd, start, stop)
    return _sums(fd, memoryview(bytearray(min(stop - start, _READ_AT_ONCE))), start, stop)


def _past_memory(fd: int, start: int, stop: int) -> Sums | None:
    """The same without the system's copy in memory, which is written first where it is newer, and
    makes room; None where that is not to be had (Linux alone has it)."""
    if not hasattr(os, "O_DIRECT") or start % mmap.PAGESIZE:
        return None
    try:
        straight = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT)
        try:
            pages = memoryview(mmap.mmap(-1, _READ_AT_ONCE))  # begins with a page, as it must
            return _sums(straight, pages, start, stop)
        finally:
            os.close(straight)
            drop_cached(fd, start, stop)
    except OSError:
        return None


def _sums(fd: int, buffer: memoryview, start: int, stop: int) -> Sums | None:
    """Of what is read through a buffer, all of it at a time."""
    total = Sums()
    for at in range(start, stop, len(buffer)):
        length = min(len(buffer), stop - at)
        if not filled(fd, buffer, at, length):
            return None
        total += both_sums(np.frombuffer(buffer[:length], np.uint8), at)
    return total


def filled(fd: int, view: memoryview, offset: int, least: int | None = None) -> bool:
    """Fill a buffer, or at least so much of it, from a place in a file; False if that ends
    before."""
    left = len(view) if least is None else least
    while left > 0:
        done = _pread(fd, view, offset)
        if not done:
            return False
        view, offset, left = view[done:], offset + done, left - done
    return True


def drop_cached(fd: int, start: int, stop: int) -> None:
    """Have a part of a file that was synced read from the disk the next time, where the system
    can."""
    with contextlib.suppress(OSError):
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, start, stop - start, os.POSIX_FADV_DONTNEED)
        elif sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_NOCACHE, 1)


def sync(fd: int) -> None:
    """Have a file's content on the disk."""
    if sys.platform == "darwin":  # where fsync leaves it in the disk's own memory
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def sync_folder(folder: str) -> None:
    """Have the names in a folder on the disk."""
    with contextlib.suppress(OSError):  # Windows cannot open a folder, and need not
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_at(fd: int, data: Any, offset: int) -> None:
    """Write bytes (any C-contiguous buffer) at a place in an open file."""
    view = memoryview(data).cast("B")
    while view:
        done = _pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def _pwrite(fd: int, view: memoryview, offset: int) -> int:
    """`os.pwrite`, everywhere."""
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, view, offset)
    with _WINDOWS_LOCK:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, view)


def _pread(fd: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(fd, [view], offset)
    with _WINDOWS_LOCK:
        os.lseek(fd, offset, os.SEEK_SET)
        data = os.read(fd, len(view))
    view[: len(data)] = data
    return len(data)
