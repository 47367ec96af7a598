"""How many files a process may keep open."""

from __future__ import annotations


def open_limit() -> int:
    """How many files to keep open: half of what the system allows, at most 512."""
    try:
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (ImportError, OSError, ValueError):
        soft = 512  # Windows' C runtime
    return max(1, min(512, soft // 2 - 16)) if soft > 0 else 512
