"""What a killed run has left under temporary names.

Whoever may write to a folder can put there what looks like a leftover. So what is touched is a
real file or folder, of this user, held by its descriptor; a folder that nobody else can write
to, with a record in it that tells what it is for. Nothing else in it is believed.
"""

from __future__ import annotations

import contextlib
import os
import stat

from pulsar_dask.files.disk import fcntl
from pulsar_dask.files.held import Folder, is_mine, is_real_folder
from pulsar_dask.files.part import (
    DONE,
    LOCK,
    NEW,
    OLD,
    Identity,
    empty_part,
    has_name,
    is_temporary,
    put_back,
    read_record,
)
from pulsar_dask.kernels.locks import lock_file


def remove_stale(folder: str) -> None:
    """Remove what runs that were killed have left in a folder, and give outputs back that they
    had begun to replace; what a process holds, and what is not surely theirs, stays."""
    with contextlib.suppress(OSError), Folder.open(folder) as place:
        for name in filter(is_temporary, place.names()):
            with contextlib.suppress(OSError, ValueError):  # names that no file can have
                status = place.stat(name)
                if status is None:
                    continue
                if is_real_folder(status):
                    _recover(place, name)
                elif _is_own_file(status):
                    _remove_file(place, name)


def _is_own_file(status: os.stat_result) -> bool:
    """Whether it is a file of this user that has no other name: one with two may be anything."""
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return own and stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _remove_file(place: Folder, name: str) -> None:
    if fcntl is None:  # Windows does not remove what a process has open
        place.unlink(name)
        return
    fd = place.open_file(name, os.O_RDWR)
    try:
        if _is_own_file(os.fstat(fd)) and lock_file(fd) and has_name(fd, place, name):
            place.unlink(name)
    finally:
        os.close(fd)


def _recover(place: Folder, name: str) -> None:
    with place.enter(name) as part:
        if not is_mine(part.status()):
            return
        if part.names():
            lock = part.open_file(LOCK, os.O_RDWR)
            try:
                if not _is_unheld(lock, part):
                    return
                names = _known_content(place, part, name, lock)
                if names is None:
                    return
                # The lock goes last: a kill in between leaves what the next run goes on with.
                put_back(place, part, names)
                if not empty_part(part, names):
                    return
            finally:
                os.close(lock)
            part.unlink(LOCK)
    place.remove_empty(name)


def _is_unheld(lock: int, part: Folder) -> bool:
    status = os.fstat(lock)
    return (
        _is_own_file(status) and is_mine(status) and lock_file(lock) and has_name(lock, part, LOCK)
    )


def _known_content(
    place: Folder, part: Folder, name: str, lock: int
) -> dict[str, Identity | None] | None:
    """The names that a leftover is for; None if it holds anything that none of ours has."""
    found = set(part.names())
    names = read_record(lock, name)
    if names is None:  # killed before it was written
        return {} if found == {LOCK} and not os.fstat(lock).st_size else None
    if not found <= {LOCK, NEW, OLD, DONE, *names}:
        return None
    for entry in found:
        if entry in (OLD, DONE):
            with part.enter(entry) as kept:
                if not set(kept.names()) <= set(names) or not is_mine(kept.status()):
                    return None
                if not all(_is_real(kept.stat(inner)) for inner in kept.names()):
                    return None
        elif not _is_real(part.stat(entry)):
            return None
    return names


def _is_real(status: os.stat_result | None) -> bool:
    return status is not None and (is_real_folder(status) or stat.S_ISREG(status.st_mode))
