"""Arrays that threads use again for each tile."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_LOCAL = threading.local()


def thread_buffer(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array that this thread uses again for each tile: new memory costs a page fault for
    every 4 kB, as much as the reading itself. Its content is the last tile's."""
    size = math.prod(shape) * dtype.itemsize
    held: dict[str, Array] = _LOCAL.__dict__.setdefault("buffers", {})
    if name not in held or held[name].size < size:
        held.pop(name, None)
        held[name] = np.empty(size, np.uint8)
    return held[name][:size].view(dtype).reshape(shape)


def with_buffers(
    free: list[dict[str, Array]], function: Callable[..., Any], *arguments: Any
) -> Any:
    """Call a function that uses buffers: those of a thread that is done with its tile. So there are
    no more of them than tiles that are made at once, whichever threads make them."""
    try:
        _LOCAL.buffers = free.pop()
    except IndexError:
        _LOCAL.buffers = {}
    try:
        return function(*arguments)
    finally:
        free.append(_LOCAL.buffers)
        del _LOCAL.buffers


def drop_buffers() -> None:
    """Forget the buffers of all threads; those in use live on until they are not."""
    global _LOCAL
    _LOCAL = threading.local()
