"""What a run takes over of a cube that another one began.

The store's seal tells that its description is as it was written, and the frames' paths, sizes
and times are in its name for them (`pipelines.frames_token`). That does not see

- a frame that was replaced by another one of its size and time, as a copy with its times kept
  can be. The number of a file and the time of its status tell, where the system has them; but
  they change, too, where a folder was copied back from a backup or a file got a further link. So
  they never refuse anything: where they are others, all pixels of all chunks are compared with
  those of the frames now;
- a chunk that is not the one of its place. So of each chunk and each frame a row is compared in
  any case. That reads of each frame little more than was read of it to find its header.

A chunk that cannot be decoded counts as missing, and is written again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from dask.tokenize import tokenize

from pulsar_dask import pipelines
from pulsar_dask.checksum import Ledger
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frame import Frame
from pulsar_dask.graph import TileGraph
from pulsar_dask.reading import read_values
from pulsar_dask.run import Computer, OnDone, Output
from pulsar_dask.storechunks import chunk_index, decode, read_chunk
from pulsar_dask.storeformat import ArrayFormat
from pulsar_dask.storeseal import Piece, piece
from pulsar_dask.tiles import Grid, Plan, Tile

Array = np.ndarray[Any, Any]
_SAME, _UNREADABLE = -1, -2


class OtherPixels(PulsarError):
    """A store holds other pixels than the frames; to go on is of no use."""


def files_token(frames: Sequence[Frame]) -> str:
    """A name for the very files that frames are in."""
    return str(tokenize([(f.inode, f.ctime_ns) for f in frames]))


class Store(Protocol):
    """What is compared: a `cubestore.CubeStore`."""

    path: str
    frames: tuple[Frame, ...]
    dtype: np.dtype[Any]
    same_files: bool
    grid: Grid | None

    @property
    def array(self) -> ArrayFormat: ...

    def done(self) -> frozenset[tuple[int, ...]]: ...

    def take(self, tile: Tile, found: Piece) -> None: ...


def compare(
    store: Store, computer: Computer, plan: Plan, on_done: OnDone, ledger: Ledger | None
) -> frozenset[tuple[int, ...]]:
    """The indices of those tiles that are done, and as the frames have them.

    Raises
    ------
    OtherPixels
    """
    done, grid = store.done(), plan.grid
    if not done:
        return done
    graph = TileGraph(grid, done=frozenset(index for index, _ in grid) - done)
    names = [
        graph.share(name, value)
        for name, value in {
            "frames": store.frames,
            "dtype": store.dtype,
            "store": store.path,
            "array": store.array,
            "every": not store.same_files,
        }.items()
    ]
    found = _Found()
    output = Output(graph.add("compared", compared, *names), (found,))
    computer.run(graph, [output], store.frames, plan, on_done, ledger)
    good = set()
    for index, tile in graph.tiles():
        state, size, crc = found.results[tile]
        if state >= 0:
            raise OtherPixels(
                f"{printable(store.path)} holds other pixels than "
                f"{printable(store.frames[state].path)}: one of them was changed or replaced "
                "since; name another output or add --overwrite"
            )
        if state == _SAME:
            store.take(tile, (size, crc))
            good.add(index)
    return frozenset(good)


class _Found:
    """A `run.Writer` that keeps what was found of each tile."""

    def __init__(self) -> None:
        self.results: dict[Tile, tuple[int, int, int]] = {}
        self._lock = threading.Lock()

    def write(self, tile: Tile, values: Any) -> None:
        state, size, crc = (int(value) for value in values)
        with self._lock:
            self.results[tile] = state, size, crc


def compared(
    tile: Tile,
    frames: Sequence[Frame],
    dtype: np.dtype[Any],
    store: str,
    array: ArrayFormat,
    every: bool,
) -> Array:
    """The first frame whose pixels are not those of a chunk, else _SAME or _UNREADABLE; and
    length and CRC of the chunk's file.

    Of `every` frame all pixels, else of some a row, of each in some chunk.
    """
    index = chunk_index(array, tile)
    try:
        data = read_chunk(store, array, index)
        chunk = decode(array, data)[..., : tile.height, : tile.width]
    except Exception:  # zarr has no one class for what can be wrong
        return np.array([_UNREADABLE, 0, 0], "f8")
    state = _SAME
    values = chunk.reshape(len(frames), *chunk.shape[-2:])
    if every:
        now = pipelines.cube_tile(tile, frames, dtype)
        for i in range(len(frames)):
            if not _same(values[i], now[i]):
                state = i
                break
    else:
        number = int(np.ravel_multi_index(index, array.counts))
        row = number % tile.height
        part = replace(tile, y=tile.y + row, height=1)
        for i in range(number % len(frames), len(frames), array.count):
            now = read_values([frames[i]], part, dtype, counted=None)[0]
            if not _same(values[i, row], now[0]):
                state = i
                break
    return np.array([state, *piece(data)], "f8")


def _same(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
