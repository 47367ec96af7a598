"""What compiled code stacks need, loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from pulsar_dask.kernels import checksum, errors, flat, light, medianfinder, rice, survey, telegraph
from pulsar_dask.kernels.loaded import Kernel
from pulsar_dask.kernels.ordersum import WEIGHTS

Array = np.ndarray[Any, Any]


def warm_up(kernels: Iterable[Kernel]) -> None:
    """Load (or, the first time, compile) what stacks will need."""
    none = np.empty(0, np.int64)
    checksum.byte_sums(0, 0, 0, 0, 0, 0, WEIGHTS)
    if hasattr(os, "pread"):
        files, sums = np.empty((0, 0, 0), np.uint8), np.empty((0, 2), np.uint64)
        checksum.read_rows(
            none, none, 0, files, 0, WEIGHTS, sums, 0, none, 1, np.zeros(20, np.int64)
        )
    one = np.zeros((1, 1))
    light.values(one.astype(">f4"), one)  # as masters are read
    for kernel in dict.fromkeys(kernels):
        if kernel.method is not None:
            there = int(kernel.pixels.blank == 0)
            stack = np.full((kernel.frames, 1), there, kernel.pixels.stored)
            kernel.method.block(stack, kernel.pixels, kernel.planes, compiled=True)
        for pixels in kernel.levels:
            telegraph.warm_up(pixels)
        if kernel.errors:
            errors.warm_up()
        if kernel.survey is not None:
            none_seen = survey.nothing_seen(1)
            survey.look(np.zeros((1, 1), kernel.survey.stored), kernel.survey, none_seen)
        if kernel.flat is not None:
            medianfinder.warm_up(kernel.flat)
            if not kernel.flat.floating and kernel.flat.bitpix <= 32:
                flat.warm_up(kernel.flat, kernel.frames)
        if kernel.light is not None:
            light.warm_up(kernel.light)
        if kernel.rice:
            data = np.empty(0, np.uint8)
            for stored in kernel.rice:
                rice.decode_rice(data, none, none, np.empty((0, 0), stored), block=1, bytepix=1)
