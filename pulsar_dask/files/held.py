"""Folders held by their descriptors: what is done in one is done in that one, whatever somebody
else puts in its place meanwhile. Where the system has no such thing (Windows) by name; there a
folder with an open file in it cannot be moved away."""

from __future__ import annotations

import os
import shutil
import stat
from typing import Any

#: Whether the system names files from a folder's descriptor.
BY_DESCRIPTOR = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


class Folder:
    """A real folder, no link, that stays the same one until it is closed.

    `open` and `enter` make one; names are those of what lies in it, and no link is followed.
    """

    def __init__(self, path: str, fd: int | None) -> None:
        self.path, self.fd = path, fd

    @staticmethod
    def open(path: str) -> Folder:
        """The folder that a user has named, through links or not."""
        path = os.path.abspath(path)
        if not BY_DESCRIPTOR:
            return Folder(path, None)
        try:
            return Folder(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY))
        except PermissionError:  # one that can be entered and not listed
            return Folder(path, os.open(path, getattr(os, "O_PATH", 0) | os.O_DIRECTORY))

    def enter(self, name: str) -> Folder:
        """A folder in this one; OSError if it is a link or anything else."""
        path = os.path.join(self.path, name)
        if self.fd is not None:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            return Folder(path, os.open(name, flags, dir_fd=self.fd))
        if not is_real_folder(os.lstat(path)):
            raise NotADirectoryError(path)
        return Folder(path, None)

    def _at(self, name: str) -> str:
        return name if self.fd is not None else os.path.join(self.path, name)

    def names(self) -> list[str]:
        return os.listdir(self.path if self.fd is None else self.fd)

    def status(self) -> os.stat_result:
        """What the system says of this folder itself."""
        return os.lstat(self.path) if self.fd is None else os.fstat(self.fd)

    def stat(self, name: str) -> os.stat_result | None:
        """What has a name, not followed; None if nothing has."""
        try:
            return os.stat(self._at(name), dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_file(self, name: str, flags: int, mode: int = 0o600) -> int:
        """A descriptor of a file, never of what a link leads to; a pipe is not waited for."""
        for more in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"):
            flags |= getattr(os, more, 0)
        return os.open(self._at(name), flags, mode, dir_fd=self.fd)

    def make(self, name: str, mode: int = 0o700) -> None:
        os.mkdir(self._at(name), mode, dir_fd=self.fd)

    def move(self, name: str, to: Folder, new: str) -> None:
        """Give something another name, which may be taken by a file."""
        os.replace(self._at(name), to._at(new), src_dir_fd=self.fd, dst_dir_fd=to.fd)

    def link(self, name: str, to: Folder, new: str) -> None:
        """Give a file one more name, which must be free."""
        follow: dict[str, Any] = {"follow_symlinks": False}
        if os.link not in os.supports_follow_symlinks:
            follow = {}
        os.link(self._at(name), to._at(new), src_dir_fd=self.fd, dst_dir_fd=to.fd, **follow)

    def unlink(self, name: str) -> None:
        os.unlink(self._at(name), dir_fd=self.fd)

    def remove_empty(self, name: str) -> None:
        os.rmdir(self._at(name), dir_fd=self.fd)

    def clear(self, name: str) -> None:
        """Remove a file, a link, or a folder with all that is in it."""
        status = self.stat(name)
        if status is None:
            return
        if is_real_folder(status):
            shutil.rmtree(self._at(name), dir_fd=self.fd)
        else:
            self.unlink(name)

    def close(self) -> None:
        if self.fd is not None and self.fd >= 0:
            fd, self.fd = self.fd, -1  # from here on it names nothing
            os.close(fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def is_real_folder(status: os.stat_result) -> bool:
    """Whether what `lstat` has found is a folder, and none that Windows leads elsewhere from."""
    elsewhere = getattr(status, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_REPARSE_POINT
    return stat.S_ISDIR(status.st_mode) and not elsewhere


def is_mine(status: os.stat_result) -> bool:
    """Whether something belongs to this user, and nobody else may write to it."""
    if not hasattr(os, "geteuid"):  # Windows: permissions say nothing
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
