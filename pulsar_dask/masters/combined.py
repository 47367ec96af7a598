"""What a method makes of a tile of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.quality import SATURATED, TELEGRAPH, Quality
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.errors import errors
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.kernels.telegraph import PIXEL_BYTES, THREAD_BYTES, seen_of
from pulsar_dask.masters.errors import asked, needs, of_kept
from pulsar_dask.masters.noiseparts import Parts

Array = np.ndarray[Any, Any]


def planes_made(
    tile: Tile,
    frames: Sequence[Frame],
    stack: Array,
    pixels: PixelType,
    *,
    method: Combine,
    planes: Sequence[str],
    noise: Noise | Parts | None = None,
    quality: Quality | None = None,
) -> dict[str, Array]:
    """What a method makes of a tile of frames, in the shape of the tile; and what it need not
    make, as it can be told from that. `noise` is that of a frame, for the errors, where it is
    known; `quality` by what the plane of that name is told."""
    if isinstance(noise, Parts):
        how = {"method": method, "planes": planes, "noise": noise, "quality": quality}
        return _by_parts(tile, frames, stack, pixels, **how)
    wanted, compiled = needs(tuple(planes)), loaded.worth_compiling(frames)
    stack = stack.reshape(len(frames), -1)
    bits = None
    if quality is not None:  # combining may overwrite the stack
        full, two = seen_of(stack, pixels, noise, quality.saturated, compiled=compiled)
        bits = np.multiply(full, SATURATED, dtype=np.int32)
        bits[two] |= TELEGRAPH
    made = dict(method.block(stack, pixels, wanted, compiled=compiled))
    for name in ("count", "low", "high"):
        if name in wanted and name not in made:  # nothing can be missing, nothing is rejected
            made[name] = np.full(
                tile.height * tile.width, len(frames) if name == "count" else 0, np.int32
            )
    if {"std", "uncertainty"} & {*planes}:
        made |= errors(made, **asked(made, method, noise, tuple(planes)))
    if bits is not None and quality is not None:
        made["quality"] = of_kept(made, method, noise, quality) | bits
    return {name: made[name].reshape(tile.shape) for name in planes}


def _by_parts(
    tile: Tile, frames: Sequence[Frame], stack: Array, pixels: PixelType, **how: Any
) -> dict[str, Array]:
    """The same, each part of the sensor by its noise."""
    stack = stack.reshape(len(frames), *tile.shape)
    found: dict[str, Array] = {}
    for rows, columns, noise in how["noise"].within(tile):
        y, x = tile.y + rows.start, tile.x + columns.start
        size = rows.stop - rows.start, columns.stop - columns.start
        part = Tile(tile.plane, y, x, *size)
        own, method = np.ascontiguousarray(stack[:, rows, columns]), how["method"]
        if method.name == "ccdclip":
            method = replace(method, **noise._asdict())
        made = planes_made(part, frames, own, pixels, **{**how, "method": method, "noise": noise})
        for name, values in made.items():
            whole = found.setdefault(name, np.empty(tile.shape, values.dtype))
            whole[rows, columns] = values
    return found


def parts_hold(frames: Sequence[Frame], itemsize: int, noise: Noise | Parts | None) -> Holds:
    """What that holds: the frames of a part of a tile, and what is made of it."""
    if not isinstance(noise, Parts):
        return Holds()
    return Holds(pixel={"frames of a part": len(frames) * itemsize + 16}).passing


def errors_hold(planes: Sequence[str]) -> Holds:
    """What that holds beside the method's own."""
    some = {"std", "uncertainty"} & set(planes)
    held = Holds(pixel={"work": 4 * len(some)}) if some else Holds()
    if "quality" in planes:
        held += Holds({"work": PIXEL_BYTES + 5 * 4}, {"moments": THREAD_BYTES})
    return held
