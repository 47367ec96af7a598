"""What a Zarr store of ours looks like, told from its JSON before anything of it is opened.

The metadata of a store name the code that decodes it: codecs, filters, types and transformers
that Zarr looks up among all that is installed, and the object codecs of format 2 run what the
store's author wrote. So a store is only opened if every name in it is one that this program
writes, and what it announces is of a size that an image can have.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulsar_dask.errors import PulsarError, printable, shown
from pulsar_dask.frames.planes import PLANES
from pulsar_dask.kernels.pixels import PIXELS

#: Variable of a cube; of a master.
FRAMES, MASTER = "frames", "master"
#: Texts of a cube that are read, one of each for a frame.
FILE, HEADER = "file", "header"

_TEXT = "string"

#: What stands where Zarr wants its version, as long as a cube is not complete: every reader of
#: Zarr then refuses it, most of them with these words.
INCOMPLETE = "(not complete: the pulsar-dask command that writes this goes on where it was)"

#: Bytes of the longest metadata: a master of 100,000 frames has 16 MB.
_MOST_JSON = 32_000_000
_MOST_FRAMES = 1_000_000
_MOST_BYTES = 2**62
#: Bytes of the largest chunk; Blosc makes none of more.
_MOST_CHUNK = 2**31 - 1
#: Bytes of the headers of all frames, as they are read at once.
MOST_TEXT = 2**30

_FORMAT_2 = (".zgroup", ".zarray", ".zattrs", ".zmetadata")
_KEYS = frozenset(
    "zarr_format node_type shape data_type chunk_grid chunk_key_encoding codecs fill_value "
    "attributes dimension_names storage_transformers".split()
)
#: Codec: its settings.
_CODECS = {
    "bytes": frozenset({"endian"}),
    "vlen-utf8": frozenset[str](),
    "blosc": frozenset({"typesize", "cname", "clevel", "shuffle", "blocksize"}),
    "zstd": frozenset({"level", "checksum"}),
    "crc32c": frozenset[str](),
}


@dataclass(frozen=True)
class ArrayFormat:
    """How an array of a store is stored; a small value that travels."""

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    codecs: str
    """JSON, as in the metadata."""
    header: str | None = None
    """The attribute of that name: the header of a master."""

    @property
    def codec_names(self) -> tuple[str, ...]:
        return tuple(codec["name"] for codec in json.loads(self.codecs))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk, not compressed."""
        return math.prod(self.chunks) * PIXELS[self.dtype].stored.itemsize

    @property
    def image(self) -> tuple[int, ...]:
        """The shape of a frame or master."""
        return self.shape[1:] if self.name == FRAMES else self.shape

    @property
    def counts(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-n // m) for n, m in zip(self.shape, self.chunks, strict=True))

    @property
    def count(self) -> int:
        """Chunks of the whole array."""
        return math.prod(self.counts)


def refused(store: str, what: str) -> PulsarError:
    """The error for a store that is not opened."""
    return PulsarError(
        f"{printable(store)}: {printable(what)}, which this program does not write; such a store "
        "could run its author's code, so it is not opened. Ask for FITS files instead"
    )


def read_json(path: str) -> dict[str, Any]:
    """The JSON of a file; OSError or ValueError where there is none of a sane size."""
    return _object(read_bounded(path))


def _object(text: bytes) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def read_bounded(path: str, most: int = _MOST_JSON) -> bytes:
    """The content of a regular file; ValueError where it is another thing, or larger."""
    return _read(path, most)[0]


def _read(path: str, most: int) -> tuple[bytes, os.stat_result]:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    number = os.open(path, flags)  # a pipe would never answer
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        with open(number, "rb", closefd=False) as file:
            content = file.read(most + 1)
    finally:
        os.close(number)
    if len(content) > most:
        raise ValueError(f"more than {most} bytes")
    return content, status


def read_description(store: str) -> dict[str, Any]:
    """The metadata of the group that a store is.

    Raises
    ------
    PulsarError
        It is none of Zarr's format 3.
    """
    return read_described(store)[0]


def read_described(store: str) -> tuple[dict[str, Any], os.stat_result]:
    """`read_description`, and the status of the very file that it is in."""
    _refuse_format_2(store, store)
    try:
        text, status = _read(os.path.join(store, "zarr.json"), _MOST_JSON)
        found = _object(text)
    except (OSError, ValueError, RecursionError) as error:
        raise PulsarError(f"{printable(store)}: not a Zarr store that can be read") from error
    attributes = found.setdefault("attributes", {})
    version = found.get("zarr_format")
    if version not in (3, INCOMPLETE) or not isinstance(attributes, dict):
        raise refused(store, f"a Zarr store of format {shown(version)}")
    if found.get("node_type") != "group":
        raise refused(store, f"a Zarr store that is {shown(found.get('node_type'))}, no group")
    return found, status


def read_array(store: str, variable: str) -> ArrayFormat:
    """How an array of a store is stored.

    Raises
    ------
    PulsarError
        This program does not write such arrays, or it cannot be read.
    """
    place = os.path.join(store, variable)
    _refuse_format_2(store, place)
    try:
        found = read_json(os.path.join(place, "zarr.json"))
    except (OSError, ValueError, RecursionError) as error:
        raise PulsarError(
            f"{printable(store)}: its array {variable!r} cannot be read ({printable(error)})"
        ) from error
    return check_array(store, variable, found)


def _refuse_format_2(store: str, folder: str) -> None:
    for name in _FORMAT_2:
        if os.path.lexists(os.path.join(folder, name)):
            raise refused(store, f"{name}, metadata of Zarr's format 2")


def check_array(store: str, variable: str, found: Mapping[str, Any]) -> ArrayFormat:
    """The same of metadata that were read; refuses what this program does not write."""
    try:
        return _array_format(variable, found)
    except _Other as other:
        raise refused(store, f"its array {variable!r} has {other}") from None


class _Other(Exception):
    """Something that this program does not write; its text is what."""


def _need(right: bool, what: str) -> None:
    if not right:
        raise _Other(what)


def _array_format(variable: str, found: Mapping[str, Any]) -> ArrayFormat:
    for key in sorted(set(found) - _KEYS):
        _need(False, f"the entry {shown(key)} in its metadata")
    for key, value in (("node_type", "array"), ("zarr_format", 3)):
        _need(found.get(key) == value, f"the {key} {shown(found.get(key))}")
    text = variable in (FILE, HEADER)
    dtype: Any = found.get("data_type")
    known = isinstance(dtype, str) and (dtype == _TEXT if text else dtype in PIXELS)
    _need(known, f"the data type {shown(dtype)}")
    _need(not found.get("storage_transformers"), "storage transformers")
    encoding = found.get("chunk_key_encoding")
    default = {"name": "default", "configuration": {"separator": "/"}}
    _need(encoding == default, f"the chunk key encoding {shown(encoding)}")
    _need(isinstance(found.get("fill_value"), (int, float, str)), "an unknown fill value")
    attributes: Any = found.get("attributes", {})
    _need(isinstance(attributes, dict), "attributes that are none")
    codecs = _codecs(found.get("codecs"), text)
    shape: Any = found.get("shape")
    images = {MASTER, *PLANES}
    axes = (3, 4) if variable == FRAMES else (2, 3) if variable in images else (1,)
    _need(_lengths(shape) and len(shape) in axes, f"the shape {shown(shape)}")
    chunks = _chunks(found.get("chunk_grid"), shape)
    if variable == FRAMES:  # a chunk is a tile of all frames
        right = chunks[0] == shape[0] and chunks[1:-2] == [1] * (len(shape) - 3)
        _need(right, f"chunks of {shown(chunks)} for the shape {shown(shape)}")
    if variable not in images:
        _need(shape[0] <= _MOST_FRAMES, f"the shape {shown(shape)}")
    if not text:
        size = PIXELS[dtype].stored.itemsize
        _need(math.prod(shape) * size <= _MOST_BYTES, f"the shape {shown(shape)}")
        _need(math.prod(chunks) * size <= _MOST_CHUNK, f"chunks of {shown(chunks)}")
    header = attributes.get("header")
    return ArrayFormat(
        variable, tuple(shape), tuple(chunks), dtype, codecs,
        None if header is None else str(header),
    )  # fmt: skip


def _codecs(found: Any, text: bool) -> str:
    _need(isinstance(found, list), f"the codecs {shown(found)}")
    names = []
    for codec in found:
        name, settings = _codec(codec)
        _need(name in _CODECS, f"the codec {shown(name)}")
        right = set(settings) <= _CODECS[name] and settings.get("endian", "little") == "little"
        right = right and all(isinstance(value, (int, str)) for value in settings.values())
        _need(right, f"unknown settings of the codec {name!r}")
        names.append(name)
    rest = names[1:-1] if names[-1:] == ["crc32c"] else names[1:]
    right = names[:1] == ["bytes"] and rest in ([], ["zstd"], ["blosc"])
    if text:
        right = names[:1] == ["vlen-utf8"] and rest == ["zstd"]  # 0.1 wrote no sum behind it
    _need(right, f"the codecs {shown(names)}")
    return json.dumps(found)


def _chunks(grid: Any, shape: list[int]) -> list[int]:
    regular = isinstance(grid, dict) and set(grid) == {"name", "configuration"}
    _need(regular and grid["name"] == "regular", f"the chunk grid {shown(grid)}")
    settings: Any = grid["configuration"]
    _need(isinstance(settings, dict) and set(settings) == {"chunk_shape"}, "an unknown chunk grid")
    chunks: Any = settings["chunk_shape"]
    right = _lengths(chunks) and len(chunks) == len(shape)
    right = right and all(m <= n for m, n in zip(chunks, shape, strict=True))
    _need(right, f"chunks of {shown(chunks)} for the shape {shown(shape)}")
    return list(chunks)


def _codec(codec: Any) -> tuple[Any, dict[str, Any]]:
    """Name and settings; what is not in that form gives a name that is none of ours."""
    if not isinstance(codec, dict) or not set(codec) <= {"name", "configuration"}:
        return repr(codec), {}
    settings = codec.get("configuration") or {}
    name = codec.get("name")
    if not isinstance(settings, dict) or not isinstance(name, str):
        return repr(codec), {}
    return name, settings


def _lengths(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 1 <= n < 2**40 for n in value)
