"""Frames of an array in Python: a cube of which a user has chosen, or changed, something. Pixels
are computed when a tile of them is read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dask
import numpy as np
from astropy.io import fits
from dask.tokenize import tokenize

from pulsar_dask.formats.storeformat import PIXELS
from pulsar_dask.frames.about import About
from pulsar_dask.frames.frame import Frame, Stored
from pulsar_dask.frames.holds import Holds, Phase
from pulsar_dask.kernels.pixels import Tile, as_stored

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
            rows, columns = slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)
            plane = (tile.plane,) if self.images.ndim == 4 else ()
            # in this thread: others make other tiles
            (_HELD.values,) = dask.compute(
                self.images[(slice(None), *plane, rows, columns)], scheduler="synchronous"
            )
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
