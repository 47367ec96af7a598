"""Interrupts that wait until what must not be half done is done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait: until a few renames are done, a cluster has begun."""
    came: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for held in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(held)
                if callable(handler):
                    handlers[held] = handler
                    signal.signal(held, lambda number, frame: came.append(number))
        yield
    finally:
        for known, handler in handlers.items():
            signal.signal(known, handler)
    for number in came:
        handlers[signal.Signals(number)](number, None)
