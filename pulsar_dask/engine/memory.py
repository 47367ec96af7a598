"""What memory there is and what this process holds, as the operating system counts it,
and the limits that control groups set."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterator

import psutil

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.holds import GB, MB

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


DEFAULT_GB = 16.0
#: What libraries still take after the plan is made: the scheduler's threads, its graph,
#: file buffers (measured at 0 to 18 MB, by drawn geometries).
SLACK = 30 * MB
#: Addresses that the libraries and a small plan take, mapped but not used for the most part
#: (measured at 0.45 to 0.6 GB).
LEAST_ADDRESSES = 700 * MB


def available() -> int:
    """Bytes that this process may come to hold: what is free and what it has, within the
    limits of its control groups."""
    held = resident()
    limits = [psutil.virtual_memory().available + held]
    if (limit := group_limit()) is not None:
        limits.append(limit)
    if (addresses := address_space()) is not None:
        limits.append(held + max(0, addresses - int(psutil.Process().memory_info().vms)))
    return int(min(limits))


def address_space() -> int | None:
    """Bytes of addresses that this process may use (`ulimit -v`); None where that is not
    limited."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if soft == resource.RLIM_INFINITY else soft
    return None


def check_address_space() -> None:
    """Raise PulsarError where too little is left to load the compiler, which would end the
    process without a word of ours."""
    limit = address_space()
    if limit is not None and limit < LEAST_ADDRESSES:
        raise PulsarError(
            f"the system limits this process to {limit / GB:.2f} GB of addresses and at least "
            f"{LEAST_ADDRESSES / GB:.2f} GB are needed; raise the limit (`ulimit -v`)",
            "system",
        )


def resident() -> int:
    """Bytes resident now."""
    return int(psutil.Process().memory_info().rss)


def peak_resident() -> int:
    """The most bytes that were resident at once since the process began."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    # Linux's ru_maxrss begins with what the parent held when it forked
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as file:
        for line in file:  # gVisor, for one, does not tell it
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def budget(gigabytes: float | None) -> int:
    """Bytes that ``--memory`` allows; by default 16 GB, or what there is."""
    if gigabytes is None:
        return min(int(DEFAULT_GB * GB), available())
    if not 0 < gigabytes < 1e9:
        raise PulsarError(f"⟦memory⟧ {gigabytes}: give gigabytes, such as 4 or 0.5", "memory")
    return int(gigabytes * GB)


def room(gigabytes: float | None) -> int:
    """Bytes of a budget that are left for what is read before there is a plan, such as a list."""
    return budget(gigabytes) - process_bytes()


def too_little(gigabytes: float | None, size: int, what: str) -> PulsarError:
    """The error for what takes so many bytes beside the process, more than there is `room` for."""
    needed = math.ceil((process_bytes() + size) / GB * 100) / 100
    return PulsarError(
        f"⟦memory⟧ {budget(gigabytes) / GB:.3g} is too little: "
        f"{what} needs at least {needed:.2f} GB",
        "memory",
    )


#: Bytes that the C library keeps of what all threads give back, rather than have the system take it
#: and fill new pages with zeros for the next tile. (50 x 26 Mpx, 2 threads: 87,000 page faults
#: without, 32,000 with it.) It is within `SLACK`: each thread has a heap of its own that keeps as
#: much (16 MB each: 8 threads that decode small tiles held 23 MB more than was planned).
KEPT = 16 << 20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed(threads: int) -> None:
    """Have the C library keep memory for the next tile of so many threads; only glibc (Linux) has
    to be told."""
    with contextlib.suppress(OSError, TypeError, AttributeError):
        import ctypes

        library = ctypes.CDLL(None)
        if library.gnu_get_libc_version:
            each = KEPT // threads
            library.mallopt(_TRIM_THRESHOLD, each)
            library.mallopt(_MMAP_THRESHOLD, each)


def process_bytes() -> int:
    """What the process itself takes, to be asked for when its libraries are loaded."""
    return resident() + SLACK
