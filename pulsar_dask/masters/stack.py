"""A stack of frames combined, perhaps minus a bias: the layer of every master but the flat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.engine.layer import Layer, layer
from pulsar_dask.formats import stackread
from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.planes import planes_of
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.tile import Tile

Array = np.ndarray[Any, Any]


def stacked(
    kind: str,
    frames: Sequence[Frame],
    method: Combine,
    *,
    planes: Sequence[str] = ("image",),
    minus: Layer | float = 0.0,
    dtype: str | None = None,
) -> Layer:
    """The layer of a combination of frames.

    Parameters
    ----------
    kind : str
        Begins the layer's name.
    frames : sequence of Frame
        Of one shape.
    method : Combine
    planes : sequence of str
        Names out of `planes.PLANES`, after "image".
    minus : Layer or float
        What is subtracted, in float64, from the combined values: combine(dark - bias) is
        combine(dark) - bias for what does not depend on where zero is.
    dtype : str, optional
        The type to which values are rounded, where others take them as a file has them.
    """
    pixels = stack.stack_type(frames)
    combining = combining_holds(frames, method, pixels)
    function = partial(combined, method=method, planes=tuple(planes), dtype=dtype)
    return layer(
        kind,
        function,
        tuple(frames),
        minus,
        planes=planes_of(planes),
        reads=tuple(frames),
        holds=stackread.stack_holds(frames) | combining,
        kernel=loaded.Kernel.of(frames, pixels, method),
    )


def combining_holds(frames: Sequence[Frame], method: Combine, pixels: PixelType) -> Holds:
    """What combining a tile of frames holds, once it is read."""
    area = math.prod(frames[0].shape[-2:])
    worth = loaded.worth_compiling(frames)
    return method.holds(len(frames), pixels, area, compiled=worth).passing


def combined(
    tile: Tile,
    frames: Sequence[Frame],
    minus: Mapping[str, Array] | float,
    *,
    method: Combine,
    planes: Sequence[str],
    dtype: str | None,
) -> dict[str, Array]:
    """Planes of one tile, each of shape (tile height, tile width)."""
    stack, pixels = stackread.read_stack(tile, frames)
    found = planes_made(tile, frames, stack, pixels, method=method, planes=planes)
    level = minus if isinstance(minus, (int, float)) else minus["image"]
    if not isinstance(level, (int, float)) or level:
        found["image"] = found["image"] - level
    if dtype is not None:
        found["image"] = rounded(found["image"], dtype)
    return found


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


def rounded(values: Array, dtype: str) -> Array:
    """Values as they stand in a file of some type."""
    with np.errstate(over="ignore"):
        same: Array = values.astype(dtype).astype("f8", copy=False)
    return same


def one_image(kind: str, frame: Frame) -> Layer:
    """The values of one image, as a calibrator."""
    return layer(kind, image, frame, also=(frame,), holds=stackread.values_holds([frame]))


def image(tile: Tile, frame: Frame) -> dict[str, Array]:
    """The values of a tile, missing ones NaN."""
    return {"image": read_values([frame], tile, np.dtype("f8"), counted=None)[0]}
