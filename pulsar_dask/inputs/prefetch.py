"""The disk reads while the libraries load.

Asking the system for the frames costs nothing when they are in its cache, and when they are
not, the second that imports take is worth half a gigabyte of reading.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs.find import resolve
from pulsar_dask.inputs.words import is_list, list_path

#: Bytes of each file that are asked for in turn: tiles go through all frames at once.
_STEP = 8_000_000
#: Bytes that one call asks for: of more, Linux takes what the disk reads at once and forgets the
#: rest (`force_page_cache_ra`; 1.3 MB on many disks).
_CALL = 1_000_000


def prefetch(specs: Sequence[str], *, sequence: bool, recursive: bool) -> None:
    """Ask the system for the files that an input spec names, in the background.

    Does nothing where the system has no such call (macOS, Windows), and says nothing of what
    is wrong: the command itself will.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(RuntimeError):  # no further thread is to be had
            threading.Thread(target=_ask, args=(specs, sequence, recursive), daemon=True).start()


def _ask(specs: Sequence[str], sequence: bool, recursive: bool) -> None:
    paths: list[str] = []
    for spec in specs:
        # what comes through a pipe can be read once only, which the command itself will
        if is_list(spec) and not os.path.isfile(list_path(spec)):
            continue
        try:
            paths += resolve(spec, sequence=sequence, recursive=recursive).paths
        except (PulsarError, OSError, ValueError):
            continue
    try:
        sizes = {path: os.path.getsize(path) for path in paths}
        # what would push itself out of the cache again is not asked for
        room = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        for start in range(0, max(sizes.values(), default=0), _STEP):
            for path in [p for p, size in sizes.items() if size > start]:
                room -= _STEP
                if room < 0:
                    return
                file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe is not waited for
                try:
                    for part in range(start, start + _STEP, _CALL):
                        os.posix_fadvise(file, part, _CALL, os.POSIX_FADV_WILLNEED)
                finally:
                    os.close(file)
    except (OSError, ValueError):
        return
