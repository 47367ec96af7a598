"""What becomes of a stack: pure functions of tiles, and the layers that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask import decoding, kernels
from pulsar_dask.engine.holds import Holds
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.reading import TILED_OPEN, read_tile, read_values, thread_buffer
from pulsar_dask.tiles import MB, Tile

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)
#: Bytes for each frame once the plan is made: its place in the graph, in the trace, in sums.
FRAME_BYTES = 2_000
#: Bytes of the threads and codecs that read a Zarr store.
ZARR_BYTES = 30 * MB


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
    """How the pixels of a stack are held: as they are stored where that orders them, else as
    float64 values."""
    return frames[0].pixels if stored_alike(frames) else _FLOAT64


def stored_alike(frames: Sequence[Frame]) -> bool:
    """Whether all frames store their pixels in one way, in which stored numbers that are not
    missing are values that are not."""
    first = frames[0].pixels
    alike = all(f.pixels is first or f.pixels == first for f in frames)  # asked for each tile
    return alike and not first.overflows


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
    compiled = kernels.worth_compiling(frames)
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


def stack_block(frames: Sequence[Frame]) -> tuple[int, int]:
    """Rows and columns that a tile should be a multiple of."""
    blocks = [f.block for f in frames if not f.expanded]
    return max((b[0] for b in blocks), default=1), max((b[1] for b in blocks), default=1)
