"""The limits that the system sets to a process's memory: its control groups, nested as Slurm,
systemd and containers nest them, and the addresses it may use."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

#: Files with a group's limit; `memory.high` is where the system begins to slow a process down.
_V2 = ("memory.max", "memory.high")
_V1 = ("memory.limit_in_bytes",)


def group_limit(root: str = "/") -> int | None:
    """The smallest limit of bytes of this process's control group and those that it lies in.

    Parameters
    ----------
    root : str
        Where the files of the system lie.

    Returns
    -------
    int or None
        None where there is no limit, or no control group.
    """
    limits = []
    for folder, top, names in _groups(root):
        while True:
            limits += [n for name in names if (n := _number(os.path.join(folder, name)))]
            if folder == top:
                break
            folder = os.path.dirname(folder)
    return min(limits, default=None)


def _groups(root: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The folder of each group that counts this process's memory, that at which its hierarchy is
    mounted, and the files that have a limit."""
    mounts = list(_mounts(root))
    for line in _lines(os.path.join(root, "proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        kind, names = ("cgroup", _V1) if controllers else ("cgroup2", _V2)
        for shown, place, options, type_ in mounts:
            if type_ != kind or (controllers and "memory" not in options):
                continue
            top = os.path.join(root, place.lstrip("/"))
            # What is mounted may be a part of the hierarchy, such as a container's own; a group
            # outside of it is not to be seen, but what is mounted still holds.
            inside = os.path.relpath(path, shown)
            folder = top if inside.startswith("..") else os.path.normpath(os.path.join(top, inside))
            yield (folder if os.path.isdir(folder) else top), top, names


def _mounts(root: str) -> Iterator[tuple[str, str, list[str], str]]:
    """(what of a hierarchy is mounted, where, options, type) of control groups."""
    for line in _lines(os.path.join(root, "proc/self/mountinfo")):
        before, _, after = line.partition(" - ")
        fields, (type_, _, options) = before.split(), after.split(None, 2)
        if type_.startswith("cgroup"):
            yield _path(fields[3]), os.path.normpath(_path(fields[4])), options.split(","), type_


def _path(field: str) -> str:
    """Blanks in a path stand as octal numbers."""
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), field)


def _lines(path: str) -> list[str]:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        return file.read().splitlines()
    return []


def _number(path: str) -> int | None:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        return int(file.read())  # "max" is none
    return None
