"""Locks of files between processes, which end with the process that holds them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

fcntl: Any
msvcrt: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

#: Where Windows locks a byte, so that those before it can be read.
_LOCKED_BYTE = 1 << 30
#: Seconds that nobody takes for what is done in a turn, unless it was stopped.
_PATIENCE = 60
_LOOK = 0.02


def lock_file(fd: int) -> bool:
    """Lock an open file until it is closed; False if another process has done so, OSError where
    there are no locks."""
    if fcntl is None:
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def turn(folders: Iterable[str], name: str) -> Iterator[None]:
    """Wait until no other process is at what has this name, by a file in the first of the folders
    that takes one; without waiting where none does: for what costs time alone if two do it."""
    with contextlib.ExitStack() as after:
        for folder in folders:
            path = os.path.join(folder, f".{name}.turn")
            with contextlib.suppress(OSError):
                os.makedirs(folder, 0o700, exist_ok=True)
                fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
                after.callback(_leave, fd, path)
                last = time.monotonic() + _PATIENCE
                while not lock_file(fd) and time.monotonic() < last:
                    time.sleep(_LOOK)
                break
        yield


def _leave(fd: int, path: str) -> None:
    """Windows removes no file that is open; elsewhere its name goes first, so that who comes later
    does not lock what others no longer see."""
    try:
        os.unlink(path)
    except OSError:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(path)
    else:
        os.close(fd)
