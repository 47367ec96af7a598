"""Reading a tile of a stack, and what that holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.holding import reading_holds
from pulsar_dask.formats.reading import conversion_bytes, read_tile, read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.stack import stack_type, stored_alike
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]


def read_stack(tile: Tile, frames: Sequence[Frame]) -> tuple[Array, PixelType]:
    """One tile of a stack, and how its pixels are held; see `stack_type`.

    Returns
    -------
    stack : ndarray, shape (frames, tile height, tile width)
        In this thread's buffer: the next call overwrites it.
    pixels : PixelType
    """
    pixels, shape = stack_type(frames), (len(frames), *tile.shape)
    if stored_alike(frames):
        return read_tile(frames, tile, thread_buffer("stack", shape, pixels.stored)), pixels
    values = np.dtype("f8")
    return read_values(frames, tile, values, out=thread_buffer("stack", shape, values)), pixels


def stack_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of a stack holds; see `read_stack`."""
    kept = Holds({"frames": len(frames) * stack_type(frames).stored.itemsize})
    reading = reading_holds(frames) if stored_alike(frames) else values_holds(frames)
    return kept + reading


def values_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of some frames as values holds beside these."""
    most = max(conversion_bytes(frame.pixels) for frame in frames)
    return reading_holds(frames) + Holds({"conversion": most}).passing
