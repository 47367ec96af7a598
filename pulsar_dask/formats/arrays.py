"""Frames of an array in Python: a cube of which a user has chosen, or changed, something. Pixels
are computed when a tile of them is read."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask
import numpy as np
from astropy.io import fits
from dask.optimization import cull
from dask.tokenize import tokenize

from pulsar_dask.formats.reading import counting
from pulsar_dask.frames.about import About
from pulsar_dask.frames.frame import Frame, Stored
from pulsar_dask.frames.holds import Holds, Phase
from pulsar_dask.kernels.pixels import PIXELS, Tile, as_stored

Array = np.ndarray[Any, Any]
#: What computing a window of all frames holds: it, and what it is made of.
_COPIES = 3


@dataclass(frozen=True, slots=True)
class InArray(Stored):
    """An image of a dask array of such."""

    name: str
    """Of the array."""
    index: int
    """Place among its images."""
    images: Any = field(compare=False, repr=False)
    """The array: (image, y, x) or (image, plane, y, x), real numbers of the machine."""
    of: Frame | None = None
    """The frame whose header it has."""
    text: str = ""
    """Else its header, a card a line."""

    @property
    def token(self) -> int:
        return int(tokenize(self.name, self.index)[:15], 16)

    @property
    def kept(self) -> bool:
        return False

    @property
    def chosen(self) -> int | str | None:
        return None if self.of is None else self.of.stored.chosen

    @property
    def block(self) -> tuple[int, int]:
        """A chunk, which is computed whole, where it is not the whole image."""
        *_, rows, columns = (max(sizes) for sizes in self.images.chunks)
        whole = (rows, columns) == self.images.shape[-2:]
        return (1, 1) if whole else (rows, columns)

    def file(self, path: str) -> None:
        """Nothing: what it is made of is looked after where it is read."""

    def origin(self, frame: Frame) -> str:
        return frame.path if self.of is None else self.of.stored.origin(self.of)

    def header(self, frame: Frame) -> fits.Header:
        if self.of is not None:
            return self.of.stored.header(self.of)
        return fits.Header.fromstring(self.text, sep="\n")

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> None:
        for frame, image in zip(frames, out, strict=True):
            stored: Any = frame.stored
            image[...] = as_stored(stored.window(tile)[stored.index], frame.pixels)

    def window(self, tile: Tile) -> Array:
        """A tile of all images of the array, which stays at hand for the next image's same tile:
        chunks hold all frames."""
        key = self.name, tile
        if getattr(_HELD, "key", None) != key:
            _HELD.key = _HELD.values = None  # before the next ones are made
            with counting(None):  # the files are not what is counted here
                _HELD.values = _computed(self.images, tile)
            _HELD.key = key
        values: Array = _HELD.values
        return values

    def holds(self, frames: Sequence[Frame], *, compiled: bool) -> Holds:
        window = max(_window_bytes(f) for f in frames)
        return Holds(
            {"window of an array": window},
            phases=(Phase({"chunks of an array": (_COPIES - 1) * window}),),
        )

    def sum_bytes(self, frame: Frame, stretch: int, *, compiled: bool) -> int:
        area = min(self.block[0], frame.shape[-2]) * frame.shape[-1]
        return 2 * stretch + area * _COPIES * _window_bytes(frame)


_HELD = threading.local()


@functools.lru_cache(maxsize=4)
def _graph(images: _ByName) -> Mapping[Any, Any]:
    """The tasks of an array, those that one block needs together fused, as they are run for every
    tile."""
    (optimized,) = dask.optimize(images.array)
    return dict(optimized.__dask_graph__())


class _ByName:
    """An array that is known by its name."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __hash__(self) -> int:
        return hash(self.array.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByName) and self.array.name == other.array.name


def _computed(images: Any, tile: Tile) -> Array:
    """A tile of all images: the blocks that it touches are computed in this thread, as others make
    other tiles."""
    parts = []
    planes = (range(tile.plane, tile.plane + 1),) if images.ndim == 4 else ()
    wanted = (range(images.shape[0]), *planes, *_ranges(tile))
    for sizes, places in zip(images.chunks, wanted, strict=True):
        starts = np.concatenate([[0], np.cumsum(sizes)])
        first = int(np.searchsorted(starts, places.start, "right")) - 1
        last = int(np.searchsorted(starts, places.stop, "left"))
        parts.append([(i, int(starts[i]), places) for i in range(first, last)])
    out = None
    graph = _graph(_ByName(images))
    for blocks in itertools.product(*parts):
        key = (images.name, *(i for i, _, _ in blocks))
        (block,) = dask.get(cull(graph, [key])[0], [key])
        inside, there = [], []
        for (_, start, places), size in zip(blocks, np.shape(block), strict=True):
            low, high = max(start, places.start), min(start + size, places.stop)
            inside.append(slice(low - start, high - start))
            there.append(slice(low - places.start, high - places.start))
        if block[tuple(inside)].shape == tuple(map(len, wanted)):
            out = block[tuple(inside)]  # the usual case: nothing is copied
            break
        if out is None:
            out = np.empty(tuple(map(len, wanted)), images.dtype)
        out[tuple(there)] = block[tuple(inside)]
    assert out is not None
    found: Array = out[:, 0] if planes else out
    return found


def _ranges(tile: Tile) -> tuple[range, range]:
    return range(tile.y, tile.y + tile.height), range(tile.x, tile.x + tile.width)


def _window_bytes(frame: Frame) -> int:
    images = frame.stored.images  # type: ignore[attr-defined]
    return int(images.shape[0]) * frame.pixels.stored.itemsize


def frame_in(
    images: Any, index: int, path: str, about: About, *, of: Frame | None = None, text: str = ""
) -> Frame:
    """A frame that is an image of a dask array of them, of a type in `PIXELS`."""
    stored = InArray(images.name, index, images, of, text)
    shape = tuple(map(int, images.shape[1:]))
    return Frame(path, shape, PIXELS[images.dtype.name], stored, 0, 0, about)
