"""From frames to the pixels of a tile.

`read_tile` is a function of small values (frames, tile): it opens what it needs, so it can
run in any thread or process. Uncompressed pixels are read with positioned reads straight
into the tile; a memory map would count the page cache against the process. Open files are
kept, fewer than the system's limit, so that the system's read-ahead sees each file read
in order.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pulsar_dask.formats.compressed import open_tiled, read_section
from pulsar_dask.formats.expanded import SCRATCH, read_expanded, read_window
from pulsar_dask.formats.guard import guarded
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.openfiles import open_file, open_limit, open_plain
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.checksum import Sums, both_sums
from pulsar_dask.kernels.loaded import if_loaded
from pulsar_dask.kernels.ordersum import WEIGHTS
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]
#: Of a tile, all of it.
WHOLE = Tile(0, 0, 0, 0, 0)


def read_tile(
    frames: Sequence[Frame], tile: Tile, out: Array, *, counted: Tile | None = WHOLE
) -> Array:
    """Read one tile of all frames, as the pixels are stored.

    Parameters
    ----------
    frames : sequence of Frame
        Of one shape and one stored type.
    tile : Tile
    out : ndarray, shape (frames, tile height, tile width), dtype of the stored pixels
        Filled and returned; C-contiguous.
    counted : Tile, optional
        The part of the tile that this thread's ledger counts (see `counting`), by default all
        of it; None for what is read more than once.

    Raises
    ------
    PulsarError
        A file cannot be read, is damaged, or has changed since it was scanned.
    """
    ledger = getattr(_COUNTING, "ledger", None) if counted is not None else None
    part = tile if counted is None or counted is WHOLE else counted
    done = _read_at_once(frames, tile, out, ledger) if part == tile else 0
    for frame, image in zip(frames[done:], out[done:], strict=True):
        guarded(_READERS[frame.storage])(frame, tile, image)
        if ledger is not None:
            sums, count = sum_part(frame, tile, part, image)
            ledger.add(frame.path, sums.words, count, sums.order)
    return out


def _read_at_once(frames: Sequence[Frame], tile: Tile, out: Array, ledger: Ledger | None) -> int:
    """Read uncompressed frames in compiled code, where it is loaded: between two reads in Python
    a thread waits for the others. How many were read and counted; the others are to be read
    one by one, which tells what is wrong."""
    read_rows = if_loaded("read_rows", "sumcode")
    rows, columns = frames[0].shape[-2:]
    if read_rows is None or not hasattr(os, "pread"):
        return 0
    first = ((tile.plane * rows + tile.y) * columns + tile.x) * out.itemsize
    # a whole tile's width is one row of bytes
    height = tile.height if tile.width < columns else 1
    parts = out.view(np.uint8).reshape(len(frames), height, -1)
    open_one = guarded(open_plain)
    done = 0
    while done < len(frames):
        group = frames[done : done + _AT_ONCE]
        if any(frame.storage != "plain" for frame in group):
            return done
        files = [open_one(frame) for frame in group]
        sums = np.empty((len(group) if ledger is not None else 0, 2), np.uint64)
        count: int = read_rows(
            np.array([file.number for file in files]),
            np.array([frame.offset + first for frame in group]),
            columns * out.itemsize,
            parts[done : done + len(group)],
            first,
            WEIGHTS,
            sums,
        )
        if ledger is not None:
            names = [frame.path for frame in group[:count]]
            ledger.add_all(names, sums[:count].tolist(), parts[0].nbytes)
        done += count
        if count < len(group):
            return done
    return done


def sum_part(frame: Frame, tile: Tile, part: Tile, image: Array) -> tuple[Sums, int]:
    """Sums and number of the bytes of a part of a tile, as a FITS image would hold them."""
    rows, columns = frame.shape[-2:]
    y, x = part.y - tile.y, part.x - tile.x
    inner = image[y : y + part.height, x : x + part.width]
    start = ((part.plane * rows + part.y) * columns + part.x) * image.itemsize
    data = inner.reshape(-1) if part.width == columns else inner
    return both_sums(data.view(np.uint8), start, step=columns * image.itemsize), inner.nbytes


_COUNTING = threading.local()


def count_into(ledger: Ledger | None) -> None:
    """From here on a ledger takes the sums of what this thread reads, by path."""
    _COUNTING.ledger = ledger


@contextlib.contextmanager
def counting(ledger: Ledger | None) -> Iterator[None]:
    """`count_into` for a while."""
    before = getattr(_COUNTING, "ledger", None)
    count_into(ledger)
    try:
        yield
    finally:
        count_into(before)


def read_values(
    frames: Sequence[Frame],
    tile: Tile,
    dtype: np.dtype[Any],
    out: Array | None = None,
    *,
    counted: Tile | None = WHOLE,
) -> Array:
    """Read one tile of all frames as values: scaling applied, missing values NaN.

    `counted` is as for `read_tile`.

    Returns
    -------
    ndarray, shape (frames, tile height, tile width)
        Of `dtype`, which must hold every frame's `PixelType.native` exactly.
    """
    if out is None:
        out = np.empty((len(frames), *tile.shape), dtype)
    stored: Array = np.empty(0)
    for frame, image in zip(frames, out, strict=True):
        if stored.dtype != frame.pixels.stored or not stored.size:
            stored = np.empty((1, *tile.shape), frame.pixels.stored)
        image[...] = to_values(read_tile([frame], tile, stored, counted=counted)[0], frame.pixels)
    return out


def to_values(stored: Array, pixels: PixelType) -> Array:
    """Values of stored pixels, of dtype `pixels.native`; missing ones are NaN."""
    native = stored.astype(stored.dtype.newbyteorder("="))
    if pixels.scaled:
        values = native.astype(np.float64)
        with np.errstate(over="ignore"):
            values *= pixels.bscale
            values += pixels.bzero
    elif pixels.other_sign:
        unsigned = np.dtype(f"u{native.itemsize}")
        flipped = native.view(unsigned) ^ unsigned.type(1 << (8 * native.itemsize - 1))
        # as integers first: float64 does not hold every 64-bit integer plus its offset
        other = flipped.view(f"{'i' if pixels.bitpix == 8 else 'u'}{native.itemsize}")
        values = other.astype(pixels.native, copy=False)
    else:
        values = native.astype(pixels.native, copy=False)
    if pixels.blank is not None:
        values[native == pixels.blank] = np.nan
    if pixels.floating or pixels.overflows:
        values[np.isinf(values)] = np.nan
    return values


def close_files() -> None:
    """Close the files kept open for reading, and drop the scratch file."""
    open_file.cache_clear()
    open_tiled.cache_clear()
    SCRATCH.drop()


def _read_plain(frame: Frame, tile: Tile, image: Array) -> None:
    read_window(open_plain(frame), frame.offset, frame, tile, image)


#: Files read in one go: a thread holds so many open beyond those that are kept.
_AT_ONCE = max(1, min(16, open_limit() // 16))


def _read_tiled(frame: Frame, tile: Tile, image: Array) -> None:
    (read_expanded if frame.expanded else read_section)(frame, tile, image)


def _read_zarr(frame: Frame, tile: Tile, image: Array) -> None:
    from pulsar_dask.formats import storeread

    storeread.read_window(frame, tile, image)


_READERS = {
    "plain": _read_plain,
    "tiled": _read_tiled,
    "gzip": read_expanded,
    "zarr": _read_zarr,
}
