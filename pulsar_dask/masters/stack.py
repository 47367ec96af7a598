"""A stack of frames combined, perhaps minus a bias: the layer of every master but the flat. And the
frames themselves as values."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.engine.layer import Layer, layer
from pulsar_dask.formats import reading
from pulsar_dask.formats.reading import read_image, read_values
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.planes import IMAGE, Plane, planes_of
from pulsar_dask.frames.quality import Quality
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.loaded import Kernel, worth_compiling
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.masters.combined import errors_hold, parts_hold, planes_made
from pulsar_dask.masters.errors import needs
from pulsar_dask.masters.noiseparts import Parts
from pulsar_dask.masters.survey import SURVEY, Glimpse, Survey, extremes

Array = np.ndarray[Any, Any]


def stacked(
    kind: str,
    frames: Sequence[Frame],
    method: Combine,
    *,
    planes: Sequence[str] = ("image",),
    minus: Layer | float = 0.0,
    error: float = 0.0,
    dtype: str | None = None,
    survey: Survey | None = None,
    noise: Noise | Parts | None = None,
    quality: Quality | None = None,
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
    error : float
        Of `minus`, ADU, where that has none of its own for each pixel.
    dtype : str, optional
        The type to which values are rounded, where others take them as a file has them.
    survey : Survey, optional
        How the frames are looked at meanwhile.
    noise : Noise or Parts, optional
        Of a frame, from which errors follow.
    quality : Quality, optional
        By what the plane of that name is told.
    """
    pixels = stack.stack_type(frames)
    combining = combining_holds(frames, method, pixels, planes)
    function = partial(
        combined, method=method, planes=tuple(planes), dtype=dtype, noise=noise, error=error
    )
    if quality is not None:
        function = partial(function, quality=quality)
    combining += parts_hold(frames, pixels.stored.itemsize, noise)
    holds = reading.stack_holds(frames) | combining | _changing(minus, dtype)
    if survey is not None:
        function = partial(function, survey=survey)
        holds += survey.holds()
    return layer(
        kind,
        function,
        tuple(frames),
        minus,
        planes=planes_of(planes),
        reads=tuple(frames),
        holds=holds,
        kernel=loaded.Kernel.of(frames, pixels, method, survey=survey is not None)._replace(
            planes=needs(tuple(planes)),
            levels=(pixels,) if quality is not None else (),
            errors=bool(errors_hold(planes).pixel),
        ),
    )


def combining_holds(
    frames: Sequence[Frame], method: Combine, pixels: PixelType, planes: Sequence[str]
) -> Holds:
    """What combining a tile of frames holds beside the image that it gives, once it is read."""
    area = math.prod(frames[0].shape[-2:])
    worth = loaded.worth_compiling(frames)
    wanted = needs(tuple(planes))
    held = method.holds(len(frames), pixels, area, wanted, compiled=worth) + errors_hold(planes)
    beside = max(0, held.pixel.get("work", 0) - IMAGE.nbytes)
    return replace(held, pixel={**held.pixel, "work": beside}).passing


def _changing(minus: Layer | float, dtype: str | None) -> Holds:
    """What `combined` holds beside the image it gives while it is made of that before."""
    if dtype is None and not isinstance(minus, Layer) and not minus:
        return Holds()
    rounding = np.dtype(dtype).itemsize if dtype not in (None, "float64") else 0
    return Holds({"work": IMAGE.nbytes + rounding}).passing


def combined(
    tile: Tile,
    frames: Sequence[Frame],
    minus: Mapping[str, Array] | float,
    *,
    method: Combine,
    planes: Sequence[str],
    dtype: str | None,
    survey: Survey | None = None,
    noise: Noise | Parts | None = None,
    error: float = 0.0,
    quality: Quality | None = None,
) -> dict[str, Any]:
    """Planes of one tile, each of shape (tile height, tile width); and "survey", if asked for."""
    looking = None
    if survey is not None:
        looking = survey.looking(compiled=loaded.worth_compiling(frames))
    stack, pixels = reading.read_stack(tile, frames, looking)
    # combining may overwrite the stack
    sample = survey.sampled(tile, stack) if survey is not None else stack
    how: dict[str, Any] = {"method": method, "planes": planes, "noise": noise, "quality": quality}
    found: dict[str, Any] = planes_made(tile, frames, stack, pixels, **how)
    own = survey.sampled(tile, found["image"]) if survey is not None else stack
    level = minus if isinstance(minus, (int, float)) else minus["image"]
    lower = not isinstance(level, (int, float)) or bool(level)
    if lower:
        found["image"] = found["image"] - level
    if "uncertainty" in found:
        more: Any = np.float32(error)
        if not isinstance(minus, (int, float)) and "uncertainty" in minus:
            more = minus["uncertainty"].astype("f4", copy=False)
        found["uncertainty"] = np.hypot(found["uncertainty"], more)
    if dtype is not None:
        found["image"] = rounded(found["image"], dtype)
    if survey is not None and looking is not None:
        net = survey.sampled(tile, found["image"]) if lower or dtype is not None else own
        found[SURVEY] = Glimpse(looking.seen, sample, own, net, extremes(level))
    return found


def rounded(values: Array, dtype: str) -> Array:
    """Values as they stand in a file of some type."""
    with np.errstate(over="ignore"):
        same: Array = values.astype(dtype).astype("f8", copy=False)
    return same


def one_image(kind: str, frame: Frame) -> Layer:
    """The values of one image, as a calibrator."""
    return layer(kind, image, frame, also=(frame,), holds=reading.values_holds([frame]))


def image(tile: Tile, frame: Frame) -> dict[str, Array]:
    """The values of a tile, missing ones NaN."""
    return {"image": read_image(frame, tile)}


def images(kind: str, planes: Mapping[str, Frame]) -> Layer:
    """The values of a master that is there, by plane."""
    frames = tuple(planes.values())
    return layer(
        kind,
        planes_there,
        tuple(planes),
        frames,
        planes=tuple(Plane(name) for name in planes),
        also=frames,
        holds=reading.values_holds(frames),
    )


def planes_there(tile: Tile, names: Sequence[str], frames: Sequence[Frame]) -> dict[str, Array]:
    """A tile of the planes of a master, missing values NaN."""
    values = read_values(frames, tile, np.dtype("f8"), counted=None)
    return dict(zip(names, values, strict=True))


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
        holds=reading.values_holds(frames),
        kernel=Kernel.of(frames, frames[0].pixels) if any(f.stored.rice for f in frames) else None,
    )


def cube_tile(tile: Tile, frames: Sequence[Frame], dtype: str) -> dict[str, Array]:
    """One tile of all frames as values, shape (frames, tile height, tile width)."""
    if worth_compiling(frames) and any(f.stored.rice for f in frames):
        importlib.import_module("pulsar_dask.kernels.rice")  # loaded, it decodes on all threads
    return {FRAMES: read_values(frames, tile, np.dtype(dtype))}
