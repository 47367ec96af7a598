"""What decoding a compressed frame holds in memory, known from its headers before a byte of it is
decoded; and the look at a file that holds more than its headers say."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence

from pulsar_dask.frames.frame import Coding, Frame

#: Bytes that expanding a .gz holds beside what it writes on: parts of 1 MB, and gzip's own.
GZIP_PARTS = 4_000_000
#: What reading of a Zarr store holds of a window of all its frames: it, the chunks that it comes
#: from, and what they are made of.
CHUNK_COPIES = 3
#: Bytes that an open compressed file holds as astropy objects.
OPEN_FILE = 400_000
_STEP = 1 << 20


def tile_pixels(frame: Frame) -> int:
    """Pixels of a compression tile, which are only decoded together."""
    rows, columns = frame.shape[-2:]
    planes = frame.shape[0] if len(frame.shape) == 3 else 1
    depth = min(planes, frame.coding.depth if frame.coding else 1)
    return min(frame.block[0], rows) * min(frame.block[1], columns) * depth


def is_slow(frame: Frame, compiled: bool) -> bool:
    """Whether astropy decodes a tile-compressed frame."""
    return frame.storage == "tiled" and not (
        compiled and frame.rice is not None and frame.coding is not None and not frame.coding.mixed
    )


def serial(frame: Frame) -> bool:
    """Whether astropy decodes one such tile at a time in the whole process."""
    return frame.rice is None


def coded_bytes(frame: Frame) -> float:
    """Compressed bytes for each pixel, on the average."""
    return frame.length / math.prod(frame.shape)


def window_bytes(frame: Frame, compiled: bool) -> int:
    """For each pixel of a window: what comes from its compression tiles before it is copied to
    where it belongs, and their compressed bytes."""
    size = frame.pixels.stored.itemsize
    whole_rows = frame.block == (1, frame.shape[-1])
    own = 0 if not is_slow(frame, compiled) and whole_rows else size
    return own + math.ceil(coded_bytes(frame))


def kept_bytes(frame: Frame, compiled: bool) -> int:
    """Of these, what a thread keeps for the next window: a buffer of compressed bytes."""
    return 0 if is_slow(frame, compiled) else math.ceil(coded_bytes(frame))


def tile_bytes(frame: Frame, compiled: bool) -> int:
    """While one compression tile is decoded, beside `window_bytes` (measured): what astropy makes
    of its bytes on the way to pixels, one copy after the other."""
    if not is_slow(frame, compiled) or frame.coding is None:
        return 0
    size, coding = frame.pixels.stored.itemsize, frame.coding
    item = 4 if coding.quantised else size
    steps = {"GZIP_1": 2 * item, "GZIP_2": 3 * item, "HCOMPRESS_1": 12}.get(coding.algorithm, 4)
    if coding.quantised:
        steps = max(steps, 12 + 2 * size)
    if coding.mixed:  # a tile that its algorithm would not make smaller may be gzipped
        steps = max(steps, 2 * size)
    if frame.pixels.blank is not None:
        steps += 1
    return math.ceil(tile_pixels(frame) * (steps + 2 * coded_bytes(frame)))


def expanding_bytes(frames: Sequence[Frame], compiled: bool) -> int:
    """What expanding those of some frames that have to be holds in each thread. What one frees,
    the system's allocator keeps for that thread, also where one decodes at a time."""
    each = 0
    for frame in frames:
        if frame.storage == "gzip":
            each = max(each, GZIP_PARTS)
        elif frame.expanded:
            band = min(frame.block[0], frame.shape[-2]) * frame.shape[-1]
            depth = max(1, tile_pixels(frame) // (frame.block[0] * frame.block[1]))
            size = frame.pixels.stored.itemsize
            held = band * (size + depth * window_bytes(frame, compiled))
            each = max(each, held + tile_bytes(frame, compiled) + OPEN_FILE)
    return each


def most_expanders(frames: Sequence[Frame]) -> int | None:
    """Threads of which more expand nothing faster: one decodes, one writes; None: each helps."""
    return 2 if any(f.storage == "tiled" and f.expanded and serial(f) for f in frames) else None


def sum_bytes(frames: Sequence[Frame], compiled: bool, stretch: int) -> int:
    """What reading some frames for their sums alone holds in each thread, in parts of so many
    bytes or of whole compression tiles and chunks."""
    part = 2 * stretch
    for frame in frames:
        size, columns = frame.pixels.stored.itemsize, frame.shape[-1]
        area = min(frame.block[0], frame.shape[-2]) * columns
        if frame.storage == "zarr":
            part = max(part, area * size * (1 + CHUNK_COPIES * frame.depth))
        elif frame.storage == "tiled" and not frame.expanded:
            held = max(stretch // size, area) * (size + window_bytes(frame, compiled))
            part = max(part, held + tile_bytes(frame, compiled))
    return max(expanding_bytes(frames, compiled), part)


# --- files that say less than they hold ----------------------------------------------------


def check_expansion(
    frame: Frame, coding: Coding, rows: Sequence[int], read: Callable[[int, int], bytes]
) -> None:
    """Raise ValueError where a gzipped compression tile holds more than its pixels.

    It is expanded for that in small parts, which are forgotten: what then decodes it would hold
    all of it, a thousand times its bytes.

    Parameters
    ----------
    frame : Frame
    coding : Coding
    rows : sequence of int
        Those of the table, a tile each.
    read : function
        Gives so many bytes (the second number) of the file from a place on (the first).
    """
    most = tile_pixels(frame) * max(4, frame.pixels.stored.itemsize)
    for row in rows:
        start = coding.rows + row * coding.row_bytes
        for column, wide in coding.gzipped:
            size = 8 if wide else 4
            pair = read(start + column, 2 * size)
            length, place = (int.from_bytes(pair[i : i + size]) for i in (0, size))
            if coding.heap + place + length > frame.size:
                raise ValueError("a compressed tile lies outside the file")
            if length and _expanded_size(read, coding.heap + place, length, most) > most:
                raise ValueError("a compressed tile expands to more than its pixels")


def _expanded_size(read: Callable[[int, int], bytes], start: int, length: int, most: int) -> int:
    """Bytes of some gzip members, as far as needed to know whether they are more than `most`."""
    total, member = 0, zlib.decompressobj(31)
    for part in _parts(read, start, length):
        while part:
            total += len(member.decompress(part, _STEP))
            if total > most:
                return total
            part = member.unconsumed_tail
            if member.eof:
                part, member = member.unused_data, zlib.decompressobj(31)
    return total


def _parts(read: Callable[[int, int], bytes], start: int, length: int) -> Iterator[bytes]:
    for place in range(start, start + length, _STEP):
        yield read(place, min(_STEP, start + length - place))
