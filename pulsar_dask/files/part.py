"""Temporary names beside outputs, and temporary folders that tell what they are for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import weakref
from collections.abc import Mapping
from typing import Any

from pulsar_dask.files.held import Folder
from pulsar_dask.files.interrupts import uninterrupted
from pulsar_dask.kernels.locks import lock_file

_PART = re.compile(r"\..*\.pulsar-([0-9a-f]{12})\.part", re.DOTALL)
LOCK = "lock"
#: What the names held before, as long as they are to get it back; where it is when they are not.
OLD, DONE = "old", "done"
#: A file on its way from having no name to its own.
NEW = "new"
_MADE_BY = "pulsar-dask"
_NOT_NAMES = {"", ".", "..", LOCK, OLD, DONE, NEW}
_RECORD_BYTES = 1 << 20

Identity = tuple[int, int, int]
"""What tells a file from others that have its name later: number, size, time."""


def temporary_name(path: str) -> str:
    """A new name beside a path, for what will take its place."""
    folder, name = os.path.split(path)
    start = name.encode(errors="ignore")[:100].decode(errors="ignore")
    return os.path.join(folder, f".{start}.pulsar-{secrets.token_hex(6)}.part")


def is_temporary(path: str) -> bool:
    """Whether a path has a name of `temporary_name`."""
    return _PART.fullmatch(os.path.basename(path)) is not None


def identity(status: os.stat_result) -> Identity:
    """The `Identity` of a file."""
    return status.st_ino, status.st_size, status.st_mtime_ns


# --- locks ---------------------------------------------------------------------------------


def hold(fd: int, folder: Folder, name: str) -> bool:
    """Mark a new file as in use, as long as it is open; False if another run, which has found
    it not yet marked, is removing it."""
    try:
        if not lock_file(fd):
            return False
    except OSError:  # no locks in this file system, so nobody removes what is not locked
        return True
    return has_name(fd, folder, name)


def has_name(fd: int, folder: Folder, name: str) -> bool:
    status = folder.stat(name)
    return status is not None and os.path.samestat(os.fstat(fd), status)


# --- a temporary folder ----------------------------------------------------------------------


class Part:
    """A temporary folder beside outputs, that this user alone can look into.

    It has a lock, which tells that a process holds it, with a record of the names that it is
    for. `close` removes it and what is in it.
    """

    def __init__(self, path: str, names: Mapping[str, Identity | None]) -> None:
        """`path` is an output that it lies beside; `names` are those of outputs there, and what
        will have them."""
        self.beside = Folder.open(os.path.dirname(path))
        self._held = held = _Held(self.beside)
        # From before it exists: an interrupt can come before the caller enters `with`.
        self.close = weakref.finalize(self, held.discard)
        try:
            while not held.make(os.path.basename(temporary_name(path)), names):
                pass
        except BaseException:
            self.close()
            raise
        self.folder: Folder = held.folder  # type: ignore[assignment]
        self.path = self.folder.path
        self._names = names

    def keep_folder(self) -> Folder:
        """Make the place of what the names held before."""
        self.folder.make(OLD)
        return self.folder.enter(OLD)

    def put_back(self) -> None:
        """Give all names what they held before; where that fails it stays for the next run."""
        try:
            put_back(self.beside, self.folder, self._names)
        except BaseException:
            self._held.stays = True
            raise

    def settle(self) -> None:
        """From here on nothing is put back any more, in one step."""
        self.folder.move(OLD, self.folder, DONE)


class _Held:
    """What has to be removed of a `Part`."""

    def __init__(self, beside: Folder) -> None:
        self.beside = beside
        self.name = ""
        self.folder: Folder | None = None
        self.lock = -1
        self.names: Mapping[str, Any] = {}
        self.stays = False

    def make(self, name: str, names: Mapping[str, Identity | None]) -> bool:
        """False if another run has just removed the folder while it was empty."""
        self.name, self.names = name, names
        self.beside.make(name)
        try:
            self.folder = self.beside.enter(name)
            self.lock = self.folder.open_file(LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            if not hold(self.lock, self.folder, LOCK):
                raise FileNotFoundError(LOCK)
        except FileNotFoundError:
            self._remove()
            return False
        os.lseek(self.lock, 0, os.SEEK_SET)
        os.write(self.lock, _record(name, names))
        os.fsync(self.lock)
        return True

    def discard(self) -> None:
        with uninterrupted():
            self._remove()
            self.beside.close()

    def _remove(self) -> None:
        if self.folder is not None:
            empty = not self.stays and empty_part(self.folder, self.names)
            if self.lock >= 0:
                fd, self.lock = self.lock, -1
                os.close(fd)  # Windows does not remove an open file
            if empty:
                with contextlib.suppress(OSError):
                    self.folder.unlink(LOCK)
            self.folder.close()
            self.folder = None
        if self.name and not self.stays:
            with contextlib.suppress(OSError):
                self.beside.remove_empty(self.name)


def _record(name: str, names: Mapping[str, Identity | None]) -> bytes:
    content = {"made by": _MADE_BY, "as": _token(name), "names": names}
    return json.dumps(content).encode("ascii")


def _token(name: str) -> str:
    match = _PART.fullmatch(name)
    return match[1] if match else ""


def read_record(fd: int, name: str) -> dict[str, Identity | None] | None:
    """The names in a lock; None if this program has not made it for a folder of that name."""
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        content = json.loads(os.read(fd, _RECORD_BYTES))
        if (content["made by"], content["as"]) != (_MADE_BY, _token(name)):
            return None
        names = {k: v if v is None else tuple(map(int, v)) for k, v in content["names"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    plain = (os.path.basename(n) == n and n not in _NOT_NAMES for n in names)
    return names if all(plain) else None  # type: ignore[return-value]


def put_back(beside: Folder, part: Folder, names: Mapping[str, Identity | None]) -> None:
    """Give names what they held before, where they still have what was to take its place."""
    if part.stat(OLD) is None:
        return
    with part.enter(OLD) as old:
        kept = set(old.names())
        for name, new in names.items():
            now = beside.stat(name)
            if now is not None and identity(now) != new:
                continue
            if name in kept:
                old.move(name, beside, name)
            elif now is not None:
                beside.unlink(name)


def empty_part(part: Folder, names: Mapping[str, Any]) -> bool:
    """Remove all but the lock, which stays for the next run as long as anything does."""
    for name in (NEW, OLD, DONE, *names):
        with contextlib.suppress(OSError):
            part.clear(name)
    with contextlib.suppress(OSError):
        return set(part.names()) <= {LOCK}
    return False
