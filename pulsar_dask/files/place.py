"""A file that is being made, for other processes to write to: those that see it under its name.

The name alone says nothing: on another machine another file may have it. So the file begins with
random bytes as long as it is being made, and who writes has read them there. It is opened for
each tile: a task of a worker that was given up, which comes late, finds neither the name nor the
bytes; what it was writing meanwhile are the bytes that another task wrote for it, at their place.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pulsar_dask.files.disk import drop_cached, sync, write_at

_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"))


@dataclass(frozen=True)
class Place:
    """Where a file is being made; small, so that it travels."""

    path: str
    token: bytes
    file: tuple[str, int, int]
    """The running system, the device and the number of the file, where it was made."""

    @staticmethod
    def of(path: str | None, fd: int, token: bytes) -> Place:
        """Of an open file that begins with the token."""
        assert path is not None
        status = os.fstat(fd)
        return Place(path, token, (_system(), status.st_dev, status.st_ino))

    def write(self, pieces: Iterable[tuple[int, Any]]) -> bool:
        """Write (offset, bytes) and bring them to the disk.

        Returns
        -------
        bool
            False where the file is not seen, or cannot be written to from here: then it is for
            the process that made it to write them, and to say what hinders it.
        """
        try:
            fd = self._open()
            if fd is None:
                return False
            try:
                for offset, data in pieces:
                    write_at(fd, data, offset)
                status = os.fstat(fd)
                # one system has one copy of it in memory, which who made the file brings there
                if (_system(), status.st_dev, status.st_ino) != self.file:
                    sync(fd)
            finally:
                os.close(fd)
        except OSError:
            return False
        return True

    def _open(self) -> int | None:
        """The file, for writing alone: where network folders read, too, before they write part of
        a page, they write all of it, and what others have written there is lost."""
        reading = os.open(self.path, os.O_RDONLY | _FLAGS)
        try:
            found, there = os.read(reading, len(self.token)), os.fstat(reading)
            drop_cached(reading, 0, 0)
        finally:
            os.close(reading)
        if found != self.token:
            return None
        fd = os.open(self.path, os.O_WRONLY | _FLAGS)
        if os.path.samestat(os.fstat(fd), there):
            return fd
        os.close(fd)
        return None


def new_token() -> bytes:
    """Bytes that a file begins with while it is being made, and no other file does."""
    return os.urandom(32)


@functools.cache
def _system() -> str:
    """Which start of which system this is, so that two processes know that they share its memory;
    random where that cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return os.urandom(16).hex()
