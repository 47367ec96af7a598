"""From frames to the pixels of a tile, and what reading them holds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pulsar_dask.formats import openfiles, readers
from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.holding import reading_holds
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.openfiles import guarded
from pulsar_dask.formats.readers import Readers
from pulsar_dask.frames.frame import Frame, Look, Looking
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.stack import stack_type, stored_alike
from pulsar_dask.kernels import light
from pulsar_dask.kernels.checksum import both_sums
from pulsar_dask.kernels.light import FLOAT32
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.kernels.values import to_values as to_values

if TYPE_CHECKING:
    from astropy.io import fits

Array = np.ndarray[Any, Any]
#: Of a tile, all of it.
WHOLE = Tile(0, 0, 0, 0, 0)


def read_tile(
    frames: Sequence[Frame],
    tile: Tile,
    out: Array,
    *,
    counted: Tile | None = WHOLE,
    looking: Looking | None = None,
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
    looking : Looking, optional
        At what is read, while it is in the cache.

    Raises
    ------
    PulsarError
        A file cannot be read, is damaged, or has changed since it was scanned.
    """
    ledger = getattr(_COUNTING, "ledger", None) if counted is not None else None
    part = tile if counted is None or counted is WHOLE else counted
    look = looking.over(out) if looking is not None else None
    done, reader = 0, readers.here()
    while done < len(frames):
        if reader is not None and reader.each > 1 and frames[done].stored.waits:
            done = _read_side_by_side(reader, frames, done, tile, out, part, ledger, look)
            continue
        run = _run(frames, done, whole=part == tile)
        images, summed = out[done : done + len(run)], ledger is not None and part == tile
        at = look and look.of(slice(done, done + len(run)))
        found = guarded(_read)(run[0], run, tile, images, summed, at)
        if reader is not None:
            reader.alone(len(run))
        if ledger is not None and found is not None:
            ledger.add_all([frame.key for frame in run], found.tolist(), images[0].nbytes)
        else:
            _count(run, tile, part, images, ledger)
        done += len(run)
    return out


def _read_side_by_side(
    reader: Readers,
    frames: Sequence[Frame],
    start: int,
    tile: Tile,
    out: Array,
    part: Tile,
    ledger: Ledger | None,
    look: Look | None,
) -> int:
    """Read frames from one on by several threads; the first that is stored in another way."""
    stored = frames[start].stored
    kind, end = type(stored), start + 1
    while end < len(frames) and type(frames[end].stored) is kind:
        end += 1
    step = min(readers.FRAMES, stored.at_once, -(-(end - start) // reader.each))

    def read(some: Sequence[int]) -> None:
        run = frames[some[0] : some[-1] + 1]
        guarded(_read)(run[0], run, tile, out[some[0] : some[-1] + 1], False, None)

    def then(some: Sequence[int]) -> None:
        at = slice(some[0], some[-1] + 1)
        if look is not None:
            look.of(at).at()
        _count(frames[at], tile, part, out[at], ledger)

    parts = [range(i, min(end, i + step)) for i in range(start, end, step)]
    reader.side_by_side(parts, read, then)
    return end


def _count(
    frames: Sequence[Frame], tile: Tile, part: Tile, images: Array, ledger: Ledger | None
) -> None:
    """Have a ledger count a part of a tile."""
    if ledger is not None:
        for frame, image in zip(frames, images, strict=True):
            sums, count = sum_part(frame, tile, part, image)
            ledger.add(frame.key, sums.words, count, sums.order)


def _run(frames: Sequence[Frame], start: int, *, whole: bool) -> Sequence[Frame]:
    """The next frames that are read in one go, at least one; more if a whole tile is counted."""
    stored = frames[start].stored
    end = start + 1
    last = min(len(frames), start + stored.at_once) if whole else end
    while end < last and type(frames[end].stored) is type(stored):
        end += 1
    return frames[start:end]


def _read(
    first: Frame,
    frames: Sequence[Frame],
    tile: Tile,
    out: Array,
    sums: bool,
    look: Look | None,
) -> Any:
    if look is None:
        return first.stored.read(frames, tile, out, sums=sums)
    return first.stored.read_and_look(frames, tile, out, sums=sums, look=look)


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
    """From here on a ledger takes the sums of what this thread reads, by the keys of frames."""
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
        read_tile([frame], tile, stored, counted=counted)
        plain = frame.pixels == FLOAT32 and image.dtype == np.float64 and image.flags.c_contiguous
        if not (plain and light.values(stored[0], image)):
            image[...] = to_values(stored[0], frame.pixels)
    return out


def read_image(frame: Frame, tile: Tile, *, counted: Tile | None = None) -> Array:
    """Values of a tile of one frame, float64, missing ones NaN; `counted` is as for `read_tile`,
    and nothing of itself."""
    values: Array = read_values([frame], tile, np.dtype("f8"), counted=counted)[0]
    return values


def conversion_bytes(pixels: PixelType) -> int:
    """For each pixel, what `read_values` holds beside the values that it gives back: pixels as
    stored, in native order, what `to_values` makes of these, and which are missing."""
    size, native = pixels.stored.itemsize, pixels.native
    held = 2 * size + (size if pixels.other_sign else 0)
    if native.kind == "f" and (not pixels.floating or pixels.scaled):
        held += native.itemsize
    return held + (1 if pixels.floating or pixels.overflows or pixels.blank is not None else 0)


def close_files() -> None:
    """Close the files kept open for reading, and drop the scratch file."""
    openfiles.close_kept()


def read_header(frame: Frame) -> fits.Header:
    """The image header of a frame as it would be were it not compressed, with the cards
    of the primary header that it lacks."""
    return frame.stored.header(frame)


def read_stack(
    tile: Tile, frames: Sequence[Frame], looking: Looking | None = None
) -> tuple[Array, PixelType]:
    """One tile of a stack, and how its pixels are held; see `stack_type`.

    Returns
    -------
    stack : ndarray, shape (frames, tile height, tile width)
        In this thread's buffer: the next call overwrites it.
    pixels : PixelType
    """
    pixels, shape = stack_type(frames), (len(frames), *tile.shape)
    if stored_alike(frames):
        out = thread_buffer("stack", shape, pixels.stored)
        return read_tile(frames, tile, out, looking=looking), pixels
    out = thread_buffer("stack", shape, np.dtype("f8"))
    read_values(frames, tile, np.dtype("f8"), out=out)
    if looking is not None:
        looking.over(out).at()
    return out, pixels


def stack_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of a stack holds; see `read_stack`."""
    kept = Holds({"frames": len(frames) * stack_type(frames).stored.itemsize})
    reading = reading_holds(frames) if stored_alike(frames) else values_holds(frames)
    return kept + reading


def values_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of some frames as values holds beside these."""
    most = max(conversion_bytes(frame.pixels) for frame in frames)
    return reading_holds(frames) + Holds({"conversion": most}).passing
