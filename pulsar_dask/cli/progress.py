"""A bar on a terminal: share done, speed, time left. Elsewhere nothing."""

from __future__ import annotations

import sys
from typing import Any


class Progress:
    """Counts bytes of pixels."""

    _current: Any = None

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                unit="B",
                unit_scale=True,
                leave=False,
                file=sys.stderr,
                mininterval=0.1,
            )
            Progress._current = self._bar

    def update(self, count: int) -> None:
        """So many bytes of pixels more are done."""
        if self._bar is not None:
            self._bar.update(count)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            Progress._current = None

    @classmethod
    def clear(cls) -> None:
        """Make room for a line on the terminal."""
        if cls._current is not None:
            cls._current.clear()
