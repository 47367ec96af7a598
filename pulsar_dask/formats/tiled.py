"""Tile-compressed FITS images, and what decoding them holds."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from astropy.io import fits

from pulsar_dask.files.openlimit import open_limit
from pulsar_dask.formats import tables
from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.expanded import read_expanded
from pulsar_dask.formats.fitsimage import axes_that_count
from pulsar_dask.formats.openfiles import check_opened, on_close, open_plain
from pulsar_dask.formats.plain import FitsImage
from pulsar_dask.formats.tables import Coding, RiceTable, check_expansion
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds, Phase
from pulsar_dask.kernels.loaded import worth_compiling
from pulsar_dask.kernels.pixels import Grid, Tile

Array = np.ndarray[Any, Any]
#: Rows of a compression tile up to which reading it again for each tile is worth while.
MOST_BLOCK_ROWS = 64
#: An open compressed file holds its headers as astropy objects (about 0.3 MB): so many are kept
#: open, of so many bytes at most.
_MOST_OPEN, _OPEN_BYTES = 48, 400_000
#: astropy decodes without the GIL, but HCOMPRESS's state and the table of random numbers for
#: dithered floats are global to the process: two threads would spoil each other's pixels.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Tiled(FitsImage):
    """An image in a table of compressed tiles."""

    coded: ClassVar[bool] = True

    coding: Coding
    """How its tiles are compressed."""
    rice: RiceTable | None = None
    block: tuple[int, int] = (1, 1)

    @property
    def expanded(self) -> bool:
        """A compression tile of many rows cannot be entered in the middle."""
        return self.block[0] > MOST_BLOCK_ROWS

    @property
    def unit(self) -> tuple[int, int]:
        return self.offset, self.length

    def image_header(self, header: fits.Header) -> fits.Header:
        return tables.image_header(header)

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> None:
        if self.expanded:
            read_expanded(frames, tile, out)
            return
        for frame, image in zip(frames, out, strict=True):
            _read_section(frame, _of(frame), tile, image)

    def parts(self, frame: Frame) -> Iterator[memoryview]:
        for _, tile in Grid(frame.shape, self.block[0], frame.shape[-1]):
            part = np.empty(tile.shape, frame.pixels.stored)
            _read_section(frame, self, tile, part)
            yield memoryview(cast(Any, part)).cast("B")
        _open.cache_clear()

    # --- what decoding holds, known before a byte of it is decoded ------------------------------

    @property
    def expanders(self) -> int | None:
        """One, where one decodes at a time: what it writes meanwhile is next to nothing."""
        return 1 if self._serial else None

    def holds(self, frames: Sequence[Frame], *, compiled: bool) -> Holds:
        sections = [(f, _of(f)) for f in frames if not f.stored.expanded]
        if not sections:
            return Holds()
        window = max(s._window_bytes(f, compiled) for f, s in sections)
        kept = max(s._kept_bytes(f, compiled) for f, s in sections)
        thread: dict[str, int] = {}
        if len({s.block for _, s in sections}) > 1:  # a tile cuts the blocks of some
            cut = max(2 * s.block[0] * s._window_bytes(f, compiled) for f, s in sections)
            thread["blocks that a tile cuts"] = cut * frames[0].shape[-1]
        thread["decoding"], shared = (
            max((s._tile_bytes(f, compiled) for f, s in sections if s._serial is one), default=0)
            for one in (False, True)
        )
        slow = sum(s._is_slow(compiled) for _, s in sections)
        decoding = Phase(
            {"decompression": window - kept}, thread, {"decoding, one at a time": shared}
        )
        return Holds(
            {"compressed": kept},
            process={"open compressed files": _OPEN_BYTES * min(_MOST_OPEN, slow)},
            phases=(decoding,),
        )

    def expanding_bytes(self, frame: Frame, *, compiled: bool) -> int:
        band = min(self.block[0], frame.shape[-2]) * frame.shape[-1]
        depth = max(1, self._tile_pixels(frame) // (self.block[0] * self.block[1]))
        size = frame.pixels.stored.itemsize
        held = band * (size + depth * self._window_bytes(frame, compiled))
        return held + self._tile_bytes(frame, compiled) + _OPEN_BYTES

    def sum_bytes(self, frame: Frame, stretch: int, *, compiled: bool) -> int:
        size = frame.pixels.stored.itemsize
        area = min(self.block[0], frame.shape[-2]) * frame.shape[-1]
        part = 2 * stretch
        if self.expanded:
            return part
        held = max(stretch // size, area) * (size + self._window_bytes(frame, compiled))
        return max(part, held + self._tile_bytes(frame, compiled))

    @property
    def _serial(self) -> bool:
        """Whether astropy decodes one such tile at a time in the whole process."""
        return self.rice is None

    def _is_slow(self, compiled: bool) -> bool:
        """Whether astropy decodes it."""
        return not (compiled and self.rice is not None and not self.coding.mixed)

    def _tile_pixels(self, frame: Frame) -> int:
        """Pixels of a compression tile, which are only decoded together."""
        rows, columns = frame.shape[-2:]
        planes = frame.shape[0] if len(frame.shape) == 3 else 1
        depth = min(planes, self.coding.depth)
        return min(self.block[0], rows) * min(self.block[1], columns) * depth

    def _coded_bytes(self, frame: Frame) -> float:
        """Compressed bytes for each pixel, on the average."""
        return self.length / math.prod(frame.shape)

    def _window_bytes(self, frame: Frame, compiled: bool) -> int:
        """For each pixel of a window: what comes from its compression tiles before it is copied to
        where it belongs, and their compressed bytes."""
        size = frame.pixels.stored.itemsize
        whole_rows = self.block == (1, frame.shape[-1])
        own = 0 if not self._is_slow(compiled) and whole_rows else size
        return own + math.ceil(self._coded_bytes(frame))

    def _kept_bytes(self, frame: Frame, compiled: bool) -> int:
        """Of these, what a thread keeps for the next window: a buffer of compressed bytes."""
        return 0 if self._is_slow(compiled) else math.ceil(self._coded_bytes(frame))

    def _tile_bytes(self, frame: Frame, compiled: bool) -> int:
        """While one compression tile is decoded, beside `_window_bytes` (measured): what astropy
        makes of its bytes on the way to pixels, one copy after the other."""
        if not self._is_slow(compiled):
            return 0
        size, coding = frame.pixels.stored.itemsize, self.coding
        item = 4 if coding.quantised else size
        steps = {"GZIP_1": 2 * item, "GZIP_2": 3 * item, "HCOMPRESS_1": 12}.get(coding.algorithm, 4)
        if coding.quantised:
            steps = max(steps, 12 + 2 * size)
        if coding.mixed:  # a tile that its algorithm would not make smaller may be gzipped
            steps = max(steps, 2 * size)
        if frame.pixels.blank is not None:
            steps += 1
        return math.ceil(self._tile_pixels(frame) * (steps + 2 * self._coded_bytes(frame)))


def _of(frame: Frame) -> Tiled:
    return cast(Tiled, frame.stored)


class _TiledFile:
    """A tile-compressed image whose sections astropy decompresses, one thread at a time."""

    def __init__(self, frame: Frame) -> None:
        self.lock = _ONE_AT_A_TIME if _of(frame)._serial else threading.Lock()
        self.file = open(frame.path, "rb")  # noqa: SIM115
        check_opened(frame, self.file)
        self.hdus = fits.open(
            self.file, memmap=False, do_not_scale_image_data=True, lazy_load_hdus=True
        )
        self.image = self.hdus[_of(frame).hdu]

    def __del__(self) -> None:
        if hasattr(self, "hdus"):
            self.hdus.close()
        if hasattr(self, "file"):
            self.file.close()


@functools.lru_cache(maxsize=min(_MOST_OPEN, open_limit()))
def _open(frame: Frame) -> _TiledFile:
    return _TiledFile(frame)


on_close(_open.cache_clear)


def _read_section(frame: Frame, stored: Tiled, tile: Tile, image: Array) -> None:
    decoder = stored.rice if worth_compiling([frame]) else None
    if decoder is None or not _read_rice(frame, stored, decoder, tile, image):
        _read_with_astropy(frame, stored, tile, image)


def _read_rice(frame: Frame, stored: Tiled, table: RiceTable, tile: Tile, image: Array) -> bool:
    """Decode a window of a Rice-coded image; False where some tile is coded otherwise."""
    rows, columns = frame.shape[-2:]
    height, width = min(stored.block[0], rows), min(stored.block[1], columns)
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


def _read_with_astropy(frame: Frame, stored: Tiled, tile: Tile, image: Array) -> None:
    if stored.coding.gzipped:
        check_expansion(
            stored.coding,
            _table_rows(frame, stored, tile),
            open_plain(frame).read,
            most=stored._tile_pixels(frame) * max(4, frame.pixels.stored.itemsize),
            end=frame.size,
        )
    rows = slice(tile.y, tile.y + tile.height)
    columns = slice(tile.x, tile.x + tile.width)
    file = _open(frame)
    lengths = file.image.shape
    kept = [len(lengths) - 1 - i for i in axes_that_count(lengths[::-1])]
    places = dict(zip(kept, (columns, rows, tile.plane), strict=False))
    index = tuple(places.get(axis, 0) for axis in range(len(lengths)))
    with file.lock:
        section = file.image.section[index]
    if section.dtype.newbyteorder("=") != image.dtype.newbyteorder("="):
        raise ValueError(f"pixels of type {section.dtype} where {image.dtype} was announced")
    image[...] = section


def _table_rows(frame: Frame, stored: Tiled, tile: Tile) -> list[int]:
    """Rows of the table of compression tiles that a window needs."""
    height, width = stored.block
    down, across = (-(-n // step) for n, step in zip(frame.shape[-2:], stored.block, strict=True))
    layer = tile.plane // stored.coding.depth
    return [
        (layer * down + y) * across + x
        for y in range(tile.y // height, -(-(tile.y + tile.height) // height))
        for x in range(tile.x // width, -(-(tile.x + tile.width) // width))
    ]
