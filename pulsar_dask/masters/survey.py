"""A look at the frames of a product while their pixels pass: what is seen of all pixels, and a
fixed sample of each frame beside what was made of it.

A layer gives it as "survey" beside its planes, where it is asked for; `output.survey_sink` puts
the tiles together, `masters.judged` says what it means.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.stack import stack_type
from pulsar_dask.inputs.numbers import MOST_ADU
from pulsar_dask.kernels import survey
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.kernels.survey import Looking, Seen

Array = np.ndarray[Any, Any]
#: What a layer calls it among its planes.
SURVEY = "survey"
#: Rows of a frame that are sampled, whatever the tiles.
ROWS = 64
#: Values of a sample over all frames, and the least of one frame.
VALUES, LEAST = 1 << 19, 4096


#: Tiles whose looks are added together.
TOGETHER = 32


@dataclass(frozen=True)
class Survey:
    """How frames of one shape are looked at; small, so that it travels."""

    shape: tuple[int, ...]
    frames: int
    pixels: PixelType
    """Of the sample."""
    stored: PixelType
    """Of what is seen of all pixels."""
    limit: float | None = None
    """The value from which a pixel is saturated, where that is known."""

    @staticmethod
    def of(
        frames: Sequence[Frame], *, limit: float | None = None, sample: PixelType | None = None
    ) -> Survey:
        """Of some frames; `sample` where their values are not sampled as they are stored."""
        pixels = stack_type(frames)
        return Survey(frames[0].shape, len(frames), sample or pixels, pixels, limit)

    @property
    def step(self) -> int:
        """Every so many columns are taken; odd, so that all colours are among them."""
        rows = self.planes * min(ROWS, self.shape[-2])
        wanted = max(LEAST, VALUES // self.frames)
        return (rows * self.shape[-1] // wanted) | 1

    @property
    def planes(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def rows(self) -> Array:
        """The rows that are sampled of each plane."""
        return _rows(self.shape[-2])

    @property
    def columns(self) -> Array:
        return _columns(self.shape[-1], self.step)

    @property
    def size(self) -> int:
        """Values of one frame."""
        return self.planes * len(self.rows) * len(self.columns)

    @property
    def quadrant(self) -> Array:
        """Which quarter of the frame each of them lies in."""
        low = 2 * (self.rows >= self.shape[-2] / 2)
        right = self.columns >= self.shape[-1] / 2
        return np.tile((low[:, None] + right).ravel(), self.planes)

    def holds(self) -> Holds:
        """What a look at a tile holds: its share of the sample, and up to a row more."""
        name = "sample of the frames"
        share = self.size * self._each / math.prod(self.shape)
        row = len(self.columns) * self._each + survey.EACH * self.frames
        return Holds({name: math.ceil(share)}, {name: row})

    @property
    def bytes(self) -> int:
        """Of the whole sample."""
        return self.size * self._each + (1 + TOGETHER) * survey.EACH * self.frames

    @property
    def _each(self) -> int:
        """Bytes of a sampled pixel: its values in all frames, and in two masters."""
        return self.frames * self.pixels.stored.itemsize + 16

    def places(self, tile: Tile) -> tuple[slice, slice]:
        """The sampled rows (of all planes) and columns that lie in a tile."""
        rows, step = self.rows, self.step
        first = tile.plane * len(rows)
        y = (first + bisect.bisect_left(rows, n) for n in (tile.y, tile.y + tile.height))
        return slice(*y), slice(-(-tile.x // step), -(-(tile.x + tile.width) // step))

    def sampled(self, tile: Tile, values: Array) -> Array:
        """A copy of the sampled places of a tile, whose rows and columns are the last axes."""
        y, x = self.places(tile)
        columns = slice(x.start * self.step - tile.x, None, self.step)
        if y.start == y.stop or x.start == x.stop:
            return np.empty((*values.shape[:-2], 0, 0), values.dtype)
        first = tile.plane * len(self.rows)
        rows = self.rows[y.start - first : y.stop - first] - tile.y
        row = int(rows[0])  # a slice is taken in half the time of rows by number
        at = slice(row, row + 1) if len(rows) == 1 else rows
        taken: Array = values[..., at, columns]
        return taken.copy() if len(rows) == 1 else np.ascontiguousarray(taken)

    def looking(self, *, compiled: bool) -> Looking:
        """At all pixels, of which nothing was seen yet."""
        nothing = survey.nothing_seen(self.frames)
        return Looking(nothing, self.stored, self.limit, compiled)

    def seen(self, stack: Array, part: tuple[int, int, int, int], *, compiled: bool) -> Array:
        """What is seen of all pixels of a part (y, x, height, width) of some windows."""
        y, x, height, width = part
        wide = stack.shape[-1]
        seen = survey.nothing_seen(self.frames)
        rows = stack.reshape(self.frames, -1)
        runs = [slice(y * wide, (y + height) * wide)]
        if width < wide:
            runs = [slice((y + i) * wide + x, (y + i) * wide + x + width) for i in range(height)]
        for run in runs:
            survey.look(rows, self.stored, seen, part=run, limit=self.limit, compiled=compiled)
        return seen


def stated_limit(frames: Sequence[Frame]) -> float | None:
    """The value from which pixels are saturated, as their headers state it."""
    stated = frames[0].about.saturation
    return stated if stated is not None and 1 < stated < MOST_ADU else None


@functools.lru_cache(maxsize=8)
def _rows(height: int) -> Array:
    count = min(height, ROWS)
    return ((np.arange(count) + 0.5) * height / count).astype(int)


@functools.lru_cache(maxsize=8)
def _columns(width: int, step: int) -> Array:
    return np.arange(0, width, step)


Surveying = Callable[[Sequence[Frame]], Survey]
"""From the frames of a product how they are looked at."""


@dataclass(frozen=True)
class Glimpse:
    """What a look at one tile gives."""

    seen: Array
    sample: Array
    """Shape (frames, rows, columns)."""
    master: Array
    """What the frames were combined to, there."""
    net: Array
    """The same, minus what is subtracted."""
    minus: tuple[float, float]
    """Lowest and highest value of what is subtracted, there; NaN where nothing is."""


NONE = (math.nan, math.nan)


def extremes(values: Any) -> tuple[float, float]:
    """Lowest and highest of values that are there."""
    if not isinstance(values, np.ndarray):
        return NONE
    return float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))


@dataclass
class Surveyed:
    """All tiles together."""

    survey: Survey
    seen: Array
    sample: Array
    """Shape (frames, rows, columns), as `Survey.pixels` are stored."""
    master: Array
    net: Array
    low: float = math.nan
    high: float = math.nan
    waiting: list[Array] = field(default_factory=list)
    """What was seen of tiles, to be added together: each time costs as much as many."""
    measured: dict[Any, Any] = field(default_factory=dict)
    """See `judged.measured_of`."""

    @staticmethod
    def begin(look_: Survey) -> Surveyed:
        places = look_.planes * len(look_.rows), len(look_.columns)
        sample = np.zeros((look_.frames, *places), look_.pixels.stored)
        nothing = survey.nothing_seen(look_.frames)
        return Surveyed(look_, nothing, sample, np.full(places, np.nan), np.full(places, np.nan))

    def add(self, tile: Tile, glimpse: Glimpse) -> None:
        """A tile; not from two threads at once."""
        self.waiting.append(glimpse.seen)
        if len(self.waiting) == TOGETHER:
            self._merge()
        y, x = self.survey.places(tile)
        if glimpse.master.size:
            self.sample[:, y, x] = glimpse.sample
            self.master[y, x], self.net[y, x] = glimpse.master, glimpse.net
        low, high = glimpse.minus
        if low <= high:
            self.low, self.high = float(np.fmin(self.low, low)), float(np.fmax(self.high, high))

    def _merge(self) -> None:
        survey.merge(self.seen, *self.waiting)
        self.waiting.clear()

    def frames(self) -> list[Seen]:
        """What was seen of each frame."""
        self._merge()
        limit = self.survey.limit is not None
        return [Seen.of(row, self.survey.stored, limit=limit) for row in self.seen]


def survey_of(made: Mapping[str, Any]) -> Glimpse | None:
    """What a layer gave beside its planes."""
    found: Glimpse | None = made.get(SURVEY)
    return found
