"""Frames out of Zarr stores: those of a cube, or the one that a master is."""

from __future__ import annotations

import functools
import math
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
from astropy.io import fits

from pulsar_dask._version import CREATOR
from pulsar_dask.errors import PulsarError, count, printable, refusal
from pulsar_dask.formats.storechunks import chunks_of, read_texts, read_window
from pulsar_dask.formats.storeformat import (
    FILE,
    FRAMES,
    HEADER,
    INCOMPLETE,
    MASTER,
    ArrayFormat,
    read_array,
    read_described,
)
from pulsar_dask.formats.values import ManyKeywords
from pulsar_dask.frames.frame import Frame, Stored
from pulsar_dask.frames.holds import MB, Holds, Phase
from pulsar_dask.frames.keywords import about
from pulsar_dask.kernels.pixels import PIXELS, Tile, as_stored

Array = np.ndarray[Any, Any]
#: What to do about a store that is damaged.
DAMAGED_STORE = "write this store again, with ⟦overwrite⟧"
#: What reading holds of a chunk of all frames of a store at a time: it, and what it is made of.
_CHUNK_COPIES = 2
#: Bytes of the threads and codecs that read a store.
_PROCESS_BYTES = 15 * MB


@dataclass(frozen=True, slots=True)
class InStore(Stored):
    """A frame of a cube, or the one that a master is."""

    way_out: ClassVar[str] = DAMAGED_STORE

    variable: str
    """The array that it is in."""
    index: int
    """Place among the frames of the store."""
    depth: int
    """Frames in the store, which are read together."""
    block: tuple[int, int] = (1, 1)

    def place(self, path: str) -> str:
        # the path is store/place/name, so that each frame has its own
        return os.path.dirname(os.path.dirname(path))

    def file(self, path: str) -> str:
        return os.path.join(self.place(path), "zarr.json")

    def origin(self, frame: Frame) -> str:
        """Of a frame in a cube the file that the cube was made of."""
        if self.variable == MASTER:
            return frame.path
        return _files(frame.place, frame.size, frame.mtime_ns)[self.index]

    def header(self, frame: Frame) -> fits.Header:
        """The header that it had in its file."""
        return _header(_headers(frame.place, frame.size, frame.mtime_ns)[self.index])

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> None:
        for frame, image in zip(frames, out, strict=True):
            try:
                _read_window(frame, cast(InStore, frame.stored), tile, image)
            except (PulsarError, OSError):
                raise
            except Exception as error:  # what zarr says goes on with bytes
                raise ValueError(str(error).split(". ")[0]) from error

    def beside(self, frame: Frame) -> dict[str, Frame]:
        if self.variable == FRAMES:
            return {}
        with os.scandir(frame.place) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        found = {}
        for name in (name for name in names if name != MASTER):
            array = read_array(frame.place, name)
            stored = replace(self, variable=name, block=(array.chunks[-2], array.chunks[-1]))
            pixels = PIXELS[array.dtype]
            found[name] = replace(frame, shape=array.image, pixels=pixels, stored=stored)
        return found

    def checks(self, frame: Frame) -> bool:
        """Whether each chunk of the store is read with a checksum of its own."""
        return "crc32c" in read_array(frame.place, self.variable).codec_names

    def holds(self, frames: Sequence[Frame], *, compiled: bool) -> Holds:
        """For each pixel a window of all its frames, which stays for the next frame's same tile,
        and while that is made the chunks it comes from, one after the other."""
        return Holds(
            {"window of all frames": max(map(_window_bytes, frames))},
            process={"reading a Zarr store": _PROCESS_BYTES},
            phases=(Phase(thread={"a chunk of all frames": max(map(_chunk_bytes, frames))}),),
        )

    def sum_bytes(self, frame: Frame, stretch: int, *, compiled: bool) -> int:
        area = min(self.block[0], frame.shape[-2]) * frame.shape[-1]
        held = area * (frame.pixels.stored.itemsize + _window_bytes(frame)) + _chunk_bytes(frame)
        return max(Stored.sum_bytes(self, frame, stretch, compiled=compiled), held)


def in_cube(frame: Frame) -> bool:
    """Whether a frame is one of a cube."""
    return isinstance(frame.stored, InStore) and frame.stored.variable == FRAMES


def _window_bytes(frame: Frame) -> int:
    return cast(InStore, frame.stored).depth * frame.pixels.stored.itemsize


def _chunk_bytes(frame: Frame) -> int:
    return _CHUNK_COPIES * math.prod(cast(InStore, frame.stored).block) * _window_bytes(frame)


def recognise(path: str) -> bool:
    """Whether a path that ends as a store's is one."""
    return os.path.isdir(path)


def scan(path: str, hdu: int | str | None = None) -> list[Frame]:
    """The frames of a cube, or the one of a master, as their headers describe them.

    Raises
    ------
    PulsarError
        The store is not complete, parts of it are gone, or this program did not write it.
    """
    name = printable(path)
    description, status = read_described(path)
    known = description["attributes"]
    variable = FRAMES if "source" in known else MASTER
    if not str(known.get("creator", "")).startswith(CREATOR) or not os.path.isdir(
        os.path.join(path, variable)
    ):
        raise PulsarError(
            f"{name}: neither a cube nor a master that {CREATOR} wrote; "
            "make a cube of frames with `pulsar-dask cube`",
            "unreadable",
        )
    if description["zarr_format"] == INCOMPLETE or not known.get("complete", variable == MASTER):
        raise PulsarError(
            f"{name} is not complete: the run that writes it goes on, or was interrupted; "
            "the same command takes it up again",
            "unreadable",
        )
    array = read_array(path, variable)
    # those that are not there would be read as zeros
    missing = array.count - sum(1 for _ in chunks_of(path, array))
    if missing > 0:
        what = f"not whole, {missing} of its {count(array.count, 'chunk')} missing"
        raise refusal(path, what, DAMAGED_STORE)
    try:
        texts = _headers(path, status.st_size, status.st_mtime_ns)
        names = _names(path) if variable == FRAMES else [os.path.basename(path)]
        if variable == FRAMES and {len(texts), len(names)} != {array.shape[0]}:
            raise ValueError(f"{count(len(texts), 'header')} of {count(array.shape[0], 'frame')}")
        _check_same(path, status)
        return [
            Frame(
                path=os.path.join(path, str(i), os.path.basename(file.replace("\\", "/"))),
                shape=array.image,
                pixels=PIXELS[array.dtype],
                stored=InStore(variable, i, len(names), (array.chunks[-2], array.chunks[-1])),
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
                inode=status.st_ino,
                ctime_ns=status.st_ctime_ns,
                about=about(ManyKeywords(_header(text))),
            )
            for i, (file, text) in enumerate(zip(names, texts, strict=True))
        ]
    except PulsarError:
        raise
    except Exception as error:  # zarr has no one class for what can be wrong
        raise refusal(path, f"cannot be read ({error})", DAMAGED_STORE) from error


def _check_same(store: str, status: os.stat_result) -> None:
    """Raise PulsarError if another store got the name while several files of it were read."""
    now = os.stat(os.path.join(store, "zarr.json"))
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
    ):
        _headers.cache_clear()  # which may be those of the other
        _files.cache_clear()
        raise _changed(store)


def _changed(store: str) -> PulsarError:
    return PulsarError(
        f"{printable(store)}: the store changed after it was looked at; "
        "run again when nothing writes to it",
        "unreadable",
    )


def _header(text: str) -> fits.Header:
    return fits.Header.fromstring(text, sep="\n")


_HELD = threading.local()


def _read_window(frame: Frame, stored: InStore, tile: Tile, image: Array) -> None:
    """Pixels of one frame, as a FITS file would store them.

    The chunks hold all frames; they stay at hand for the next frame's same tile.
    """
    key = frame.place, stored.variable, frame.mtime_ns, tile
    if getattr(_HELD, "key", None) != key:
        _HELD.key = _HELD.values = None  # before the next ones are made
        array = _known_array(frame.place, frame.size, frame.mtime_ns, stored.variable)
        values = read_window(frame.place, array, tile)
        _HELD.values = values if values.ndim == 3 else values[None]
        _HELD.key = key
    image[...] = as_stored(_HELD.values[stored.index], frame.pixels)


@functools.lru_cache(maxsize=32)
def _known_array(store: str, size: int, mtime_ns: int, variable: str) -> ArrayFormat:
    """How an array is stored; `size` and `mtime_ns` are those of the store's metadata."""
    array = read_array(store, variable)  # in every process that reads it
    status = os.stat(os.path.join(store, "zarr.json"))
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise _changed(store)
    return array


@functools.lru_cache(maxsize=8)
def _headers(store: str, size: int, mtime_ns: int) -> list[str]:
    if os.path.isdir(os.path.join(store, FRAMES)):
        return _texts(store, HEADER)
    if (header := read_array(store, MASTER).header) is None:
        raise ValueError("its master has no header")
    return [header]


@functools.lru_cache(maxsize=8)
def _files(store: str, size: int, mtime_ns: int) -> list[str]:
    return _names(store)


#: Bytes of a name that are no text, as Python has them; and what would be read as one of them.
_NO_TEXT = re.compile("[\udc80-\udcff]|" + r"\\(?=u(?:dc[89a-f][0-9a-f]|005c))")
_ESCAPE = re.compile(r"\\u(dc[89a-f][0-9a-f]|005c)")


def storable(name: str) -> str:
    r"""A file's name as text that a store can hold, whatever bytes it is made of.

    >>> storable("a\udcff.fit"), storable("gr\xf6\xdfe.fit")
    ('a\\udcff.fit', 'größe.fit')
    """
    return _NO_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", name)


def as_named(text: str) -> str:
    """The name that `storable` was given."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _names(store: str) -> list[str]:
    return [as_named(text) for text in _texts(store, FILE)]


def _texts(store: str, variable: str) -> list[str]:
    return read_texts(store, read_array(store, variable))
