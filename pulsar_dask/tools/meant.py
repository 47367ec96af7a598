"""Which masters and cubes are meant where a folder is named, and what looking at their inputs
takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from dask.system import CPU_COUNT

from pulsar_dask._version import CREATOR
from pulsar_dask.engine import memory
from pulsar_dask.errors import PulsarError, printable, reason
from pulsar_dask.formats import holding, sums
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.formats.zarr import in_cube
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import MASK
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.kernels import loaded
from pulsar_dask.output.ours import is_ours
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.outputs import is_store_name

#: Bytes that a look at the inputs may take whatever the budget, which has more to spare.
SOME_BYTES = 10_000_000


def in_folder(
    folder: str, recursive: bool, passed: Counter[str] | None = None, *, tool: str = "verify"
) -> list[str]:
    """The masters and cubes of this program in a folder; others are counted."""
    others: Counter[str] = Counter()
    found = []
    for path in _files(folder, recursive):
        if other := _what_else(path):
            others[other] += 1
        else:
            found.append(path)
    if passed is not None:
        passed.update(others)
    if not found:
        name = printable(folder)
        there = f" ({', '.join(f'{n} {what}' for what, n in others.items())})" if others else ""
        deeper = "" if recursive else "; --recursive looks into the folders below"
        raise PulsarError(
            f"{name}: a folder; {tool} takes masters and cubes, not folders of frames, "
            f"and none that {CREATOR} wrote is in it{there}{deeper}",
            "not-ours",
        )
    return found


def _files(folder: str, recursive: bool) -> Iterator[str]:
    """FITS files and Zarr stores."""

    def fail(error: OSError) -> None:
        raise PulsarError(
            f"{printable(error.filename)}: {printable(reason(error))}", "not-ours"
        ) from error

    for parent, below, names in os.walk(folder, onerror=fail):
        stores = [name for name in below if is_store_name(name)]
        below[:] = sorted(set(below) - set(stores)) if recursive else []
        for name in sorted([*stores, *filter(FITS_NAME.search, names)]):
            if not name.startswith("."):
                yield os.path.normpath(os.path.join(parent, name))


def _what_else(path: str) -> str:
    """What a file is that this program has not made as a master or a cube; else nothing."""
    try:
        frame = scan_frames([path])[0]
        if frame.plane == MASK.name:
            return "masks"
        if in_cube(frame) or made_here(frame):
            return ""
    except PulsarError:
        # one of ours that is damaged is to be told
        return "" if is_ours(path, changed=True) else "unreadable files"
    if frame.is_master:
        return "foreign masters"
    return "raw frames" if frame.kind not in (None, "other") else "unlabelled files"


def made_here(frame: Frame) -> bool:
    return str(read_header(frame).get("CREATOR", "")).startswith(f"{CREATOR} ")


def threads_for(frames: Sequence[Frame], options: Options) -> int:
    """On how many threads the sums of frames can be taken.

    Raises
    ------
    PulsarError
        Not on one: the budget is too small.
    """
    threads = options.threads or CPU_COUNT
    if not frames:
        return threads
    compiled = loaded.worth_compiling(frames)
    each = holding.sum_bytes(frames, compiled, sums.STRETCH)
    room = max(memory.room(options.memory), SOME_BYTES)
    if each > room:
        raise memory.too_little(options.memory, each, "a look at its inputs")
    return max(1, min(threads, room // each))
