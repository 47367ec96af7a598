"""A look at a master while its tiles pass, for a report: squares of its picture, a sample of its
values, the highest and the lowest of each part; of its other planes squares, too."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index, Layer
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.kernels.squares import Binned, Squares, binned, extremes
from pulsar_dask.output.against import Before, before

Array = np.ndarray[Any, Any]
#: Most squares of a picture, of those of another plane, and most values of the sample.
SQUARES, PLANE_SQUARES, VALUES = 1 << 19, 1 << 17, 1 << 18
#: Bytes that a page takes, and for each square of a picture, while it is written.
_PAGE, _SHOWING = 12_000_000, 48
#: Pixels on a side of a part of which the highest and the lowest value are known.
PART = 64


@dataclass(frozen=True)
class How:
    """How a master of some shape is looked at."""

    shape: tuple[int, ...]
    squares: Squares
    coarse: Squares
    """Of other planes."""
    parts: Squares
    step: int
    """Every so many rows are taken for the sample; odd, so that all colours are among them."""
    planes: tuple[str, ...] = ()
    """Names of the other planes."""

    @staticmethod
    def of(shape: tuple[int, ...], planes: Sequence[str] = ()) -> How:
        step = -(-math.prod(shape) // VALUES)
        return How(
            shape,
            Squares.of(shape, SQUARES),
            Squares.of(shape, PLANE_SQUARES),
            Squares((shape[-2], shape[-1]), PART),
            step if step == 1 else step | 1,
            tuple(planes),
        )

    @property
    def depth(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def sampled(self) -> int:
        """Rows of each plane that are sampled."""
        return -(-self.shape[-2] // self.step)

    @property
    def bytes(self) -> int:
        """Of all that is kept."""
        coarse = 20 * math.prod(self.coarse.counts) * len(self.planes)
        parts = 16 * math.prod(self.parts.counts)
        sample = 8 * self.depth * self.sampled * self.shape[-1]
        return 12 * math.prod(self.squares.counts) + coarse + parts + sample


@dataclass(frozen=True)
class Glance:
    """What a tile gives."""

    squares: Binned
    low: Array
    high: Array
    sample: Array
    others: Mapping[str, tuple[Binned, float]]


@dataclass(frozen=True)
class Look:
    """See `layer.Taker`."""

    how: How

    def __call__(self, tile: Tile, planes: Mapping[str, Array]) -> Glance:
        how, values = self.how, planes["image"]
        first = -tile.y % how.step
        others = {
            name: (binned(planes[name], tile, how.coarse), _least(planes[name]))
            for name in how.planes
        }
        low, high = extremes(values, tile, how.parts)
        sample = values[first :: how.step].astype("f8")
        return Glance(binned(values, tile, how.squares), low, high, sample, others)


def _least(values: Array) -> float:
    return float(np.fmin.reduce(values, axis=None))


@dataclass
class Picture:
    """A master, all tiles together."""

    how: How
    total: Array
    missing: Array
    low: Array
    high: Array
    sample: Array
    """Shape (rows of all planes, columns)."""
    planes: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    """Of other planes what their squares add up to, and how many pixels are missing."""
    least: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def begin(how: How) -> Picture:
        rows, coarse, parts = how.squares.counts, how.coarse.counts, how.parts.counts
        sample = np.full((how.depth * how.sampled, how.shape[-1]), np.nan)
        return Picture(
            how,
            np.zeros(rows),
            np.zeros(rows, np.int32),
            np.full(parts, math.inf),
            np.full(parts, -math.inf),
            sample,
            {name: (np.zeros(coarse), np.zeros(coarse, np.int32)) for name in how.planes},
            dict.fromkeys(how.planes, math.inf),
        )

    def add(self, tile: Tile, glance: Glance) -> None:
        """A tile; not from two threads at once."""
        how = self.how
        _add(self.total, self.missing, how.squares.places(tile), glance.squares)
        at = how.parts.places(tile)
        np.minimum(self.low[at], glance.low, out=self.low[at])
        np.maximum(self.high[at], glance.high, out=self.high[at])
        first = tile.plane * how.sampled + -(-tile.y // how.step)
        rows, columns = glance.sample.shape
        self.sample[first : first + rows, tile.x : tile.x + columns] = glance.sample
        for name, (squares, least) in glance.others.items():
            _add(*self.planes[name], how.coarse.places(tile), squares)
            self.least[name] = float(np.fmin(self.least[name], least))

    @functools.cached_property
    def number(self) -> Array:
        """How many pixels of each square have a value, once all tiles are there."""
        found: Array = self.how.depth * self.how.squares.pixels() - self.missing
        return found

    @property
    def values(self) -> Array:
        """Values of the sample that are there."""
        found: Array = self.sample[np.isfinite(self.sample)]
        return found


def _add(total: Array, missing: Array, at: tuple[slice, slice], part: Binned) -> None:
    total[at] += part.total
    if part.missing is not None:
        missing[at] += part.missing


class PictureSink:
    """See `make.Sink`; it writes nothing. Before the master takes the place of another, that is
    looked at, too."""

    grid = None
    lines = None
    load: Sequence[str] = ()
    paths: Sequence[str] = ()

    def __init__(
        self,
        layer: Layer,
        shape: tuple[int, ...],
        *,
        name: str,
        planes: Sequence[str] = (),
        product: Product | None = None,
        old: Frame | None = None,
        old_list: str | None = None,
    ) -> None:
        """`old` is the master before, `old_list` the list of it."""
        self.layer, self.product, self.old, self._old_list = layer, product, old, old_list
        self.how = how = How.of(shape, planes)
        squares = 12 / how.squares.side**2 + 20 * len(planes) / how.coarse.side**2
        self.sends = math.ceil(squares + 16 / PART**2 + 8 / how.step)
        rows = 40 * shape[-1] + 10 * max(how.coarse.side, PART) * shape[-1]
        self.holds = Holds(
            {"results": self.sends},
            {"rows of a picture": rows},
            {f"picture of {name}": how.bytes},
        )
        page = _PAGE + _SHOWING * math.prod(how.squares.counts)
        self.after = Holds(process={"the report": page})
        self.before: Before | None = None
        self._lock = threading.Lock()

    def begin(self, plan: Plan) -> frozenset[Index]:
        self.picture = Picture.begin(self.how)
        return frozenset()

    def taker(self) -> Look:
        return Look(self.how)

    def here(self, tile: Tile, result: Glance) -> None:
        with self._lock:
            self.picture.add(tile, result)

    def seal(self, run: Run) -> None:
        if self.old is not None:
            self.before = before(self.old, self._old_list, self.picture.sample, self.how.step)

    def files(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass
