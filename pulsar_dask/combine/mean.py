"""The mean: the sum of the values that are not missing over their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pulsar_dask.combine._clipped import statistics, statistics_hold
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels import mean as means
from pulsar_dask.kernels.clipping import MEAN
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Method:
    """Of integers up to 32 bits the sum is exact, so that the mean is rounded once; other values
    are summed in float64 in the order of the frames, as ``numpy.mean`` does along an axis."""

    name: ClassVar[str] = "mean"
    parameters: ClassVar[tuple[tuple[str, float], ...]] = ()

    def block(
        self, stack: Array, pixels: PixelType, planes: Sequence[str], *, compiled: bool
    ) -> Mapping[str, Array]:
        more = statistics(MEAN, stack, pixels, planes)
        values, counts = means.mean(stack, pixels, compiled=compiled)
        return more | {"image": values} | ({} if counts is None else {"count": counts})

    def holds(
        self, frames: int, pixels: PixelType, area: int, planes: Sequence[str], *, compiled: bool
    ) -> Holds:
        return statistics_hold(frames, pixels, area, planes) + Holds(
            pixel={"work": means.PIXEL_BYTES},
            thread={"values of a block": means.scratch_bytes(frames, area)},
        )
