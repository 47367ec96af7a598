"""The median: the middle value, of an even number of values the mean of the middle two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pulsar_dask.combine._clipped import converted, statistics, statistics_hold
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels import median
from pulsar_dask.kernels.clipping import MEDIAN
from pulsar_dask.kernels.flat import Part, Window
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Method:
    """Exact: the float64 median, bit for bit; see `median.median`."""

    name: ClassVar[str] = "median"
    parameters: ClassVar[tuple[tuple[str, float], ...]] = ()

    def block(
        self, stack: Array, pixels: PixelType, planes: Sequence[str], *, compiled: bool
    ) -> Mapping[str, Array]:
        if more := statistics(MEDIAN, stack, pixels, planes):
            if not converted(pixels):
                return more
            del more["image"]
        values, counts = median.median(stack, pixels, compiled=compiled)
        return {"image": values} | ({} if counts is None else {"count": counts}) | more

    def calibrated(
        self, window: Window, part: Part, scales: Array, cells: Array
    ) -> Mapping[str, Array]:
        """`block` of flats as stored; see `Window.median`."""
        image, count = window.median(part, scales, cells)
        return {"image": image, "count": count}

    def holds(
        self, frames: int, pixels: PixelType, area: int, planes: Sequence[str], *, compiled: bool
    ) -> Holds:
        size = pixels.stored.itemsize
        return statistics_hold(frames, pixels, area, planes) + Holds(
            pixel={"work": median.pixel_bytes(pixels, frames, compiled=compiled)},
            thread={"selection": median.scratch_bytes(frames, size, area, compiled=compiled)},
        )
