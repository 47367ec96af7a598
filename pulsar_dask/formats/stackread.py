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
from pulsar_dask.frames.holds import MB, Holds, Phase
from pulsar_dask.frames.stack import stack_type, stored_alike
from pulsar_dask.kernels import loading
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]
#: Bytes for each frame once the plan is made: its place in the graph, in the trace, in sums.
FRAME_BYTES = 2_000
#: Bytes for each pixel while a frame is made values: as stored, in native order, as float64.
CONVERSION_BYTES = 3 * 8
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


def stack_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of a stack holds; see `read_stack`."""
    kept = Holds({"frames": len(frames) * stack_type(frames).stored.itemsize})
    reading = reading_holds(frames) if stored_alike(frames) else values_holds(frames)
    return kept + reading


def values_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of some frames as values holds beside these."""
    return reading_holds(frames) + Holds({"conversion": CONVERSION_BYTES}).passing


def reading_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of some frames as they are stored holds beside its pixels."""
    compiled = loading.worth_compiling(frames)
    pixel: dict[str, int] = {}
    thread: dict[str, int] = {}
    process: dict[str, int] = {}
    kept: dict[str, int] = {}
    alone: dict[str, int] = {}
    sections = [f for f in frames if f.storage == "tiled" and not f.expanded]
    if sections:
        kept["compressed"] = max(decoding.kept_bytes(f, compiled) for f in sections)
        window = max(decoding.window_bytes(f, compiled) for f in sections)
        pixel["decompression"] = window - kept["compressed"]
        if len({f.block for f in sections}) > 1:  # a tile cuts the blocks of some
            cut = max(2 * f.block[0] * decoding.window_bytes(f, compiled) for f in sections)
            thread["blocks that a tile cuts"] = cut * frames[0].shape[-1]
        thread["decoding"], alone["decoding, one at a time"] = (
            max((decoding.tile_bytes(f, compiled) for f in sections if of(f)), default=0)
            for of in (lambda f: not decoding.serial(f), decoding.serial)
        )
        slow = sum(decoding.is_slow(f, compiled) for f in sections)
        process |= {"open compressed files": decoding.OPEN_FILE * min(TILED_OPEN, slow)}
    if stored := [f for f in frames if f.storage == "zarr"]:
        process["reading a Zarr store"] = ZARR_BYTES
        # it stays for the next frame's same tile
        window = max(f.depth * f.pixels.stored.itemsize for f in stored)
        kept["window of all frames"] = window
        pixel["chunks of all frames"] = (decoding.CHUNK_COPIES - 1) * window
    return Holds(kept, process=process, phases=(Phase(pixel, thread, alone),))
