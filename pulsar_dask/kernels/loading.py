"""What compiled code stacks need, and whether they repay loading it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pulsar_dask.kernels.loaded import Kernel

Array = np.ndarray[Any, Any]


def warm_up(kernels: Iterable[Kernel]) -> None:
    """Load (or, the first time, compile) what stacks will need."""
    from pulsar_dask.kernels import sumcode

    sumcode.warm_up()
    for kernel in dict.fromkeys(kernels):
        if kernel.method is not None:
            stack = np.zeros((kernel.frames, 1), kernel.pixels.stored)
            kernel.method.block(stack, kernel.pixels, ("image",), compiled=True)
        if kernel.survey is not None:
            from pulsar_dask.kernels import survey_compiled
            from pulsar_dask.kernels.survey import Looking, nothing_seen

            looking = Looking(nothing_seen(1), kernel.survey, None, compiled=True)
            one = np.zeros((1, 1), kernel.survey.stored)
            survey_compiled.warm_up(looking.arguments(one) or ())
        if kernel.rice:
            from pulsar_dask.kernels import rice

            data, none = np.empty(0, np.uint8), np.empty(0, np.int64)
            for stored in kernel.rice:
                rice.decode_rice(data, none, none, np.empty((0, 0), stored), block=1, bytepix=1)
