"""Flats from pixels as stored: calibrated, scaled and combined block by block, so that no
calibrated frame is ever in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.kernels.blocks import ROW, aligned
from pulsar_dask.kernels.median import NETWORK_FRAMES
from pulsar_dask.kernels.medianfinder import Counted, counted
from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.network import GROUP, NO_NETWORK, comparators
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type

Array = np.ndarray[Any, Any]
_near, _median = Compiled("flat_compiled.near"), Compiled("flat_compiled.median")
#: Values that are calibrated together where their median is looked for.
_AT_ONCE = 512
#: Bytes of a block: within the L1 cache.
_BLOCK_BYTES = 24_576
#: The least columns of a tile of which `Window.median` is made.
LEAST_WIDTH = ROW // 8
Part = tuple[int, int, int, int]
"""y, x, height, width in a window."""
_TOP, _EXPONENT = np.int64(2**63 - 1), np.int64(0x7FF0000000000000)


@dataclass(frozen=True)
class Window:
    """A window of flats as stored, and what is subtracted from it."""

    stored: Array
    """Shape (frames, rows, columns), C-contiguous, integers of up to 32 bits."""
    pixels: PixelType
    dark: Array
    """float64, shape (rows, columns), C-contiguous."""

    @property
    def shape(self) -> tuple[int, ...]:
        frames, height, width = self.stored.shape
        return frames, height, width

    def at(self, places: Array) -> Array:
        """Calibrated values at some places of the window, shape (frames, places); missing ones
        NaN."""
        found = self.stored.reshape(len(self.stored), -1)[:, places]
        return self._values(found, self.dark.reshape(-1)[places])

    def image(self, frame: int) -> Array:
        """Of a frame all values."""
        return self._values(self.stored[frame], self.dark)

    def _values(self, stored: Array, dark: Array) -> Array:
        """As `compiled.subtract` has them."""
        values = stored.astype(np.float64) * self.pixels.bscale + self.pixels.bzero - dark
        if self.pixels.blank is not None:
            values[stored == self.pixels.blank] = np.nan
        return values

    def _bits(self) -> tuple[Any, ...]:
        bits = self.stored.view(bits_type(self.stored.dtype))
        blank = bits.dtype.type(self.pixels.blank or 0)
        swap = SWAP and self.stored.dtype.str[0] == ">"
        return bits, swap, self.pixels.blank is not None, blank

    def near(
        self, frame: int, part: Part, low: Array, high: Array, cells: Array, found: Array,
        *, whole: bool = True,
    ) -> Iterator[Counted]:  # fmt: skip
        """`medianfinder.bracket` of a part of a frame, of all pixels and of each colour.

        Parameters
        ----------
        frame : int
        part : Part
        low, high : ndarray of float64, shape (brackets,)
        cells : ndarray of int64, shape (period, period)
            Which bracket the pixels of the part have by their colour; negative: none.
        found : ndarray of float64
            For values between, of all brackets: once or twice the pixels of the part.
        whole : bool
            Whether bracket 0 is that of all pixels.
        """
        sizes = [part[2] * part[3]] * whole + [0] * (len(low) - whole)
        for (y, x), k in np.ndenumerate(cells):
            if k >= 0:
                sizes[k] += len(range(y, part[2], len(cells))) * len(range(x, part[3], len(cells)))
        first, counts = np.cumsum([0, *sizes[:-1]]), np.zeros((len(low), 5), np.int64)
        bits, *how = self._bits()
        _near(
            bits,
            frame,
            np.array(part),
            *how,
            float(self.pixels.bscale),
            float(self.pixels.bzero),
            self.dark,
            cells,
            whole,
            low,
            high,
            first,
            counts,
            np.empty((2, _AT_ONCE)),
            found,
        )
        for each, start in zip(counts, first, strict=True):
            yield counted(each, found[start:])

    def median(self, part: Part, scales: Array, cells: Array) -> tuple[Array, Array]:
        """Medians over the frames, and how many values they are of.

        Parameters
        ----------
        part : Part
            The tile; at least `LEAST_WIDTH` columns.
        scales : ndarray of float64, shape (frames, colours)
        cells : ndarray of int, shape (period, period)
            The colours of the pixels of the tile from its first one on.

        Returns
        -------
        image, count : ndarray of float64 and int32, shape (height, width)
            As `median.median` of the values gives them.
        """
        frames, (y, x, height, width) = len(self.stored), part
        block = LEAST_WIDTH
        while 2 * block <= width and 2 * block * frames * 8 <= _BLOCK_BYTES:
            block *= 2
        period = len(cells)
        columns = np.arange(block + period) % period
        factors = np.ascontiguousarray(scales[:, cells[:, columns]])
        keys = aligned((frames, block), np.dtype("i8"))
        middle = aligned((3, block), np.dtype("i8"))
        image, count = np.empty((height, width)), np.empty((height, width), np.int32)
        network = NO_NETWORK
        if frames <= NETWORK_FRAMES["f8"]:
            network = comparators(frames, (frames - 1) // 2, frames // 2, sorted_first=GROUP)
        bits, *how = self._bits()
        _median(
            bits,
            np.array([y, x]),
            *how,
            float(self.pixels.bscale),
            float(self.pixels.bzero),
            self.dark,
            factors,
            np.zeros(2, np.int64),
            network,
            keys,
            keys.view(np.float64),
            _TOP,
            _EXPONENT,
            middle,
            image,
            count,
        )
        return image, count


def warm_up(pixels: PixelType, frames: int) -> None:
    """Load (or, the first time, compile) what flats take."""
    part = 0, 0, 1, LEAST_WIDTH
    window = Window(np.zeros((frames, *part[2:]), pixels.stored), pixels, np.zeros(part[2:]))
    level, cells = np.zeros(1), np.full((1, 1), -1)
    list(window.near(0, part, level, level, cells, np.empty(LEAST_WIDTH)))
    window.median(part, np.ones((frames, 1)), np.zeros((1, 1), int))


def scale_cells(
    values: Array,
    scales: Array,
    origin: tuple[int, int],
    cells: Sequence[Sequence[int]],
    out: Array,
) -> None:
    """Multiply each pixel by the factor of its colour; `scales` are (frames, colours)."""
    _, height, width = values.shape
    period = len(cells)
    first = np.roll(np.array(cells), (-origin[0], -origin[1]), (0, 1))
    rows = np.take(first[:height], np.arange(width) % period, axis=1)
    factors = np.empty(rows.shape)
    for value, scale, scaled in zip(values, scales, out, strict=True):
        np.take(scale, rows, out=factors, mode="clip")  # else it is buffered
        for row, factor in enumerate(factors):
            np.multiply(value[row::period], factor, out=scaled[row::period])
