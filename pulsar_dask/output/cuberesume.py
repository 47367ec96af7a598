"""What a run takes over of a cube that another one began.

The store's seal tells that its description is as it was written, and the frames' paths, sizes
and times are in its name for them (`engine.layer.token`). That does not see

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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index, Layer, layer
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Run, Sink
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats import reading
from pulsar_dask.formats.reading import read_values
from pulsar_dask.formats.storechunks import chunk_index, decode, read_chunk
from pulsar_dask.formats.storeformat import FRAMES, ArrayFormat
from pulsar_dask.formats.storeseal import Piece, piece
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.stack import cube_tile

Array = np.ndarray[Any, Any]
_SAME, _UNREADABLE = -1, -2


class OtherPixels(PulsarError):
    """A store holds other pixels than the frames; to go on is of no use."""


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


def comparison(store: Store) -> tuple[Recipe, Sink]:
    """What takes over those chunks of a store that are as the frames have them, to be made;
    `OtherPixels` is raised while it is."""
    every = not store.same_files
    one = layer(
        "compared",
        compared,
        store.frames,
        str(store.dtype),
        store.path,
        store.array,
        every,
        planes=(),
        reads=store.frames if every else (),
        also=() if every else store.frames,
        holds=reading.values_holds(store.frames)
        + Holds(pixel={"chunk": 4 * len(store.frames) * store.dtype.itemsize}),
    )
    return Recipe((), (one,)), _Found(store, one)


class _Found:
    """See `make.Sink`: hands good chunks to the store."""

    sends = 0
    holds = Holds()
    after = Holds()
    load: Sequence[str] = ("zarr", "zarr.codecs")

    def __init__(self, store: Store, one: Layer) -> None:
        self.store, self.layer, self.grid = store, one, store.grid
        self._lock = threading.Lock()

    def begin(self, plan: Plan) -> frozenset[Index]:
        return frozenset(index for index, _ in plan.grid) - self.store.done()

    def taker(self) -> Any:
        return _as_it_is

    def here(self, tile: Tile, result: tuple[int, Piece]) -> None:
        state, piece = result
        if state >= 0:
            raise OtherPixels(
                f"{printable(self.store.path)} holds other pixels than "
                f"{printable(self.store.frames[state].path)}: one of them was changed or replaced "
                "since; name another output or add ⟦overwrite⟧"
            )
        if state == _SAME:
            with self._lock:
                self.store.take(tile, piece)

    def seal(self, run: Run) -> None:
        pass

    def files(self) -> Mapping[str, Any]:
        return {}


def _as_it_is(tile: Tile, result: Any) -> Any:
    return result


def compared(
    tile: Tile,
    frames: Sequence[Frame],
    dtype: str,
    store: str,
    array: ArrayFormat,
    every: bool,
) -> tuple[int, Piece]:
    """The first frame whose pixels are not those of a chunk, else _SAME or _UNREADABLE; and
    length and CRC of the chunk's file.

    Of `every` frame all pixels, else of some a row, of each in some chunk.
    """
    index = chunk_index(array, tile)
    try:
        data = read_chunk(store, array, index)
        chunk = decode(array, data)[..., : tile.height, : tile.width]
    except Exception:  # zarr has no one class for what can be wrong
        return _UNREADABLE, (0, 0)
    state = _SAME
    values = chunk.reshape(len(frames), *chunk.shape[-2:])
    if every:
        now = cube_tile(tile, frames, dtype)[FRAMES]
        for i in range(len(frames)):
            if not _same(values[i], now[i]):
                state = i
                break
    else:
        number = int(np.ravel_multi_index(index, array.counts))
        row = number % tile.height
        part = replace(tile, y=tile.y + row, height=1)
        for i in range(number % len(frames), len(frames), array.count):
            now = read_values([frames[i]], part, np.dtype(dtype), counted=None)[0]
            if not _same(values[i, row], now[0]):
                state = i
                break
    return state, piece(data)


def _same(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
