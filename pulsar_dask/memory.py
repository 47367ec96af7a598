"""What memory there is and what this process holds, as the operating system counts it."""

from __future__ import annotations

import contextlib
import sys

import psutil

from pulsar_dask import tiles
from pulsar_dask.errors import PulsarError
from pulsar_dask.limits import group_limit
from pulsar_dask.tiles import GB, MB

DEFAULT_GB = 16.0
#: What libraries still take after the plan is made: the scheduler's threads, its graph,
#: file buffers (measured at 10 to 30 MB).
SLACK = 40 * MB
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
            f"{LEAST_ADDRESSES / GB:.2f} GB are needed; raise the limit (`ulimit -v`)"
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
        raise PulsarError(f"--memory {gigabytes}: give gigabytes, such as 4 or 0.5")
    return int(gigabytes * GB)


def room(gigabytes: float | None) -> int:
    """Bytes of a budget that are left for what is read before there is a plan, such as a list."""
    return budget(gigabytes) - process_bytes()


def too_little(gigabytes: float | None, size: int, what: str) -> PulsarError:
    """The error for what takes so many bytes beside the process, more than there is `room` for."""
    return tiles.too_little(budget(gigabytes), process_bytes() + size, what)


def process_bytes() -> int:
    """What the process itself takes, to be asked for when its libraries are loaded."""
    return resident() + SLACK
