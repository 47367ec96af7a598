"""A stack of frames as one Zarr store: written in parallel, and resumed.

A chunk holds a tile of all frames, as a tile of a stack is what every tool reads. The store has
its name from the start, but until it is complete its metadata state a format that no reader of
Zarr takes (see `storeformat.INCOMPLETE`), so that nobody reads zeros where chunks are missing. A
chunk's file appears whole, so that the files that there are tell where an interrupted run goes
on. Beside the pixels lie the coordinates that `open_frames` gives, and the header of each frame,
from which a `Frame` is made just as from a file's.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.tokenize import tokenize

from pulsar_dask.engine import layer
from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index, token
from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor, Run
from pulsar_dask.errors import PulsarError, code_of, printable, warn
from pulsar_dask.files.atomicfolder import AtomicFolder
from pulsar_dask.files.disk import failure
from pulsar_dask.files.leftovers import remove_stale
from pulsar_dask.formats.storechunks import chunk_index, chunk_name, chunks_of
from pulsar_dask.formats.storeformat import (
    FRAMES,
    ArrayFormat,
    check_array,
    read_description,
)
from pulsar_dask.formats.storeseal import Piece, sealed_text
from pulsar_dask.frames import stack
from pulsar_dask.frames.alike import differences
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import MB, Holds, Phase
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.stack import cube_layer
from pulsar_dask.output import cuberesume
from pulsar_dask.output.chunks import ChunkWriter, remove_partial, write_whole
from pulsar_dask.output.cubelayout import describe_cube
from pulsar_dask.output.ours import check_output

#: What has to be loaded before a store is written.
ZARR = ("zarr", "zarr.codecs")


class CubeStore:
    """A store that some frames are written to; a `make.Sink`."""

    sends = 0
    after = Holds()
    load: Sequence[str] = (*ZARR, "xarray")  # xarray, for the coordinates

    def __init__(self, path: str, frames: Sequence[Frame], *, overwrite: bool) -> None:
        """Look at what is there; nothing is written yet.

        Raises
        ------
        PulsarError
            Something else has that name, or a cube of other frames without `overwrite`.
        """
        self.path = os.path.abspath(path)
        self.frames = tuple(frames)
        self.shape = stack.check_shapes(frames)
        self.layer = cube_layer(frames)
        self.dtype = np.dtype(self.layer.planes[0].dtype)
        self.source = str(tokenize(token(self.frames)))
        self.complete = False
        self.same_files = True
        """Whether all frames are in the very files that a run before this one has read."""
        self.grid: Grid | None = None
        """Tiles of a run before this one, which goes on."""
        self._new, self._overwrite = True, overwrite
        self._array: ArrayFormat | None = None
        self._pieces: dict[str, Piece] = {}
        """What is known of the content of chunks."""
        name = printable(path)
        if not self.path.lower().endswith(".zarr"):
            raise PulsarError(f"{name}: the name of a cube ends in .zarr", "output")
        inputs = [f.path for f in frames] + _stores(frames)
        self._check_output = functools.partial(
            check_output, path, inputs, overwrite=overwrite, resumes=True
        )
        self._check_output()
        if os.path.lexists(self.path) and not overwrite:
            self._go_on(name)
        else:
            for text in differences(frames, into="cube"):
                warn(f"{printable(os.path.basename(path))}: {text}", code_of(text))

    def _go_on(self, name: str) -> None:
        """Take up what a run before this one has written."""
        known = read_description(self.path)["attributes"]
        array = self._described() if known.get("source") == self.source else None
        wanted = (len(self.frames), *self.shape), str(self.dtype)
        if array is None or (array.shape, array.dtype) != wanted:
            raise PulsarError(
                f"{name} exists and holds other frames, or these as they were before; "
                "name another output or add ⟦overwrite⟧",
                "output",
            )
        self.grid, self._array = Grid(self.shape, *array.chunks[-2:]), array
        self.same_files = known.get("files") == layer.files_token(self.frames)
        done, of = self.progress()
        self.complete = bool(known.get("complete")) and done == of and self.same_files
        self._new = False

    @property
    def holds(self) -> Holds:
        values = len(self.frames) * self.dtype.itemsize
        # what noise is compressed to; at an edge Zarr fills up a chunk first
        filled = Phase(edge={"filled up": values})
        process = {"writing a cube": 10 * MB}
        return Holds({"compression": values}, process=process, phases=(filled,))

    def begin(self, plan: Plan) -> frozenset[Index]:
        """Make the store, or take up the one that there is."""
        self.grid = plan.grid
        remove_stale(os.path.dirname(self.path))
        if self._new:
            self._create(plan.grid)
            self._array = self._described()
        remove_partial(self.path, FRAMES)
        return frozenset(index for index, tile in self._grid if self._name(tile) in self._pieces)

    def done(self) -> frozenset[Index]:
        """Indices of the tiles whose chunks are there."""
        there = set(chunks_of(self.path, self.array))
        return frozenset(index for index, tile in self._grid if self._name(tile) in there)

    def taker(self) -> FrameChunk:
        return FrameChunk(ChunkWriter(self.path, self.array))

    def here(self, tile: Tile, result: tuple[str, Piece]) -> None:
        self._pieces[result[0]] = result[1]

    def take(self, tile: Tile, found: Piece) -> None:
        """Take a chunk of a run before this one for done."""
        self._pieces[self._name(tile)] = found

    def seal(self, run: Run) -> None:
        self.finish()

    def files(self) -> Mapping[str, Any]:
        return {}

    def finish(self) -> None:
        """Make the store one that Zarr opens, first the pixels in it, then all; and seal it."""
        remove_partial(self.path, FRAMES)
        done, of = self.progress()
        if done < of:
            raise PulsarError(
                f"{printable(self.path)}: chunks of it went away while others were written; "
                "run again when nothing else writes to it",
                "output",
            )
        description = read_description(self.path)
        arrays = description["consolidated_metadata"]["metadata"]
        description["zarr_format"] = 3
        description["attributes"] |= {
            "complete": True,
            "files": layer.files_token(self.frames),
        }
        try:
            write_whole(
                os.path.join(self.path, FRAMES, "zarr.json"), json.dumps(arrays[FRAMES]).encode()
            )
            text = sealed_text(self.path, description, self._pieces)
            write_whole(os.path.join(self.path, "zarr.json"), text)
        except OSError as error:
            raise failure(self.path, error) from error
        self.complete = True

    def progress(self) -> tuple[int, int]:
        """Chunks that are done, and all."""
        return len(self.done()) if self._array else 0, len(self._grid)

    def close(self) -> None:
        """After an error: a store without a chunk is of no use to a run to come."""
        if self.complete or not self._new or self._array is None:
            return
        if not self.progress()[0]:
            shutil.rmtree(self.path, ignore_errors=True)

    @property
    def array(self) -> ArrayFormat:
        """How the pixels are stored."""
        assert self._array is not None
        return self._array

    @property
    def _grid(self) -> Grid:
        assert self.grid is not None
        return self.grid

    def _name(self, tile: Tile) -> str:
        return chunk_name(FRAMES, chunk_index(self.array, tile))

    def _described(self) -> ArrayFormat:
        try:
            arrays = read_description(self.path)["consolidated_metadata"]["metadata"]
            return check_array(self.path, FRAMES, arrays[FRAMES])
        except (LookupError, TypeError) as error:
            raise PulsarError(
                f"{printable(self.path)}: not a cube that can be gone on with", "output"
            ) from error

    def _create(self, grid: Grid) -> None:
        """All but the chunks, under another name until it is whole."""
        with AtomicFolder(self.path) as folder:
            try:
                describe_cube(folder.store, self.frames, self.dtype, self.source, grid)
            except OSError as error:
                raise failure(self.path, error) from error
            folder.seal()
            folder.commit(self._check_name)

    def _check_name(self) -> None:
        """Once more, now that the name is to be taken."""
        if not self._overwrite and os.path.lexists(self.path):
            raise PulsarError(
                f"{printable(self.path)} has come into being meanwhile; "
                "run again when nothing else writes to it",
                "output",
            )
        self._check_output()


@dataclass(frozen=True)
class FrameChunk:
    """Writes the chunk of a tile where that was computed."""

    write: ChunkWriter

    def __call__(self, tile: Tile, planes: Mapping[str, Any]) -> tuple[str, Piece]:
        return self.write(tile, planes[FRAMES])


def write(store: CubeStore, executor: Executor, **options: Any) -> None:
    """Write what is missing of a store, whole or as far as it goes; `options` are those of
    `make`.

    What was written before is compared with the frames first (see `cuberesume`). The checksums
    that frames state are compared as in every tool; of what was read by a run before this one
    that takes another reading of those frames.
    """
    with contextlib.closing(store):
        if store.grid:
            recipe, found = cuberesume.comparison(store)
            make(recipe, [found], executor, summed=(), **options)
        stated = [frame for frame in store.frames if frame.stated is not None]
        make(Recipe((), (store.layer,)), [store], executor, summed=stated, **options)


def _stores(frames: Sequence[Frame]) -> list[str]:
    return list({f.place for f in frames if f.place != f.path})
