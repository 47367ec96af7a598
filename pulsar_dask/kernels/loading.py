"""What compiled code stacks need, and whether they repay loading it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.kernels.loaded import Frame
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]


class Kernel(NamedTuple):
    """Compiled code that a stack needs."""

    frames: int
    pixels: PixelType
    method: Any = None
    """What combines them (see `combine.Combine`), if anything does."""
    rice: tuple[str, ...] = ()
    """Types of stored pixels that are Rice-coded."""

    @staticmethod
    def of(frames: Sequence[Frame], pixels: PixelType, method: Any = None) -> Kernel:
        """What reading frames, and combining them as pixels of some type, needs."""
        rice = {f.pixels.stored.str for f in frames if f.rice}
        return Kernel(len(frames), pixels, method, tuple(sorted(rice)))


def warm_up(kernels: Iterable[Kernel]) -> None:
    """Load (or, the first time, compile) what stacks will need."""
    from pulsar_dask.kernels import sumcode

    sumcode.warm_up()
    for kernel in dict.fromkeys(kernels):
        if kernel.method is not None:
            stack = np.zeros((kernel.frames, 1), kernel.pixels.stored)
            kernel.method.block(stack, kernel.pixels, ("image",), compiled=True)
        if kernel.rice:
            from pulsar_dask.kernels import rice

            data, none = np.empty(0, np.uint8), np.empty(0, np.int64)
            for stored in kernel.rice:
                rice.decode_rice(data, none, none, np.empty((0, 0), stored), block=1, bytepix=1)
