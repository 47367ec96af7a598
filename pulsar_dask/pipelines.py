"""What becomes of a stack: pure functions of tiles, and the layers that they make."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from dask.tokenize import tokenize

from pulsar_dask import decoding, kernels
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.graph import TileGraph
from pulsar_dask.reading import TILED_OPEN, read_tile, read_values, thread_buffer
from pulsar_dask.tiles import MB, Costs, Tile

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)
#: Bytes for each pixel that is written: its value, what tells those apart that do not fit.
OUTPUT_BYTES = 2 * 8 + 2
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


def frames_token(frames: Sequence[Frame]) -> str:
    """A name for these frames as they are now."""
    return str(tokenize([(f.path, f.size, f.mtime_ns, f.hdu) for f in frames]))


def median_tile(tile: Tile, frames: Sequence[Frame]) -> Array:
    """Exact median of one tile of a stack.

    Returns
    -------
    ndarray of float64, shape (tile height, tile width)
        NaN where every frame's value is missing.
    """
    pixels = stack_type(frames)
    if stored_alike(frames):
        stack = thread_buffer("stack", (len(frames), *tile.shape), pixels.stored)
        read_tile(frames, tile, stack)
    else:
        stack = thread_buffer("stack", (len(frames), *tile.shape), np.dtype("f8"))
        read_values(frames, tile, np.dtype("f8"), out=stack)
    worth = kernels.worth_compiling(frames)
    values, _ = kernels.median(stack.reshape(len(frames), -1), pixels, compiled=worth)
    return values.reshape(tile.shape)


def cube_tile(tile: Tile, frames: Sequence[Frame], dtype: np.dtype[Any]) -> Array:
    """One tile of all frames as values, shape (frames, tile height, tile width)."""
    if kernels.worth_compiling(frames) and any(f.rice for f in frames):
        importlib.import_module("pulsar_dask.rice")  # loaded, it decodes on all threads
    return read_values(frames, tile, dtype)


def median_graph(frames: Sequence[Frame], graph: TileGraph) -> str:
    """Add the median of a stack to a graph; returns the name of its layer."""
    token = tokenize(frames_token(frames), graph.grid)  # two tilings are not to be mixed
    shared = graph.share(f"frames-{token}", tuple(frames))
    return graph.add(f"median-{token}", median_tile, shared)


def median_costs(frames: Sequence[Frame], itemsize_out: int) -> Costs:
    """What `median_tile` and the writing of its result hold (see `tiles.plan_tiles`)."""
    n, pixels, compiled = len(frames), stack_type(frames), kernels.worth_compiling(frames)
    median = kernels.pixel_bytes(pixels, n, compiled=compiled)
    # its float64 values wait for their turn to be written, then they and what is made of them
    # take the place of what the median held
    output = max(8, OUTPUT_BYTES + 2 * itemsize_out - median) if itemsize_out else 8
    per_pixel = {"frames": n * pixels.stored.itemsize, "median": median, "output": output}
    if not stored_alike(frames):
        per_pixel["conversion"] = 3 * 8
    reading = reading_costs(frames, spare=median)
    area = math.prod(frames[0].shape[-2:])
    selection = kernels.scratch_bytes(n, pixels.stored.itemsize, area, compiled=compiled)
    return replace(
        reading,
        per_pixel=per_pixel | reading.per_pixel,
        per_thread={"selection": selection} | reading.per_thread,
        stored=n * pixels.stored.itemsize,
        frames=n,
        results=itemsize_out,
    )


def reading_costs(frames: Sequence[Frame], *, spare: int = 0) -> Costs:
    """What reading a tile of some frames holds beside its pixels.

    `spare` are bytes for each pixel that are planned for what the thread does when it does not
    read.
    """
    compiled = kernels.worth_compiling(frames)
    per_pixel = chunk_costs(frames)
    per_thread: dict[str, int] = {}
    fixed = {"list of frames": FRAME_BYTES * len(frames)}
    sections = [f for f in frames if f.storage == "tiled" and not f.expanded]
    if sections:
        per_pixel["decompression"] = max(
            max(decoding.kept_bytes(f, compiled), decoding.window_bytes(f, compiled) - spare)
            for f in sections
        )
        if len({f.block for f in sections}) > 1:  # a tile cuts the blocks of some
            cut = max(2 * f.block[0] * decoding.window_bytes(f, compiled) for f in sections)
            per_thread["blocks that a tile cuts"] = cut * frames[0].shape[-1]
        own, shared = (
            max((decoding.tile_bytes(f, compiled, spare) for f in sections if of(f)), default=0)
            for of in (lambda f: not decoding.serial(f), decoding.serial)
        )
        per_thread |= {"decoding": own} if own else {}
        fixed |= {"decoding, one at a time": shared} if shared else {}
        slow = sum(decoding.is_slow(f, compiled) for f in sections)
        fixed |= {"open compressed files": decoding.OPEN_FILE * min(TILED_OPEN, slow)}
    if any(f.storage == "zarr" for f in frames):
        fixed["reading a Zarr store"] = ZARR_BYTES
    each = decoding.expanding_bytes(frames, compiled)
    return Costs(
        per_pixel=per_pixel,
        per_thread=per_thread,
        fixed=fixed,
        expanding={"expanding": each} if each else {},
        expanders=decoding.most_expanders(frames),
    )


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
