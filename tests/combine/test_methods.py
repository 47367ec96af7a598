"""What holds for every way to combine, those to come too."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pulsar_dask import combine
from pulsar_dask.kernels.pixels import PixelType

#: More than one block of 60 frames.
AREA = 6_000

PIXELS = [
    PixelType(8),
    PixelType(16, 1.0, 32768.0),
    PixelType(16, blank=5),
    PixelType(64, 1.0, 2.0**63, blank=5),
    PixelType(-32),
    PixelType(-64, 2.0),
]


@pytest.mark.few(3)
@pytest.mark.parametrize("pixels", PIXELS, ids=str)
@pytest.mark.parametrize("frames", [1, 4, 60])
@pytest.mark.parametrize("name", sorted({*combine.names()} - {"auto"}))  # which is one of them
@pytest.mark.parametrize("planes", [["image"], ["image", "count", "deviation", "spread"]])
def test_a_block_takes_no_more_than_is_stated(name, frames, pixels, planes):
    method = combine.method(name)
    stack = np.random.default_rng(1).integers(0, 100, (frames, AREA)).astype(pixels.stored)
    small = stack[:, :64].copy()
    method.block(small, pixels, planes, compiled=False)  # imports are no arrays
    held = method.holds(frames, pixels, AREA, planes, compiled=False)
    tracemalloc.start()
    try:
        made = method.block(stack, pixels, planes, compiled=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made["image"].shape == (AREA,)
    small_objects = 20_000
    assert peak <= sum(held.pixel.values()) * AREA + sum(held.thread.values()) + small_objects
