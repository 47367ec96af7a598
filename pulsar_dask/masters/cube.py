"""The frames themselves as values, in tiles through all of them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.engine.layer import Layer, layer
from pulsar_dask.formats import stackread
from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import Plane
from pulsar_dask.kernels.loaded import Kernel, worth_compiling
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]
FRAMES = "frames"


def cube_layer(frames: Sequence[Frame]) -> Layer:
    """A layer of the values of all frames, of a type that holds those of each exactly."""
    frames = tuple(frames)
    dtype = np.result_type(*{f.pixels.native for f in frames})
    return layer(
        "cube",
        cube_tile,
        frames,
        str(dtype),
        planes=(Plane(FRAMES, str(dtype), (len(frames),)),),
        reads=frames,
        holds=stackread.values_holds(frames),
        kernel=Kernel.of(frames, frames[0].pixels) if any(f.stored.rice for f in frames) else None,
    )


def cube_tile(tile: Tile, frames: Sequence[Frame], dtype: str) -> dict[str, Array]:
    """One tile of all frames as values, shape (frames, tile height, tile width)."""
    if worth_compiling(frames) and any(f.stored.rice for f in frames):
        importlib.import_module("pulsar_dask.kernels.rice")  # loaded, it decodes on all threads
    return {FRAMES: read_values(frames, tile, np.dtype(dtype))}
