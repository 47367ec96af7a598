"""Frames out of Zarr stores: those of a cube, or the one that a master is."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask import storechunks
from pulsar_dask.errors import PulsarError, count, printable
from pulsar_dask.frame import Frame, frame_keywords
from pulsar_dask.outputs import CREATOR
from pulsar_dask.scan import DAMAGED_STORE, Keywords, refusal
from pulsar_dask.storechunks import chunks_of, read_texts
from pulsar_dask.storeformat import (
    FILE,
    FRAMES,
    HEADER,
    INCOMPLETE,
    MASTER,
    PIXELS,
    ArrayFormat,
    read_array,
    read_description,
)
from pulsar_dask.tiles import Tile

Array = np.ndarray[Any, Any]


def scan_store(path: str) -> list[Frame]:
    """The frames of a cube, or the one of a master, as their headers describe them.

    Raises
    ------
    PulsarError
        The store is not complete, parts of it are gone, or this program did not write it.
    """
    path = os.path.abspath(path)
    name = printable(path)
    description = read_description(path)
    known = description["attributes"]
    variable = FRAMES if "source" in known else MASTER
    if not str(known.get("creator", "")).startswith(CREATOR) or not os.path.isdir(
        os.path.join(path, variable)
    ):
        raise PulsarError(
            f"{name}: neither a cube nor a master that {CREATOR} wrote; "
            "make a cube of frames with `pulsar-dask cube`"
        )
    if description["zarr_format"] == INCOMPLETE or not known.get("complete", variable == MASTER):
        raise PulsarError(
            f"{name} is not complete: the run that writes it goes on, or was interrupted; "
            "the same command takes it up again"
        )
    status = os.stat(os.path.join(path, "zarr.json"))
    array = read_array(path, variable)
    # those that are not there would be read as zeros
    missing = array.count - sum(1 for _ in chunks_of(path, array))
    if missing > 0:
        what = f"not whole, {missing} of its {count(array.count, 'chunk')} missing"
        raise refusal(path, what, DAMAGED_STORE)
    try:
        texts = _headers(path, status.st_size, status.st_mtime_ns)
        names = _texts(path, FILE) if variable == FRAMES else [os.path.basename(path)]
        if variable == FRAMES and {len(texts), len(names)} != {array.shape[0]}:
            raise ValueError(f"{len(texts)} headers of {array.shape[0]} frames")
        return [
            Frame(
                path=os.path.join(path, str(i), os.path.basename(file.replace("\\", "/"))),
                hdu=0,
                shape=array.image,
                pixels=PIXELS[array.dtype],
                storage="zarr",
                offset=0,
                block=(array.chunks[-2], array.chunks[-1]),
                rice=None,
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
                inode=status.st_ino,
                ctime_ns=status.st_ctime_ns,
                index=i,
                depth=len(names),
                **frame_keywords(Keywords(_header(text))),  # type: ignore[arg-type]
            )
            for i, (file, text) in enumerate(zip(names, texts, strict=True))
        ]
    except PulsarError:
        raise
    except Exception as error:  # zarr has no one class for what can be wrong
        raise refusal(path, f"cannot be read ({error})", DAMAGED_STORE) from error


def header_of(frame: Frame) -> fits.Header:
    """The header that a frame of a store had in its file."""
    texts = _headers(os.path.dirname(frame.file), frame.size, frame.mtime_ns)
    return _header(texts[frame.index])


def has_checksums(frame: Frame) -> bool:
    """Whether each chunk of a store is read with a checksum of its own."""
    return "crc32c" in read_array(os.path.dirname(frame.file), _variable(frame)).codec_names


def files_of(frames: Sequence[Frame]) -> list[str]:
    """The files that frames are in, of those in a cube the ones that it was made of."""
    names = functools.cache(lambda store: _texts(store, FILE))
    return [names(os.path.dirname(f.file))[f.index] if in_cube(f) else f.path for f in frames]


def _header(text: str) -> fits.Header:
    return fits.Header.fromstring(text, sep="\n")


_HELD = threading.local()


def read_window(frame: Frame, tile: Tile, image: Array) -> None:
    """Pixels of one frame, as a FITS file would store them.

    The chunks hold all frames; they stay at hand for the next frame's same tile.
    """
    key = frame.file, frame.mtime_ns, tile
    if getattr(_HELD, "key", None) != key:
        _HELD.key = _HELD.values = None  # before the next ones are made
        store = os.path.dirname(frame.file)
        array = _known_array(store, frame.size, frame.mtime_ns, _variable(frame))
        values = storechunks.read_window(store, array, tile)
        _HELD.values = values if values.ndim == 3 else values[None]
        _HELD.key = key
    values = _HELD.values[frame.index]
    if frame.pixels.other_sign:
        unsigned = values.view(f"u{values.itemsize}")
        flipped = unsigned ^ unsigned.dtype.type(1 << (8 * values.itemsize - 1))
        values = flipped.view("u1" if values.itemsize == 1 else f"i{values.itemsize}")
    image[...] = values


def in_cube(frame: Frame) -> bool:
    """Whether a frame is one of a cube."""
    return frame.storage == "zarr" and os.path.isdir(
        os.path.join(os.path.dirname(frame.file), FRAMES)
    )


def _variable(frame: Frame) -> str:
    return FRAMES if in_cube(frame) else MASTER


@functools.lru_cache(maxsize=32)
def _known_array(store: str, size: int, mtime_ns: int, variable: str) -> ArrayFormat:
    """How an array is stored; `size` and `mtime_ns` are those of the store's metadata."""
    array = read_array(store, variable)  # in every process that reads it
    status = os.stat(os.path.join(store, "zarr.json"))
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise PulsarError(
            f"{printable(store)}: the store changed after it was looked at; "
            "run again when nothing writes to it"
        )
    return array


@functools.lru_cache(maxsize=8)
def _headers(store: str, size: int, mtime_ns: int) -> list[str]:
    if os.path.isdir(os.path.join(store, FRAMES)):
        return _texts(store, HEADER)
    if (header := read_array(store, MASTER).header) is None:
        raise ValueError("its master has no header")
    return [header]


def _texts(store: str, variable: str) -> list[str]:
    return read_texts(store, read_array(store, variable))
