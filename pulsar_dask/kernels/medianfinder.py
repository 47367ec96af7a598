"""Arithmetic of calibrated flats on plain arrays: subtraction, and the exact median of values
that come in parts, in a few passes and little memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type

Array = np.ndarray[Any, Any]
Counted = tuple[int, int, int, int, Array]
"""What `bracket` returns."""
#: Most values near a median that are kept while it is looked for; more, and the bracket is narrowed
#: first.
MOST_KEPT = 500_000
_subtract = Compiled("compiled.subtract")
_bracket = Compiled("compiled.bracket")


def subtract(stack: Array, pixels: PixelType, dark: Array, *, out: Array) -> Array:
    """Integers as stored to float64 values minus a dark; missing ones NaN.

    Parameters
    ----------
    stack : ndarray, shape (frames, height, width), C-contiguous
        Pixels as stored, of up to 32 bits.
    pixels : PixelType
    dark : ndarray of float64, shape (height, width)
    out : ndarray of float64, shape (frames, height, width)
    """
    frames = len(stack)
    bits = stack.view(bits_type(stack.dtype)).reshape(frames, -1)
    _subtract(
        bits,
        SWAP and stack.dtype.str[0] == ">",
        pixels.blank is not None,
        bits.dtype.type(pixels.blank or 0),
        pixels.bscale,
        pixels.bzero,
        np.ascontiguousarray(dark).ravel(),
        out.reshape(frames, -1),
    )
    return out


def counted(counts: Array, found: Array) -> Counted:
    """What compiled code has counted, and a copy of what it found between."""
    total, below, at_low, at_high, within = counts.tolist()
    return total, below, at_low, at_high, found[:within].copy()


def bracket(values: Array, low: float, high: float, *, compiled: bool = True) -> Counted:
    """Where values lie: how many are not NaN, below `low`, at `low`, at `high`; and those
    strictly between."""
    if compiled:
        counts, found = np.zeros(5, np.int64), np.empty(len(values))
        _bracket(values, low, high, counts, found)
        return counted(counts, found)
    inside = values[(values >= low) & (values <= high)]
    at_low, at_high = inside == low, inside == high
    return (
        int(np.count_nonzero(values == values)),
        int(np.count_nonzero(values < low)),
        int(np.count_nonzero(at_low)),
        int(np.count_nonzero(at_high)) if high > low else 0,
        inside[~(at_low | at_high)],
    )


def most_kept(pixels: int) -> int:
    """Most values that are kept of an image of so many pixels: half as many again as are
    expected between the brackets."""
    return min(MOST_KEPT, max(4096, pixels // 32))


#: Bins in which values are counted that are too many to keep.
BINS = 4096


def _middle(a: float, b: float) -> float:
    """The mean of two values as `numpy.median` has it, without overflow."""
    total = a + b
    return total / 2 if math.isfinite(total) else a / 2 + b / 2


class MedianFinder:
    """The exact median of values that come in parts, in a few passes and little memory.

    In each pass it counts what lies below a bracket and keeps what lies strictly within.
    The bracket comes from a sample; where the sample misled or too much lies within, the
    next pass has a better one. Each bracket is a 4096th of the one before, or less, so that
    the passes are few whatever the values.
    """

    def __init__(
        self, low: float, high: float, most: int | None = None, *, compiled: bool = True
    ) -> None:
        self.compiled, self.most = compiled, MOST_KEPT if most is None else most
        self.median = float("nan")
        self.done = False
        self.split: float | None = None
        """Where known: a value above the lower and not above the upper of the middle values."""
        self.under, self.over = -np.inf, np.inf
        self._start(low, high)

    def _start(self, low: float, high: float) -> None:
        self.low, self.high = float(low), float(high)
        self.total = self.below = self.at_low = self.at_high = self.within = 0
        self.kept: list[Array] = []
        self.ordered: Array | None = None
        self.edges: Array | None = None
        self.counts: Array | None = None

    def add(self, values: Array) -> None:
        """Take values of any shape; NaN are missing."""
        values = values.ravel()
        if self.split is not None:
            self.under = max(self.under, values.max(initial=-np.inf, where=values < self.split))
            self.over = min(self.over, values.min(initial=np.inf, where=values >= self.split))
            return
        self.take(*bracket(values, self.low, self.high, compiled=self.compiled))

    def take(self, total: int, below: int, at_low: int, at_high: int, inside: Array) -> None:
        """What `bracket` says of values, between `low` and `high`; not where there is a `split`."""
        counts = total, below, at_low, at_high
        self.total += counts[0]
        self.below += counts[1]
        self.at_low += counts[2]
        self.at_high += counts[3]
        self.within += len(inside)
        if self.edges is None:
            self.kept.append(inside)
            if self.within <= self.most:
                return
            # too many to keep: count them in bins instead
            self.edges = _edges(self.low, self.high)
            self.counts = np.zeros(len(self.edges) + 1, np.int64)
            inside = np.concatenate(self.kept)
            self.kept = []
        assert self.counts is not None
        bins = np.searchsorted(self.edges, inside, side="right")
        self.counts += np.bincount(bins, minlength=len(self.counts))

    def end_pass(self) -> None:
        """Settle the median, or what the next pass looks for."""
        if self.split is not None:
            self.median = _middle(float(self.under), float(self.over))
            self.done = True
            return
        if not self.total:
            self.done = True
            return
        ranks = (self.total - 1) // 2, self.total // 2
        low, high = (self._at(rank) for rank in ranks)
        if low is not None and high is not None:
            self.median = _middle(low, high)
            self.done = True
            return
        place = self._place(ranks[0])
        if place == self._place(ranks[1]):
            self._start(*place)
        else:  # nothing lies between the two
            self.split = place[1] if low is None else float(np.nextafter(low, np.inf))

    def _at(self, rank: int) -> float | None:
        """The value of a rank, if this pass has it."""
        rank -= self.below
        if rank < 0:
            return None
        if rank < self.at_low:
            return self.low
        rank -= self.at_low
        if rank < self.within:
            if self.edges is not None:
                return None
            if self.ordered is None:
                self.ordered = np.sort(np.concatenate(self.kept))
                self.kept = []
            return float(self.ordered[rank])
        rank -= self.within
        return self.high if rank < self.at_high else None

    def _place(self, rank: int) -> tuple[float, float]:
        """Bounds of the value of a rank: at least the first, less than the second."""
        value = self._at(rank)
        if value is not None:
            return value, value
        rank -= self.below
        if rank < 0:
            return -np.inf, self.low
        rank -= self.at_low
        if rank >= self.within:
            return self.high, np.inf
        assert self.edges is not None
        assert self.counts is not None
        at = int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))
        bounds = np.concatenate([[self.low], self.edges, [self.high]])
        return float(bounds[at]), float(bounds[at + 1])


def _edges(low: float, high: float) -> Array:
    """Values that cut a bracket into bins, evenly and by magnitude."""
    first, last = (int(_by_rank(np.array(v).view("i8"))) for v in (low, high))
    keys = [first + (last - first) * i // BINS for i in range(1, BINS)]
    edges: Array = _by_rank(np.array(keys, "i8")).view("f8")
    if math.isfinite(high - low):
        edges = np.concatenate([edges, np.linspace(low, high, BINS + 1)])
    edges = np.unique(edges)
    return edges[(edges > low) & (edges < high)]


def _by_rank(bits: Array) -> Array:
    """The bits of floats as integers that order as they do; its own inverse."""
    ranks: Array = bits ^ ((bits >> 63) & np.int64(2**63 - 1))
    return ranks


def warm_up(pixels: PixelType) -> None:
    """Load (or, the first time, compile) what calibrating takes."""
    one = np.zeros((1, 1, 1))
    bracket(one.ravel(), 0.0, 0.0)
    if not pixels.floating and pixels.bitpix <= 32:
        subtract(np.zeros((1, 1, 1), pixels.stored), pixels, one[0], out=one)
