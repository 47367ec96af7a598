"""Where compiled code is kept. Numba runs what it finds there, so nobody else may be able to
write there: that is looked at before anything is loaded."""

from __future__ import annotations

import functools
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

from numba import config, njit

from pulsar_dask.errors import printable, warn
from pulsar_dask.kernels.private import is_closed, is_private


def cached(**options: Any) -> Callable[[Any], Any]:
    """`numba.njit` with a cache where it is safe: the folder of NUMBA_CACHE_DIR, that of this
    package, or one of the user's own; else compiled anew in each process."""

    def decorate(function: Any) -> Any:
        given = config.CACHE_DIR
        passed = ""
        try:
            for folder in _folders(given):
                base = folder or os.path.join(os.path.dirname(__file__), "__pycache__")
                if not is_private(base):
                    passed = passed or base
                    continue
                config.CACHE_DIR = folder
                try:
                    made = njit(cache=True, **options)(function)
                except RuntimeError:  # no folder that can be written to
                    break
                place = made.stats.cache_path
                if _is_safe(place):
                    return made
                passed = passed or place
        finally:
            config.CACHE_DIR = given
        if passed:
            _say(passed)
        return njit(**options)(function)

    return decorate


def _folders(given: str) -> Iterator[str]:
    """What Numba is told: "" stands for the package's, or the user's where that cannot be
    written to."""
    if given:
        yield given
    yield ""
    yield _own_folder()


def _own_folder() -> str:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "pulsar-dask")


@functools.cache
def _is_safe(folder: str) -> bool:
    """Whether all that could be loaded from a folder was put there by this user or root."""
    if not is_private(folder):
        return False
    with os.scandir(folder) as entries:
        code = [e for e in entries if e.name.endswith((".nbi", ".nbc"))]
    found = [entry.stat(follow_symlinks=False) for entry in code]
    return all(stat.S_ISREG(status.st_mode) and is_closed(status) for status in found)


@functools.cache
def _say(folder: str) -> None:
    warn(
        f"{printable(folder)}: others can write there, so compiled code is neither loaded from "
        "it nor kept, which costs time in each run; set NUMBA_CACHE_DIR to a folder that only "
        "you can write to",
        "no-cache",
    )


_OPTIONS = {"nogil": True, "error_model": "numpy"}


def jit(function: Any) -> Any:
    """Compiled without the GIL and cached; where no folder for the cache can be written, or
    others can write there, compiled anew in each process."""
    return cached(**_OPTIONS)(function)


def part(function: Any) -> Any:
    """`jit` for what compiled code alone calls: without an entry from Python, and not cached
    by itself."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
