"""How many files a process may keep open."""

from __future__ import annotations

import contextlib

#: Frames of a stack that are kept open: each tile goes through all of them, and opening one costs
#: more than to read some rows of it.
_MOST = 16_384


def raise_open_limit() -> None:
    """Have the system allow this process as many as it may ask for, and has a use for."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * _MOST + 1024
        wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if 0 < soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_limit() -> int:
    """How many files to keep open; what is left to others is half, or 2048."""
    try:
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (ImportError, OSError, ValueError):
        return 240  # Windows' C runtime
    return max(1, min(_MOST, max(soft // 2 - 16, soft - 2048))) if soft > 0 else _MOST
