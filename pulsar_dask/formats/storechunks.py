"""The chunks of a Zarr store: their names, and their bytes as pixels."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pulsar_dask.formats.storeformat import FRAMES, MOST_TEXT, ArrayFormat, read_bounded
from pulsar_dask.kernels.pixels import Tile

Array = np.ndarray[Any, Any]
#: Bytes that tell to how many a compressed chunk expands.
_HEAD = 18
_ZSTD = b"\x28\xb5\x2f\xfd"


def slices(tile: Tile) -> tuple[slice, slice]:
    """Rows and columns."""
    return slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)


def chunk_name(variable: str, index: Sequence[int]) -> str:
    """The name of a chunk's file within its store."""
    return "/".join((variable, "c", *map(str, index)))


def chunk_index(array: ArrayFormat, tile: Tile) -> tuple[int, ...]:
    """The chunk in which a tile begins."""
    frames = (0,) if array.name == FRAMES else ()
    planes = (tile.plane,) if len(array.image) == 3 else ()
    return (*frames, *planes, tile.y // array.chunks[-2], tile.x // array.chunks[-1])


def chunks_of(store: str, array: ArrayFormat) -> Iterator[str]:
    """The names of those chunks that are there."""

    def inside(folder: str, depth: int) -> Iterator[str]:
        with contextlib.suppress(OSError), os.scandir(os.path.join(store, folder)) as entries:
            for entry in entries:
                if not entry.name.isdecimal():
                    continue
                if depth > 1:
                    yield from inside(f"{folder}/{entry.name}", depth - 1)
                elif entry.is_file() and entry.stat().st_size:
                    yield f"{folder}/{entry.name}"

    return inside(f"{array.name}/c", len(array.shape))


def decode(array: ArrayFormat, data: bytes) -> Array:
    """The values of a chunk, the part beyond an edge included; a ValueError if it expands to
    another size than is announced."""
    values = np.empty(array.chunks, array.dtype)
    decode_into(values, array, data)
    return values


def decode_into(
    out: Array, array: ArrayFormat, data: bytes, part: tuple[Any, ...] = (...,)
) -> None:
    """The same of a part of a chunk, without another copy of it."""
    _check_head(array, data[:_HEAD], len(data))
    import zarr
    from zarr.buffer import cpu
    from zarr.storage import MemoryStore

    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.chunks,
        "data_type": array.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": array.chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill(array),
        "codecs": json.loads(array.codecs),
        "attributes": {},
    }
    chunk = "/".join(("c", *"0" * len(array.chunks)))
    files = {"zarr.json": json.dumps(metadata).encode(), chunk: data}
    held = {name: cpu.Buffer.from_bytes(content) for name, content in files.items()}
    found = zarr.open_array(MemoryStore(held), mode="r", zarr_format=3)
    found.get_basic_selection(part, out=cpu.NDBuffer.from_numpy_array(out))


def fill(array: ArrayFormat) -> Any:
    return "NaN" if array.dtype.startswith("float") else 0


def _check_head(array: ArrayFormat, head: bytes, size: int) -> None:
    """Compare the length to which a chunk says it expands with what its array announces, before
    room for it is made: a few bytes could ask for gigabytes."""
    found, announced = _expanded(array, head, size), array.chunk_bytes
    if found != announced:
        raise ValueError(f"a chunk expands to {found} bytes where {announced} are announced")


def _expanded(array: ArrayFormat, head: bytes, size: int) -> int | str:
    names = array.codec_names
    if "blosc" in names:
        return int.from_bytes(head[4:8], "little") if len(head) >= 16 else "no"
    if "zstd" in names:
        return _zstd_length(head)
    return size - 4 * ("crc32c" in names)


def _zstd_length(head: bytes) -> int | str:
    """What a frame of Zstandard says of its length (RFC 8878, section 3.1.1.1)."""
    if len(head) < 6 or not head.startswith(_ZSTD):
        return "no"
    flags = head[4]
    single, dictionary = flags >> 5 & 1, (0, 1, 2, 4)[flags & 3]
    length = (single, 2, 4, 8)[flags >> 6]
    if not length:
        return "an unknown number of"
    start = 6 - single + dictionary
    return int.from_bytes(head[start : start + length], "little") + 256 * (length == 2)


def read_chunk(store: str, array: ArrayFormat, index: Sequence[int]) -> bytes:
    """What a chunk's file holds; FileNotFoundError where it is gone."""
    path = os.path.join(store, chunk_name(array.name, index))
    return read_bounded(path, 2 * array.chunk_bytes + 1_000_000)


def read_window(store: str, array: ArrayFormat, tile: Tile) -> Array:
    """The values of a tile, of all frames. A chunk's file is opened once, so that what was looked
    at is what is decoded, whatever gets its name meanwhile."""
    height, width = array.chunks[-2:]
    shape = tile.shape if array.name != FRAMES else (array.shape[0], *tile.shape)
    values = np.empty(shape, array.dtype)
    for y in range(tile.y // height * height, tile.y + tile.height, height):
        for x in range(tile.x // width * width, tile.x + tile.width, width):
            index = chunk_index(array, replace(tile, y=y, x=x))
            top, bottom = max(y, tile.y), min(y + height, tile.y + tile.height)
            left, right = max(x, tile.x), min(x + width, tile.x + tile.width)
            plane = (0,) if len(array.image) == 3 else ()
            part = ..., *plane, slice(top - y, bottom - y), slice(left - x, right - x)
            own = values[..., top - tile.y : bottom - tile.y, left - tile.x : right - tile.x]
            decode_into(own, array, read_chunk(store, array, index), part)
    return values


def read_texts(store: str, array: ArrayFormat) -> list[str]:
    """The texts of an array of one axis, taken apart here: Zarr's codec for them makes room for
    as many as a chunk says it has."""
    texts: list[str] = []
    for number in range(array.count):
        most = min(array.chunks[0], array.shape[0] - len(texts))
        path = os.path.join(store, chunk_name(array.name, (number,)))
        if os.path.exists(path):
            texts += _texts(array, read_bounded(path, MOST_TEXT))[:most]
        else:  # Zarr does not write a chunk of nothing but empty ones
            texts += [""] * most
    return texts


def _texts(array: ArrayFormat, data: bytes) -> list[str]:
    length = _zstd_length(data[:_HEAD])
    if not isinstance(length, int) or not 0 < length <= MOST_TEXT:
        raise ValueError(f"{array.name}: its texts expand to {length} bytes")
    codecs = [{"name": "bytes"}, *json.loads(array.codecs)[1:]]
    plain = ArrayFormat(array.name, (length,), (length,), "uint8", json.dumps(codecs))
    data = decode(plain, data).tobytes()
    texts, at = [], 4
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        texts.append(data[at + 4 : end].decode())
        at = end
    if at != len(data) or len(texts) != array.chunks[0]:
        raise ValueError(f"{array.name}: damaged, or not as many texts as there are frames")
    return texts
