"""What becomes of a stack: pure functions of tiles, and the layers that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.engine.holds import Holds
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.reading import TILED_OPEN, read_tile, read_values, thread_buffer
from pulsar_dask.tiles import MB, Tile

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)


def check_shapes(frames: Sequence[Frame]) -> tuple[int, ...]:
    """The one shape of a stack; else a PulsarError that names the first two that differ."""
    first = frames[0]
    for frame in frames:
        if frame.shape != first.shape:
            raise PulsarError(
                "frames of one stack must have one shape: "
                f"{printable(first.path)} is {describe_shape(first.shape)}, "
                f"{printable(frame.path)} is {describe_shape(frame.shape)}; "
                "remove one kind from the input"
            )
    return first.shape


def describe_shape(shape: Sequence[int]) -> str:
    """Columns x rows (x planes), as the field says it."""
    return " x ".join(str(n) for n in reversed(shape))


def stack_type(frames: Sequence[Frame]) -> PixelType:
    """How the pixels of a stack are held: as they are stored where all frames store them
    alike, else as float64 values."""
    return frames[0].pixels if stored_alike(frames) else _FLOAT64


def stored_alike(frames: Sequence[Frame]) -> bool:
    """Whether all frames store their pixels in one way."""
    first = frames[0].pixels
    return all(f.pixels is first or f.pixels == first for f in frames)  # asked for each tile


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
    n, pixels = len(frames), stack_type(frames)
    pixel = {"frames": n * pixels.stored.itemsize}
    if not stored_alike(frames):
        pixel["conversion"] = 3 * 8
    pixel |= chunk_costs(frames)
    tiled = [f for f in frames if f.storage == "tiled"]
    if tiled:
        pixel["decompression"] = 4 * max(f.pixels.stored.itemsize for f in tiled)
    fixed = {"list of frames": 4000 * n, "headers of the output": 400 * n}
    if tiled:
        block = max(f.block[0] * f.shape[-1] * f.pixels.stored.itemsize for f in tiled)
        slow = sum(f.rice is None for f in tiled)
        fixed["open compressed files"] = 400_000 * min(TILED_OPEN, slow) + 3 * block
    if any(f.storage == "zarr" for f in frames):
        fixed["reading a Zarr store"] = 30 * MB  # its threads and codecs
    if any(f.storage == "gzip" for f in frames):
        fixed["expanding"] = 4 * MB
    return Holds(pixel, process=fixed)


def chunk_costs(frames: Sequence[Frame]) -> dict[str, int]:
    """What reading of a Zarr store holds for each pixel: a window of all its frames, and while
    that is made the chunks it comes from."""
    held = [3 * f.depth * f.pixels.stored.itemsize for f in frames if f.storage == "zarr"]
    return {"chunks of all frames": max(held)} if held else {}


def stack_block(frames: Sequence[Frame]) -> tuple[int, int]:
    """Rows and columns that a tile should be a multiple of."""
    blocks = [f.block for f in frames if not f.expanded]
    return max((b[0] for b in blocks), default=1), max((b[1] for b in blocks), default=1)
