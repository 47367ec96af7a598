"""From frames to the pixels of a tile.

`read_tile` is a function of small values (frames, tile): it opens what it needs, so it can
run in any thread or process. Uncompressed pixels are read with positioned reads straight
into the tile; a memory map would count the page cache against the process. Open files are
kept, fewer than the system's limit, so that the system's read-ahead sees each file read
in order.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from astropy.io import fits

from pulsar_dask.checksum import MINUS_ZERO, Ledger, Sums, both_sums
from pulsar_dask.decoding import check_expansion
from pulsar_dask.errors import PulsarError, exhausted, printable
from pulsar_dask.frame import Frame, PixelType, RiceTable
from pulsar_dask.kernels import if_loaded, worth_compiling
from pulsar_dask.ordersum import WEIGHTS
from pulsar_dask.scan import BLOCK, DAMAGED, DAMAGED_STORE, most_expanded, refusal
from pulsar_dask.tiles import GB, Grid, Tile

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
        _guarded(_READERS[frame.storage])(frame, tile, image)
        if ledger is not None:
            sums, count = _sum_part(frame, tile, part, image)
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
    open_plain = _guarded(_open_plain)
    done = 0
    while done < len(frames):
        group = frames[done : done + _AT_ONCE]
        if any(frame.storage != "plain" for frame in group):
            return done
        files = [open_plain(frame) for frame in group]
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


def _sum_part(frame: Frame, tile: Tile, part: Tile, image: Array) -> tuple[Sums, int]:
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


def _guarded(read: Callable[..., Any]) -> Callable[..., Any]:
    """`read`, with what a damaged file makes the libraries raise told as a PulsarError."""

    def guarded(frame: Frame, *args: Any) -> Any:
        try:
            return read(frame, *args)
        except PulsarError:
            raise
        except Exception as error:
            place = os.path.dirname(frame.file) if frame.storage == "zarr" else frame.path
            if text := exhausted(error):
                raise PulsarError(f"{printable(place)}: {text}") from error
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            way_out = DAMAGED
            if frame.storage == "zarr":  # what zarr says goes on with bytes
                reason, way_out = str(reason).split(". ")[0], DAMAGED_STORE
            raise refusal(place, f"its pixels cannot be read ({reason})", way_out) from error

    return guarded


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


_LOCAL = threading.local()


def thread_buffer(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array that this thread uses again for each tile: new memory costs a page fault for
    every 4 kB, as much as the reading itself. Its content is the last tile's."""
    size = math.prod(shape) * dtype.itemsize
    held: dict[str, Array] = _LOCAL.__dict__.setdefault("buffers", {})
    if name not in held or held[name].size < size:
        held.pop(name, None)
        held[name] = np.empty(size, np.uint8)
    return held[name][:size].view(dtype).reshape(shape)


def drop_buffers() -> None:
    """Forget the buffers of all threads; those in use live on until they are not."""
    global _LOCAL
    _LOCAL = threading.local()


def check_unchanged(frames: Sequence[Frame]) -> None:
    """Raise PulsarError if a file is no longer the one that was scanned, by this process."""
    for frame in frames:
        try:
            status = os.stat(frame.file)
        except OSError as error:
            raise PulsarError(f"{printable(frame.path)}: {error.strerror}") from error
        _check_status(frame, status)
        # Another file of that size and time. Each of the two alone changes without that: the
        # number in some network folders, the time with a further link or other permissions.
        if status.st_ino != frame.inode and status.st_ctime_ns != frame.ctime_ns:
            raise _changed(frame.path)


def close_files() -> None:
    """Close the files kept open for reading, and drop the scratch file."""
    _open_file.cache_clear()
    _open_tiled.cache_clear()
    _SCRATCH.drop()


# --- checksums -------------------------------------------------------------------------

#: Bytes that are read at a time where a file is read for its sum alone.
STRETCH = 4_000_000


def pixel_sums(frame: Frame) -> Sums:
    """Sums of the image as a FITS file holds it that is not compressed, from a reading of its own.

    Raises
    ------
    PulsarError
        The file cannot be read, is damaged, or has changed since it was scanned.
    """
    rows = max(1, STRETCH // (frame.shape[-1] * frame.pixels.stored.itemsize))
    block = 1 if frame.expanded else frame.block[0]
    rows = -(-rows // block) * block
    total = Sums()
    for _, tile in Grid(frame.shape, min(rows, frame.shape[-2]), frame.shape[-1]):
        image = np.empty((1, *tile.shape), frame.pixels.stored)
        read_tile([frame], tile, image, counted=None)
        total += _sum_part(frame, tile, tile, image[0])[0]
    return total


def pixel_sum(frame: Frame) -> int:
    """Of the `pixel_sums` the one that DATASUM is."""
    return pixel_sums(frame).words


def data_sum(frame: Frame) -> int:
    """DATASUM of a frame's HDU as it lies in its file, padding included; of a gzipped one
    without it, of a Zarr store as `pixel_sum`.

    Raises
    ------
    PulsarError
        As `pixel_sums`.
    """
    if frame.storage not in ("plain", "tiled"):
        return pixel_sum(frame)
    return int(_guarded(_data_sum)(frame))


def _data_sum(frame: Frame) -> int:
    end = min(frame.size, frame.offset + -(-frame.length // BLOCK) * BLOCK)
    file, total = _open_plain(frame), Sums()
    part = np.empty(STRETCH, np.uint8)
    for start in range(frame.offset, end, STRETCH):
        part = part[: end - start]
        file.read_into(part, start)
        total += both_sums(part, start - frame.offset)
    return total.words


def check_sums(
    frames: Sequence[Frame], ledger: Ledger, threads: int
) -> tuple[dict[str, Sums], list[str]]:
    """The sums of frames, and what does not match those that their headers state.

    Parameters
    ----------
    frames : sequence of Frame
    ledger : Ledger
        What was counted while they were read; where that is not all of a frame, it is read
        again.
    threads : int

    Returns
    -------
    sums : dict
        `pixel_sums` of each frame by its path.
    remarks : list of str
        In words, with the way out.
    """
    with ThreadPoolExecutor(max(1, threads)) as pool:
        found = list(pool.map(functools.partial(_check_sum, ledger=ledger), frames))
    sums = {frame.path: total for frame, (total, _) in zip(frames, found, strict=True)}
    remarks = []
    for problem, means in _MISMATCHES.items():
        odd = [f.path for f, (_, text) in zip(frames, found, strict=True) if text == problem]
        more = f" (and of {len(odd) - 1} more)" if len(odd) > 1 else ""
        if odd:
            remarks.append(f"{printable(odd[0])}{more}: {problem}; {means}")
    return sums, remarks


#: What does not match: what that means.
_MISMATCHES = {
    "the data do not match their DATASUM": (
        "they were changed or damaged after that was written, copy the file again or leave it out"
    ),
    "the header does not match its CHECKSUM": "it was edited or damaged after that was written",
    "the data are not in the order in which they were written": (
        "rows or blocks of them have changed places, copy the file again or leave it out"
    ),
}


def _check_sum(frame: Frame, ledger: Ledger) -> tuple[Sums, str | None]:
    sums = ledger.sums(frame.path, frame.nbytes)
    if sums is None:
        sums = pixel_sums(frame)
    return sums, _mismatch(frame, sums)


def _mismatch(frame: Frame, sums: Sums) -> str | None:
    """What does not match the sums that a header states."""
    stated = frame.stated
    if stated is None:
        return None
    pixels = sums.words
    data_problem, header_problem, order_problem = _MISMATCHES
    if frame.storage != "tiled":
        data = pixels
        if stated.data not in (None, data):  # what is in the padding counts, too
            data = data_sum(frame)
    elif stated.pixels == pixels:
        data = stated.data if stated.data is not None else data_sum(frame)
    else:
        data = data_sum(frame)
    if not _same_sum(stated.data, data):
        return data_problem
    if stated.order is not None and stated.order[0] == pixels and stated.order[1] != sums.order:
        return order_problem
    if stated.header is not None and not _same_sum(MINUS_ZERO, stated.header + data):
        # without a DATASUM it may be either
        return header_problem if stated.data is not None else data_problem
    return None


def _same_sum(stated: int | None, found: int) -> bool:
    """Whether two sums are the same in ones' complement, where 0 and -0 are."""
    return stated is None or (stated - found) % MINUS_ZERO == 0


# --- uncompressed ----------------------------------------------------------------------


def _read_plain(frame: Frame, tile: Tile, image: Array) -> None:
    _read_window(_open_plain(frame), frame.offset, frame, tile, image)


def _read_window(file: _File, offset: int, frame: Frame, tile: Tile, image: Array) -> None:
    rows, columns = frame.shape[-2:]
    start = offset + ((tile.plane * rows + tile.y) * columns + tile.x) * image.itemsize
    if tile.width == columns:
        file.read_into(image, start)
    else:
        for row in image:
            file.read_into(row, start)
            start += columns * image.itemsize


class _File:
    """A file open for positioned reads; closed when nothing refers to it any more."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._lock = threading.Lock()

        self.number: int = raw.fileno()

    def stat(self) -> os.stat_result:
        return os.fstat(self.number)

    def read_into(self, array: Array, offset: int) -> None:
        """Fill a C-contiguous array with the bytes at `offset`."""
        view = memoryview(cast(Any, array.view(np.uint8))).cast("B")
        done = 0
        while done < len(view):
            if hasattr(os, "preadv"):
                count = os.preadv(self.number, [view[done:]], offset + done)
            else:  # Windows
                with self._lock:
                    self._raw.seek(offset + done)
                    count = self._raw.readinto(view[done:]) or 0
            if count == 0:
                raise EOFError("the file ends too early")
            done += count

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes at `offset`."""
        part = np.empty(count, np.uint8)
        self.read_into(part, offset)
        return part.tobytes()

    def write(self, data: bytes | memoryview, offset: int) -> None:
        with self._lock:
            self._raw.seek(offset)
            view = memoryview(data)
            while view:
                view = view[self._raw.write(view) :]

    def __del__(self) -> None:
        self._raw.close()


def _open_limit() -> int:
    """How many files to keep open: half of what the system allows, at most 512."""
    try:
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (ImportError, OSError, ValueError):
        soft = 512  # Windows' C runtime
    return max(1, min(512, soft // 2 - 16)) if soft > 0 else 512


#: Files read in one go: a thread holds so many open beyond those that are kept.
_AT_ONCE = max(1, min(16, _open_limit() // 16))


def _open_plain(frame: Frame) -> _File:
    # by three values: to hash a whole frame for each read would cost as much as the read
    return _open_file(frame.path, frame.size, frame.mtime_ns)


@functools.lru_cache(maxsize=_open_limit())
def _open_file(path: str, size: int, mtime_ns: int) -> _File:
    file = _File(open(path, "rb", buffering=0))  # noqa: SIM115
    status = file.stat()
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise _changed(path)
    return file


def _check_status(frame: Frame, status: os.stat_result) -> None:
    if (status.st_size, status.st_mtime_ns) != (frame.size, frame.mtime_ns):
        raise _changed(frame.path)


def _changed(path: str) -> PulsarError:
    return PulsarError(
        f"{printable(path)}: the file changed after its header was read; "
        "run again when nothing writes to it"
    )


# --- tile-compressed -------------------------------------------------------------------


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


@functools.lru_cache(maxsize=min(TILED_OPEN, _open_limit()))
def _open_tiled(frame: Frame) -> _TiledFile:
    _check_status(frame, os.stat(frame.path))
    return _TiledFile(frame)


def _read_section(frame: Frame, tile: Tile, image: Array) -> None:
    decoder = frame.rice if worth_compiling([frame]) else None
    if decoder is None or not _read_rice(frame, decoder, tile, image):
        _read_with_astropy(frame, tile, image)


def _read_rice(frame: Frame, table: RiceTable, tile: Tile, image: Array) -> bool:
    """Decode a window of a Rice-coded image; False where some tile is coded otherwise."""
    rows, columns = frame.shape[-2:]
    height, width = min(frame.block[0], rows), min(frame.block[1], columns)
    down, across = -(-rows // height), -(-columns // width)
    top, bottom = tile.y // height, -(-(tile.y + tile.height) // height)
    file = _open_plain(frame)
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
    from pulsar_dask import rice

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
        check_expansion(frame, frame.coding, _table_rows(frame, tile), _open_plain(frame).read)
    rows = slice(tile.y, tile.y + tile.height)
    columns = slice(tile.x, tile.x + tile.width)
    index = (rows, columns) if len(frame.shape) == 2 else (tile.plane, rows, columns)
    file = _open_tiled(frame)
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


# --- expanded first --------------------------------------------------------------------


class _Scratch:
    """Pixels that cannot be entered in the middle, expanded once into one temporary file.

    On POSIX the file has no name from the start; on Windows the system deletes it with its
    last handle. Either way it is gone when the process is, however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._places: dict[Frame, tuple[int, threading.Lock, list[bool]]] = {}
        self._end = 0

    def place(self, frame: Frame) -> tuple[_File, int]:
        """The file and byte where the pixels of a frame lie; expands them the first time."""
        with self._lock:
            if self._file is None:
                raw = tempfile.TemporaryFile(prefix="pulsar-dask-", buffering=0)  # noqa: SIM115
                self._file = _File(raw)
            file = self._file
            if frame not in self._places:
                self._places[frame] = self._end, threading.Lock(), []
                self._end += frame.nbytes
            position, lock, done = self._places[frame]
        with lock:
            if not done:
                _check_status(frame, os.stat(frame.path))
                _check_room([frame])
                self._fill(file, position, frame)
                done.append(True)
        return file, position

    def _fill(self, file: _File, position: int, frame: Frame) -> None:
        parts = _gzip_parts(frame) if frame.storage == "gzip" else _tiled_parts(frame)
        try:
            for part in parts:
                file.write(part, position)
                position += len(part)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            raise PulsarError(
                f"no space for the pixels of {printable(frame.path)} in "
                f"{tempfile.gettempdir()}; point TMPDIR to a folder with more"
            ) from error

    def drop(self) -> None:
        with self._lock:
            self._file = None
            self._places.clear()
            self._end = 0


_SCRATCH = _Scratch()


def expand(frames: Sequence[Frame], threads: int) -> None:
    """Expand those frames that have to be, several at a time."""
    expanded = [f for f in frames if f.expanded]
    if expanded:
        _check_room(expanded)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for _ in pool.map(_guarded(_SCRATCH.place), expanded):
            pass


def _check_room(frames: Sequence[Frame]) -> None:
    """Refuse frames that no folder for temporary files can hold expanded."""
    needed, free = sum(f.nbytes for f in frames), shutil.disk_usage(tempfile.gettempdir()).free
    if needed > free:
        more = f" and {len(frames) - 1} more" if len(frames) > 1 else ""
        raise PulsarError(
            f"{printable(frames[0].path)}{more}: no space for the pixels in "
            f"{printable(tempfile.gettempdir())}, {needed / GB:.3g} GB of which {free / GB:.3g} "
            "are free; point TMPDIR to a folder with more"
        )


def _gzip_parts(frame: Frame) -> Iterator[bytes]:
    left = frame.nbytes
    with gzip.open(frame.path, "rb") as source:
        source.seek(frame.offset)
        while left:
            part = source.read(min(left, 1 << 20))
            if not part:
                raise EOFError("truncated, its data end too early")
            yield part
            left -= len(part)
        most = source.tell() + most_expanded(frame.size)
        while source.read(1 << 20):  # to the end, where gzip compares its checksum
            if source.tell() > most:
                raise ValueError("it expands to much more than its image")


def _tiled_parts(frame: Frame) -> Iterator[memoryview]:
    columns = frame.shape[-1]
    for tile in (t for _, t in Grid(frame.shape, frame.block[0], columns)):
        part = np.empty(tile.shape, frame.pixels.stored)
        _read_section(frame, tile, part)
        yield memoryview(cast(Any, part)).cast("B")
    _open_tiled.cache_clear()


def _read_expanded(frame: Frame, tile: Tile, image: Array) -> None:
    file, offset = _SCRATCH.place(frame)
    _read_window(file, offset, frame, tile, image)


def _read_tiled(frame: Frame, tile: Tile, image: Array) -> None:
    (_read_expanded if frame.expanded else _read_section)(frame, tile, image)


# --- in a Zarr store -------------------------------------------------------------------


def _read_zarr(frame: Frame, tile: Tile, image: Array) -> None:
    from pulsar_dask import storeread

    storeread.read_window(frame, tile, image)


_READERS = {
    "plain": _read_plain,
    "tiled": _read_tiled,
    "gzip": _read_expanded,
    "zarr": _read_zarr,
}
