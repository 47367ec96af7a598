"""A folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable
from typing import Any

from pulsar_dask.files.atomic import make_writable
from pulsar_dask.files.disk import failure, sync, sync_folder
from pulsar_dask.files.held import BY_DESCRIPTOR, Folder
from pulsar_dask.files.interrupts import uninterrupted
from pulsar_dask.files.part import Part


class AtomicFolder:
    """A new folder (a Zarr store) that takes its name when it is whole.

    It lies as `store` in a temporary folder, which tells that a process holds it. Used as
    `AtomicFile`.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._name = os.path.basename(self.path)
        try:
            self._part = Part(self.path, {self._name: None})
        except OSError as error:
            raise failure(self.path, error) from error
        self.store = os.path.join(self._part.path, self._name)

    def seal(self) -> None:
        """Bring all files to the disk."""
        try:
            for folder, _, files in os.walk(self.store):
                for name in files:
                    fd = os.open(os.path.join(folder, name), os.O_RDWR)
                    try:
                        sync(fd)
                    finally:
                        os.close(fd)
                sync_folder(folder)
        except OSError as error:
            raise failure(self.path, error) from error

    def commit(self, check: Callable[[], None] | None = None, *, wait: bool = True) -> None:
        """Give the folder its name; what has that name goes away only then."""
        part, name = self._part, self._name
        with uninterrupted():
            try:
                if check is not None:
                    check()
                _make_removable(self.path)
                there = part.beside.stat(name) is not None
                if not (there and _exchange(part.folder, part.beside, name)):
                    self._rename(there)
            except OSError as error:
                raise failure(self.path, error) from error
            if wait:
                sync_folder(os.path.dirname(self.path))
            self.close()

    def _rename(self, there: bool) -> None:
        """In two steps; a kill between them is mended by the next run's `remove_stale`."""
        part, name = self._part, self._name
        with part.keep_folder() as old:
            if there:
                part.beside.move(name, old, name)
            try:
                part.folder.move(name, part.beside, name)
            except OSError:
                part.put_back()
                raise

    def close(self) -> None:
        """Remove the temporary folder and what is in it."""
        self._part.close()

    def __enter__(self) -> AtomicFolder:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _make_removable(path: str) -> None:
    """What is read-only hinders its removal if it is a folder, and on Windows everywhere."""
    if BY_DESCRIPTOR:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for _, _, _, fd in os.fwalk(path):
                with contextlib.suppress(OSError):
                    if not (mode := os.fstat(fd).st_mode) & stat.S_IWUSR:
                        os.fchmod(fd, mode | stat.S_IWUSR)
        return
    make_writable(path)
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names):
            make_writable(os.path.join(folder, name))


def _exchange(a: Folder, b: Folder, name: str) -> bool:
    """Let what has one name in two folders change places at once, where the system can."""
    import ctypes

    function, flag = {"linux": ("renameat2", 2), "darwin": ("renameatx_np", 2)}.get(
        sys.platform, ("", 0)
    )
    call = getattr(ctypes.CDLL(None), function, None) if function else None
    if call is None or a.fd is None or b.fd is None:
        return False
    text = os.fsencode(name)
    return bool(call(a.fd, text, b.fd, text, ctypes.c_uint(flag)) == 0)
