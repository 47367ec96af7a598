"""Files that have no name until they are given one, where the system can do so (Linux)."""

from __future__ import annotations

import contextlib
import functools
import os

from pulsar_dask.files.part import temporary_name


@functools.lru_cache(maxsize=64)
def nameless_files(folder: str, device: int) -> bool:
    """Whether a file in a folder can do without a name and be given one later."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    name = temporary_name(os.path.join(folder, "probe"))
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
        try:
            link(fd, name)
        finally:
            os.close(fd)
            unlink(name)
    except OSError:  # not in this file system, or /proc is not there
        return False
    return True


def link(fd: int, path: str, folder: int | None = None) -> None:
    """Give an open file a (further) name, in the folder of a descriptor if it is given."""
    # any src_dir_fd makes Python call linkat, which alone follows the link in /proc
    source = f"/proc/self/fd/{fd}"
    os.link(source, path, src_dir_fd=fd, dst_dir_fd=folder, follow_symlinks=True)


def unlink(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)
