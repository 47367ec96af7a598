"""Reading a tile of a stack, and what that holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.formats import decoding
from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.compressed import TILED_OPEN
from pulsar_dask.formats.reading import read_tile, read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import MB, Holds
from pulsar_dask.frames.stack import stack_type, stored_alike
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]
#: Bytes for each frame once the plan is made: its place in the graph, in the trace, in sums.
FRAME_BYTES = 2_000
#: Bytes of the threads and codecs that read a Zarr store.
ZARR_BYTES = 30 * MB


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


def stack_holds(frames: Sequence[Frame], *, spare: int = 0) -> Holds:
    """What reading a tile of a stack holds; see `read_stack`.

    `spare` are bytes for each pixel that are planned for what the thread does when it does not
    read.
    """
    pixel = {"frames": len(frames) * stack_type(frames).stored.itemsize}
    if not stored_alike(frames):
        pixel["conversion"] = 3 * 8
    return Holds(pixel) + reading_holds(frames, spare=spare)


def reading_holds(frames: Sequence[Frame], *, spare: int = 0) -> Holds:
    """What reading a tile of some frames holds beside its pixels; `spare` as for `stack_holds`."""
    compiled = loaded.worth_compiling(frames)
    pixel = chunk_costs(frames)
    thread: dict[str, int] = {}
    process: dict[str, int] = {}
    sections = [f for f in frames if f.storage == "tiled" and not f.expanded]
    if sections:
        pixel["decompression"] = max(
            max(decoding.kept_bytes(f, compiled), decoding.window_bytes(f, compiled) - spare)
            for f in sections
        )
        if len({f.block for f in sections}) > 1:  # a tile cuts the blocks of some
            cut = max(2 * f.block[0] * decoding.window_bytes(f, compiled) for f in sections)
            thread["blocks that a tile cuts"] = cut * frames[0].shape[-1]
        own, shared = (
            max((decoding.tile_bytes(f, compiled, spare) for f in sections if of(f)), default=0)
            for of in (lambda f: not decoding.serial(f), decoding.serial)
        )
        thread |= {"decoding": own} if own else {}
        process |= {"decoding, one at a time": shared} if shared else {}
        slow = sum(decoding.is_slow(f, compiled) for f in sections)
        process |= {"open compressed files": decoding.OPEN_FILE * min(TILED_OPEN, slow)}
    if any(f.storage == "zarr" for f in frames):
        process["reading a Zarr store"] = ZARR_BYTES
    return Holds(pixel, thread, process)


def chunk_costs(frames: Sequence[Frame]) -> dict[str, int]:
    """What reading of a Zarr store holds for each pixel: a window of all its frames, and while
    that is made the chunks it comes from."""
    held = [
        decoding.CHUNK_COPIES * f.depth * f.pixels.stored.itemsize
        for f in frames
        if f.storage == "zarr"
    ]
    return {"chunks of all frames": max(held)} if held else {}
