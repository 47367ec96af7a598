"""Whether others can put something into a folder, or another folder in its place."""

from __future__ import annotations

import functools
import os
import stat
import sys


@functools.cache
def is_private(folder: str, *, shared: bool = False) -> bool:
    """Whether nobody but this user and root can change what a path of a folder leads to.

    Parameters
    ----------
    folder : str
        If it is not there yet, the folder in which it would be made counts, as a shared one.
    shared : bool
        Whether others may have files of their own in it, as in /tmp, but may not touch this
        user's.

    Returns
    -------
    bool
        Windows tells nothing of permissions: there what lies in the user's profile or with the
        program is private, and any folder may be shared.
    """
    folder = os.path.abspath(folder)
    if not hasattr(os, "geteuid"):
        if shared:
            return True
        program = os.path.abspath(os.path.join(__file__, "../../.."))
        homes = (os.path.expanduser("~"), sys.prefix, program)
        return any(_inside(folder, home) for home in homes)
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder, shared = os.path.dirname(folder), True
    if os.path.islink(folder) and not shared:
        return False
    try:
        return _is_closed_folder(os.path.realpath(folder), shared) and all(
            _is_closed_folder(parent, True)
            for path in {folder, os.path.realpath(folder)}
            for parent in _parents(path)
        )
    except OSError:
        return False


def is_closed(status: os.stat_result) -> bool:
    """Whether a file or folder is this user's or root's, and others may not write to it."""
    if not hasattr(os, "geteuid"):
        return True
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
        return False
    return not status.st_mode & stat.S_IWGRP or _is_own_group(status.st_gid)


def _is_closed_folder(path: str, shared: bool) -> bool:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):  # on the way: what matters is who has made it
        return status.st_uid in (0, os.geteuid())
    if not stat.S_ISDIR(status.st_mode):
        return False
    sticky = status.st_mode & stat.S_ISVTX and status.st_uid in (0, os.geteuid())
    return is_closed(status) or bool(shared and sticky)


def _parents(path: str) -> list[str]:
    found = []
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        found.append(path)
    return found


@functools.cache
def _is_own_group(gid: int) -> bool:
    """Whether a group is that of this user alone, as many systems give each a group of its own
    name and let it write."""
    import grp
    import pwd

    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == name and set(group.gr_mem) <= {name}


def _inside(path: str, folder: str) -> bool:
    try:
        return os.path.commonpath([os.path.realpath(path), os.path.realpath(folder)]) == (
            os.path.realpath(folder)
        )
    except ValueError:  # another drive
        return False
