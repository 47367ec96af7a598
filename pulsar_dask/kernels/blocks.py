"""Blocks of pixels that stay in the L1 cache, as compiled code has them."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Bytes of a vector.
BYTES = 64
#: Bytes of each frame in a block: two vectors, so that 200 frames stay in the L1 cache and what
#: a comparator costs besides its loads and stores is spread (four are no faster up to 100
#: frames, slower above; measured).
ROW = 2 * BYTES


def aligned(shape: tuple[int, int], dtype: Any) -> Any:
    """An array that begins where a vector may."""
    size = shape[0] * shape[1] * dtype.itemsize
    spare = np.empty(size + BYTES, np.uint8)
    start = -spare.ctypes.data % BYTES
    return spare[start : start + size].view(dtype).reshape(shape)
