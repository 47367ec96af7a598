"""Where compiled code is kept. Numba runs what it finds there, so nobody else may be able to
write there: that is looked at before anything is loaded."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from numba import config, njit

from pulsar_dask.kernels.native import own_folder, say_not_kept
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
            say_not_kept(passed)
        return njit(**options)(function)

    return decorate


def _folders(given: str) -> Iterator[str]:
    """What Numba is told: "" stands for the package's, or the user's where that cannot be
    written to."""
    if given:
        yield given
    yield ""
    yield own_folder()


@functools.cache
def _is_safe(folder: str) -> bool:
    """Whether all that could be loaded from a folder was put there by this user or root."""
    if not is_private(folder):
        return False
    with os.scandir(folder) as entries:
        code = [e for e in entries if e.name.endswith((".nbi", ".nbc"))]
    found = [entry.stat(follow_symlinks=False) for entry in code]
    return all(stat.S_ISREG(status.st_mode) and is_closed(status) for status in found)


_OPTIONS = {"nogil": True, "error_model": "numpy"}


def jit(function: Any) -> Any:
    """Compiled without the GIL and cached; where no folder for the cache can be written, or
    others can write there, compiled anew in each process."""
    return cached(**_OPTIONS)(function)


def part(function: Any) -> Any:
    """A kernel that `native.Kernel` calls, or what compiled code alone calls: without an entry from
    Python, and not in Numba's cache."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


def inside(function: Any) -> Any:
    """`part` for what is compiled into those that call it, however large it is."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, **_OPTIONS)(
        function
    )
