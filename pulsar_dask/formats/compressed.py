"""Windows of a tile-compressed image."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.decoding import check_expansion
from pulsar_dask.formats.openfiles import check_status, open_limit, open_plain
from pulsar_dask.frames.frame import Frame, RiceTable
from pulsar_dask.kernels.loaded import worth_compiling
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]
#: astropy decodes without the GIL, but HCOMPRESS's state and the table of random numbers for
#: dithered floats are global to the process: two threads would spoil each other's pixels.
_ONE_AT_A_TIME = threading.Lock()


class _TiledFile:
    """A tile-compressed image whose sections astropy decompresses, one thread at a time."""

    def __init__(self, frame: Frame) -> None:
        self.lock = threading.Lock() if frame.rice else _ONE_AT_A_TIME
        self.hdus = fits.open(
            frame.path, memmap=False, do_not_scale_image_data=True, lazy_load_hdus=True
        )
        self.image = self.hdus[frame.hdu]

    def __del__(self) -> None:
        if hasattr(self, "hdus"):
            self.hdus.close()


#: An open compressed file holds its headers as astropy objects (about 0.3 MB).
TILED_OPEN = 48


@functools.lru_cache(maxsize=min(TILED_OPEN, open_limit()))
def open_tiled(frame: Frame) -> _TiledFile:
    check_status(frame, os.stat(frame.path))
    return _TiledFile(frame)


def read_section(frame: Frame, tile: Tile, image: Array) -> None:
    decoder = frame.rice if worth_compiling([frame]) else None
    if decoder is None or not _read_rice(frame, decoder, tile, image):
        _read_with_astropy(frame, tile, image)


def _read_rice(frame: Frame, table: RiceTable, tile: Tile, image: Array) -> bool:
    """Decode a window of a Rice-coded image; False where some tile is coded otherwise."""
    rows, columns = frame.shape[-2:]
    height, width = min(frame.block[0], rows), min(frame.block[1], columns)
    down, across = -(-rows // height), -(-columns // width)
    top, bottom = tile.y // height, -(-(tile.y + tile.height) // height)
    file = open_plain(frame)
    pointers = np.empty(((bottom - top) * across, table.row_bytes), np.uint8)
    file.read_into(pointers, table.rows + (tile.plane * down + top) * across * table.row_bytes)
    size = 16 if table.wide else 8
    pairs = np.ascontiguousarray(pointers[:, table.column : table.column + size])
    lengths, starts = pairs.view(">i8" if table.wide else ">i4").T.astype(np.int64, order="C")
    if not lengths.all():  # such a tile is in another column, gzipped or as it is
        return False
    first, last = int(starts.min()), int((starts + lengths).max())
    if lengths.min() < 0 or first < 0 or table.heap + last > frame.size:
        raise ValueError("a compressed tile lies outside the file")
    from pulsar_dask.kernels import rice

    data = thread_buffer("compressed", (last - first + rice.SPARE,), np.dtype("u1"))
    file.read_into(data[: last - first], table.heap + first)
    starts -= first
    decode = functools.partial(rice.decode_rice, block=table.block, bytepix=table.bytepix)
    if across == 1 and height == 1 and tile.width == columns:
        damaged = decode(data, starts, lengths, image)
        if damaged >= 0:
            raise ValueError(f"the compressed row {tile.y + damaged} is damaged")
        return True
    for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        y, x = (top + i // across) * height, i % across * width
        part = np.empty((min(height, rows - y), min(width, columns - x)), image.dtype)
        if decode(data, np.array([start]), np.array([length]), part.reshape(1, -1)) >= 0:
            raise ValueError(f"the compressed tile at row {y}, column {x} is damaged")
        y0, y1 = max(y, tile.y), min(y + part.shape[0], tile.y + tile.height)
        x0, x1 = max(x, tile.x), min(x + part.shape[1], tile.x + tile.width)
        if y1 > y0 and x1 > x0:
            image[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x] = part[
                y0 - y : y1 - y, x0 - x : x1 - x
            ]
    return True


def _read_with_astropy(frame: Frame, tile: Tile, image: Array) -> None:
    if frame.coding is not None and frame.coding.gzipped:
        check_expansion(frame, frame.coding, _table_rows(frame, tile), open_plain(frame).read)
    rows = slice(tile.y, tile.y + tile.height)
    columns = slice(tile.x, tile.x + tile.width)
    index = (rows, columns) if len(frame.shape) == 2 else (tile.plane, rows, columns)
    file = open_tiled(frame)
    with file.lock:
        section = file.image.section[index]
    if section.dtype.newbyteorder("=") != image.dtype.newbyteorder("="):
        raise ValueError(f"pixels of type {section.dtype} where {image.dtype} was announced")
    image[...] = section


def _table_rows(frame: Frame, tile: Tile) -> list[int]:
    """Rows of the table of compression tiles that a window needs."""
    height, width = frame.block
    down, across = (-(-n // step) for n, step in zip(frame.shape[-2:], frame.block, strict=True))
    layer = tile.plane // (frame.coding.depth if frame.coding else 1)
    return [
        (layer * down + y) * across + x
        for y in range(tile.y // height, -(-(tile.y + tile.height) // height))
        for x in range(tile.x // width, -(-(tile.x + tile.width) // width))
    ]
