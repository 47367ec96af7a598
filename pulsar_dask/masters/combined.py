"""What a method makes of a tile of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.errors import errors
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.masters.errors import asked, needs

Array = np.ndarray[Any, Any]


def planes_made(
    tile: Tile,
    frames: Sequence[Frame],
    stack: Array,
    pixels: PixelType,
    *,
    method: Combine,
    planes: Sequence[str],
    noise: Noise | None = None,
) -> dict[str, Array]:
    """What a method makes of a tile of frames, in the shape of the tile; and what it need not
    make, as it can be told from that. `noise` is that of a frame, for the errors, where it is
    known."""
    wanted = needs(tuple(planes))
    made = dict(
        method.block(
            stack.reshape(len(frames), -1),
            pixels,
            wanted,
            compiled=loaded.worth_compiling(frames),
        )
    )
    for name in ("count", "low", "high"):
        if name in wanted and name not in made:  # nothing can be missing, nothing is rejected
            made[name] = np.full(
                tile.height * tile.width, len(frames) if name == "count" else 0, np.int32
            )
    if "deviation" in made:
        made |= errors(made, **asked(made, method, noise, tuple(planes)))
    return {name: made[name].reshape(tile.shape) for name in planes}


def errors_hold(planes: Sequence[str]) -> Holds:
    """What that holds beside the method's own."""
    some = {"std", "uncertainty"} & set(planes)
    return Holds(pixel={"work": 4 * len(some)}) if some else Holds()
