"""Chunks of a Zarr store, written."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.files.disk import failure, sync
from pulsar_dask.files.part import is_temporary
from pulsar_dask.formats.storechunks import chunk_index, chunk_name, fill
from pulsar_dask.formats.storeformat import ArrayFormat
from pulsar_dask.formats.storeseal import Piece, piece
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]


def encode(array: ArrayFormat, values: Array) -> list[Any]:
    """The bytes of a chunk with values, of its size or less at an edge: in parts, as Zarr would
    copy all to put a checksum behind it."""
    import google_crc32c
    import zarr
    from zarr.storage import MemoryStore

    held: dict[str, Any] = {}
    codecs = json.loads(array.codecs)[1:]
    checked = codecs[-1:] == [{"name": "crc32c"}]
    zarr.create_array(
        MemoryStore(held),
        shape=values.shape,
        chunks=array.chunks,
        dtype=array.dtype,
        compressors=codecs[:-1] if checked else codecs,
        fill_value=fill(array),
        zarr_format=3,
        # a chunk of zeros is written like any other: that it is there says that it is done
        config={"write_empty_chunks": True},
    )[...] = values
    (made,) = (content for name, content in held.items() if name != "zarr.json")
    data = np.asarray(made.as_numpy_array())
    return [data, google_crc32c.value(data).to_bytes(4, "little")] if checked else [data]


def write_whole(path: str, *parts: Any) -> None:
    """Write a file, which then holds all of them or what it held before."""
    new = f"{path}.{secrets.token_hex(6)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    number = os.open(new, flags, 0o666)
    try:
        try:
            for view in (memoryview(part).cast("B") for part in parts):
                while view:
                    view = view[os.write(number, view) :]
            sync(number)
        finally:
            os.close(number)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def remove_partial(store: str, variable: str) -> None:
    """Remove what killed writers of chunks have left."""
    for folder, _, names in os.walk(os.path.join(store, variable)):
        for name in names:
            if name.endswith(".part"):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))


@dataclass(frozen=True)
class ChunkWriter:
    """Writes chunks of an array of a store, in any process that sees it."""

    store: str
    array: ArrayFormat

    def __call__(self, tile: Tile, values: Array) -> tuple[str, Piece]:
        """The name of the chunk's file, and what is known of its content."""
        self._check()
        name = chunk_name(self.array.name, chunk_index(self.array, tile))
        planes = (1,) if len(self.array.image) == 3 else ()
        data = encode(self.array, values.reshape(*values.shape[:-2], *planes, *values.shape[-2:]))
        folder = os.path.dirname(self.store)
        path = os.path.join(self.store, *name.split("/"))
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_whole(path, *data)
        except OSError as error:
            place = os.path.dirname(folder) if is_temporary(folder) else folder
            raise failure(os.path.join(place, os.path.basename(self.store)), error) from error
        finally:
            if not os.path.exists(os.path.join(self.store, "zarr.json")) and is_temporary(folder):
                # a task that came late has brought back to life what was removed
                shutil.rmtree(folder, ignore_errors=True)
        return name, piece(*data)

    def _check(self) -> None:
        if not os.path.exists(os.path.join(self.store, "zarr.json")):
            raise PulsarError(
                f"{printable(self.store)} is not there; a Zarr store that workers write must lie "
                "where all of them see it",
                "write",
            )
