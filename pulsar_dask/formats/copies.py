"""Frames whose pixels are those of another one: a copy under another name counts once.

Only frames of one size and one DATE-OBS, or without any, can be copies. Sums that their headers
state, then some rows, tell nearly all of them apart; the pixels of those that still agree are
compared, so that hardly one is read twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from pulsar_dask.errors import warn
from pulsar_dask.formats.openfiles import guarded
from pulsar_dask.formats.reading import read_tile, to_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import Grid, Tile

Array = np.ndarray[Any, Any]
#: Bytes of an image that are looked at first, and that are compared at a time.
_SOME, _STRETCH = 1 << 14, 1 << 22
_MOST_NAMED = 3


def without_copies(frames: Sequence[Frame]) -> list[Frame]:
    """Frames, of raw ones with the same pixels the first alone; the others are warned of.

    What differs in kind, exposure or filter is not one frame, whatever its pixels.

    Raises
    ------
    PulsarError
        A frame that may be a copy cannot be read.
    """
    copies: dict[Frame, Frame] = {}
    for alike in _groups([f for f in frames if not f.is_master], _what_it_is):
        for some in _groups(alike, _sum_stated) if _sums_tell(alike) else [alike]:
            for close in _groups(some, _first_rows):
                copies |= _copies(close)
    if copies:
        named = [f"{copy.name} is {first.name}" for copy, first in copies.items()]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        warn(
            f"the same pixels under two names count once: {', '.join(named[:_MOST_NAMED])}{more}",
            "copies",
        )
    left = [frame for frame in frames if frame not in copies]
    _warn_of_types(left)
    return left


def _groups(frames: Iterable[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    """Frames of one key, where there are two at least."""
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return [group for group in groups.values() if len(group) > 1]


def _what_it_is(frame: Frame) -> Hashable:
    return frame.shape, frame.date, frame.kind, frame.exposure, frame.filter


def _sums_tell(frames: Sequence[Frame]) -> bool:
    """Whether frames whose headers state other sums have other values."""
    one_type = all(f.pixels == frames[0].pixels for f in frames)
    return one_type and None not in map(_sum_stated, frames)


def _sum_stated(frame: Frame) -> int | None:
    """The sum of the pixels in the header."""
    if frame.stated is None:
        return None
    return frame.stated.pixels if frame.stored.coded else frame.stated.data


def _first_rows(frame: Frame) -> Hashable:
    """The first rows of an image, as numbers of any type are compared."""
    rows, columns = frame.shape[-2:]
    size = frame.pixels.stored.itemsize
    some = min(rows, max(1, _SOME // (8 * columns)))
    stored = np.empty((1, some, columns), frame.pixels.stored)
    if frame.stored.expanded:  # no more of it than that
        stored[0] = guarded(_beginning)(frame, some * columns * size).reshape(some, columns)
    else:
        read_tile([frame], Tile(0, 0, 0, some, columns), stored, counted=None)
    return _as_numbers(frame, stored[0]).tobytes()


def _beginning(frame: Frame, size: int) -> Array:
    """The first bytes of an image that cannot be entered in the middle."""
    found = bytearray()
    for part in frame.stored.parts(frame):
        found += part[: size - len(found)]
        if len(found) == size:
            return np.frombuffer(found, frame.pixels.stored)
    raise EOFError("the file ends too early")


def _as_numbers(frame: Frame, stored: Array) -> Array:
    values = to_values(stored, frame.pixels).astype("f8")
    values += 0.0  # -0.0 is 0.0
    values[np.isnan(values)] = np.nan
    return values


def _copies(frames: Sequence[Frame]) -> dict[Frame, Frame]:
    """Those with all pixels of one before them, and which that is."""
    firsts: list[Frame] = []
    copies = {}
    for frame in frames:
        first = next((other for other in firsts if _same(other, frame)), None)
        if first is None:
            firsts.append(frame)
        else:
            copies[frame] = first
    return copies


def _same(one: Frame, other: Frame) -> bool:
    """Whether two frames have the same pixels, which are compared up to the first that is not."""
    rows, columns = one.shape[-2:]
    block = max(f.stored.block[0] for f in (one, other) if f is one or not f.stored.expanded)
    step = max(1, _STRETCH // (8 * columns * block)) * block
    for _, tile in Grid(one.shape, min(rows, step), columns):
        values: list[Array] = []
        for frame in (one, other):
            stored = np.empty((1, *tile.shape), frame.pixels.stored)
            read_tile([frame], tile, stored, counted=None)
            values.append(stored if one.pixels == other.pixels else _as_numbers(frame, stored))
        first, second = values
        if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            return False
    return True


def _warn_of_types(frames: Sequence[Frame]) -> None:
    """Warn of frames of one instant and camera that are not of one type of pixels."""
    raw = [f for f in frames if not f.is_master and f.date and "T" in f.date]
    odd = []
    for group in _groups(raw, lambda f: (f.shape, f.date, f.about.setting("INSTRUME"))):
        kinds = {str(f.pixels.native): f for f in group}
        if len(kinds) > 1:
            odd.append(" and ".join(f"{f.name} ({kind})" for kind, f in kinds.items()))
    if odd:
        more = f", and {len(odd) - 1} more such pairs" if len(odd) > 1 else ""
        warn(
            f"{odd[0]} have one DATE-OBS and pixels of several types{more}: is one a converted "
            "copy? Then leave one kind out",
            "types-differ",
        )
