"""What a method makes of a tile of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.pixels import PixelType, Tile

Array = np.ndarray[Any, Any]


def planes_made(
    tile: Tile,
    frames: Sequence[Frame],
    stack: Array,
    pixels: PixelType,
    *,
    method: Combine,
    planes: Sequence[str],
) -> dict[str, Array]:
    """What a method makes of a tile of frames, in the shape of the tile; and what it need not
    make, as it can be told from that."""
    made = method.block(
        stack.reshape(len(frames), -1),
        pixels,
        planes,
        compiled=loaded.worth_compiling(frames),
    )
    found = {name: made[name].reshape(tile.shape) for name in planes if name in made}
    del made  # whose values would stay beside those that are made of them
    if "count" in planes and "count" not in found:  # nothing can be missing
        found["count"] = np.full(tile.shape, len(frames), np.int32)
    return found
