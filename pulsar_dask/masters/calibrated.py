"""Calibrated flats: minus the dark, hot pixels corrected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.reading import read_image, read_tile, read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.quality import SATURATED, Quality
from pulsar_dask.frames.stack import stored_alike
from pulsar_dask.kernels import medianfinder
from pulsar_dask.kernels.correct import around, correct, corrected, far_neighbours
from pulsar_dask.kernels.flat import LEAST_WIDTH, Window, scale_cells
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.kernels.telegraph import seen_of
from pulsar_dask.masters.combined import planes_made
from pulsar_dask.masters.flatgroup import FlatGroup, Minus
from pulsar_dask.masters.noiseparts import Parts
from pulsar_dask.masters.survey import SURVEY, Glimpse, Survey, extremes

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)
Looker = Callable[[Tile, Array, "Array | float"], None]
#: ADU to which a flat is scaled if nothing else is asked for.
TARGET_MEDIAN = 5000.0


def calibrated(
    tile: Tile,
    group: FlatGroup,
    frames: Sequence[Frame],
    *,
    counted: Tile | None = None,
    look: Looker | None = None,
) -> tuple[Array, int]:
    """Values of a tile minus the dark, listed pixels replaced; `counted` is as for `read_tile`,
    `look` is shown what is read.

    Returns
    -------
    values : ndarray of float64, shape (frames, tile height, tile width)
        In this thread's buffer: the next call overwrites it.
    uncorrected : int
        Listed pixels without any good neighbour, which keep their value.
    """
    reach = group.defects.reach if group.defects is not None else 0
    window = around(tile, reach, group.shape)
    values = _minus_dark(window, group, frames, "calibrated", counted, look)
    stays = 0
    if group.defects is not None:
        stuck = correct(values, (window.y, window.x), group.defects, tile)
        for frame, places, found in _far(stuck, tile.plane, group, frames):
            stays += int(np.isnan(found).sum())
            known = ~np.isnan(found)
            rows, columns = np.divmod(places[known], group.shape[-1])
            values[frame, rows - window.y, columns - window.x] = found[known]
    y, x = tile.y - window.y, tile.x - window.x
    return values[:, y : y + tile.height, x : x + tile.width], stays


def _far(
    stuck: tuple[Array, Array], plane: int, group: FlatGroup, frames: Sequence[Frame]
) -> Iterator[tuple[int, Array, Array]]:
    """For each frame with listed pixels that have no good neighbour in a window: which, and what
    they take from further out, NaN where there is nothing."""
    assert group.defects is not None
    for frame in np.unique(stuck[0]):
        places, one = stuck[1][stuck[0] == frame], [frames[frame]]
        found = far_neighbours(
            plane,
            places,
            group.defects,
            group.shape,
            lambda window, one=one: _minus_dark(window, group, one, "far neighbours")[0],  # type: ignore[misc]
        )
        yield int(frame), places, found


def held_as_stored(group: FlatGroup) -> bool:
    """Whether flats are held as they are stored until a kernel calibrates them."""
    return looked_at(group.frames) != _FLOAT64 and len(group.minus) == 1


def as_stored(group: FlatGroup, method: Combine, planes: Sequence[str]) -> bool:
    """Whether a master flat is made without calibrated frames in memory."""
    simple = hasattr(method, "calibrated") and {*planes} <= {"image", "count"}
    return simple and held_as_stored(group) and group.shape[-1] >= LEAST_WIDTH


def read_window(
    tile: Tile,
    group: FlatGroup,
    frames: Sequence[Frame],
    *,
    counted: Tile | None = None,
    look: Looker | None = None,
) -> tuple[Window, Tile]:
    """A tile and what correcting it needs, as stored, and where that lies; see `calibrated`."""
    at = around(tile, group.defects.reach if group.defects is not None else 0, group.shape)
    pixels = frames[0].pixels
    # a buffer of its own: a look further out, for one pixel, goes through that of others
    stored = thread_buffer("flats", (len(frames), *at.shape), pixels.stored)
    read_tile(frames, at, stored, counted=counted)
    dark = values_of(at, group.minus[0])
    if look is not None:
        look(at, stored, dark)
    wide = dark if isinstance(dark, np.ndarray) else np.full(at.shape, dark)
    return Window(stored, pixels, wide), at


def listed_values(
    window: Window, at: Tile, tile: Tile, group: FlatGroup, frames: Sequence[Frame]
) -> Iterator[tuple[Array, Array, Array, int]]:
    """What the listed pixels of a tile get, some at a time: their rows and columns of the image,
    values of shape (frames, pixels), and how many of these have no good neighbour."""
    if group.defects is None:
        return
    for new in corrected(window, (at.y, at.x), group.defects, tile):
        if not len(new.y):
            continue
        stuck = 0
        for i, there, found in _far(new.stays, tile.plane, group, frames):
            stuck += int(np.isnan(found).sum())
            known = ~np.isnan(found)
            column = np.searchsorted(new.y * group.shape[-1] + new.x, there[known])
            new.values[i, column] = found[known]
        yield new.y, new.x, new.values, stuck


def flat_tile(
    tile: Tile,
    group: FlatGroup,
    scales: Array,
    *,
    method: Combine,
    planes: Sequence[str] = ("image",),
    survey: Survey | None = None,
    noise: Noise | Parts | None = None,
    quality: Quality | None = None,
) -> dict[str, Any]:
    """One tile of a master flat: the scaled calibrated frames, combined.

    Parameters
    ----------
    scales : ndarray of float64, shape (frames, planes) or (frames, planes, colours)
    method : Combine
    planes : sequence of str
        Wanted, "image" first.
    survey : Survey, optional
        How the frames are looked at meanwhile.
    noise : Noise or Parts, optional
        Of a scaled frame, from which errors follow.
    quality : Quality, optional
        By what the plane of that name is told.

    Returns
    -------
    dict of ndarray, shape (tile height, tile width); and "survey", if asked for
    """
    shown: list[tuple[Array, tuple[float, float]]] = []
    saturated: list[Array] = []

    def look(window: Tile, stack: Array, dark: Array | float) -> None:
        if survey is not None:
            part = tile.y - window.y, tile.x - window.x, *tile.shape
            shown.append((survey.seen(stack, part, compiled=True), extremes(dark)))
        if quality is not None:
            flat, at = stack.reshape(len(stack), -1), looked_at(group.frames)
            full, _ = seen_of(flat, at, None, quality.saturated, compiled=True)
            y, x = tile.y - window.y, tile.x - window.x
            own = slice(y, y + tile.height), slice(x, x + tile.width)
            saturated.append(full.reshape(window.shape)[own])

    if tile.width >= LEAST_WIDTH and as_stored(group, method, planes):
        return _as_stored(tile, group, scales, method, planes, survey, look, shown)
    values, _ = calibrated(tile, group, group.frames, counted=tile, look=look)
    scaled = thread_buffer("scaled", values.shape, np.dtype("f8"))
    if group.colours is None:
        np.multiply(values, scales[:, tile.plane, None, None], out=scaled)
    else:
        scale_cells(values, scales[:, tile.plane], (tile.y, tile.x), group.colours.cells, scaled)
    sample = survey.sampled(tile, scaled).astype("f4") if survey is not None else None
    made: dict[str, Any] = planes_made(
        tile,
        group.frames,
        scaled,
        _FLOAT64,
        method=method,
        planes=planes,
        noise=noise,
        quality=quality and replace(quality, saturated=math.inf),
    )
    if saturated:
        made["quality"][saturated[0]] |= SATURATED
    if survey is not None and sample is not None:
        master = survey.sampled(tile, made["image"])
        made[SURVEY] = Glimpse(shown[0][0], sample, master, master, shown[0][1])
    return made


def _as_stored(
    tile: Tile,
    group: FlatGroup,
    scales: Array,
    method: Any,
    planes: Sequence[str],
    survey: Survey | None,
    look: Looker,
    shown: list[tuple[Array, tuple[float, float]]],
) -> dict[str, Any]:
    """`flat_tile` without calibrated frames in memory: only listed pixels and the sample are."""
    window, at = read_window(tile, group, group.frames, counted=tile, look=look)
    cells, scale = np.zeros((1, 1), np.int64), scales[:, tile.plane].reshape(len(scales), -1)
    if group.colours is not None:
        cells = np.roll(np.array(group.colours.cells), (-tile.y, -tile.x), (0, 1))
    origin = tile.y - at.y, tile.x - at.x
    made = method.calibrated(window, (*origin, *tile.shape), scale, cells)
    found: dict[str, Any] = {name: made[name] for name in planes if name in made}

    def scaled(values: Array, y: Array, x: Array) -> Array:
        """Times the factor of their colour, at rows and columns of the tile."""
        product: Array = values * scale[:, cells[y % len(cells), x % len(cells)]]
        return product

    rows, columns = (
        np.empty((0, 0), np.int64)
        if survey is None
        else survey.sampled(tile, np.broadcast_to(axis, tile.shape))
        for axis in np.ogrid[: tile.height, : tile.width]
    )
    sample = window.at(((rows + origin[0]) * at.width + columns + origin[1]).ravel())
    where = (rows * tile.width + columns).ravel()
    for y, x, values, _ in listed_values(window, at, tile, group, group.frames):
        y, x = y - tile.y, x - tile.x
        listed = method.block(scaled(values, y, x), _FLOAT64, tuple(found), compiled=True)
        for name, plane in found.items():
            plane[y, x] = listed[name]
        places = y * tile.width + x
        of_list = np.minimum(np.searchsorted(places, where), len(places) - 1)
        inside = places[of_list] == where
        sample[:, inside] = values[:, of_list[inside]]
    if survey is not None:
        sample = scaled(sample, rows.ravel(), columns.ravel()).reshape(len(scales), *rows.shape)
        master = survey.sampled(tile, found["image"])
        found[SURVEY] = Glimpse(shown[0][0], sample.astype("f4"), master, master, shown[0][1])
    return found


def _minus_dark(
    window: Tile,
    group: FlatGroup,
    frames: Sequence[Frame],
    buffer: str,
    counted: Tile | None = None,
    look: Looker | None = None,
) -> Array:
    values = thread_buffer(buffer, (len(frames), *window.shape), np.dtype("f8"))
    pixels = frames[0].pixels
    parts = [(part, values_of(window, minus)) for part, minus in group.parts(frames)]
    if looked_at(frames) == _FLOAT64:
        read_values(frames, window, np.dtype("f8"), out=values, counted=counted)
        if look is not None:
            look(window, values, parts[0][1])
        for part, minus in parts:
            values[part] -= minus
        return values
    stored = thread_buffer("stack", values.shape, pixels.stored)
    read_tile(frames, window, stored, counted=counted)
    if look is not None:
        look(window, stored, parts[0][1])
    for part, minus in parts:
        wide = np.broadcast_to(minus, window.shape)
        medianfinder.subtract(stored[part], pixels, wide, out=values[part])
    return values


def looked_at(frames: Sequence[Frame]) -> PixelType:
    """How the pixels of flats are held while they are looked at."""
    pixels = frames[0].pixels
    whole = pixels.bitpix in (8, 16, 32) and stored_alike(frames)
    return pixels if whole else _FLOAT64


def values_of(window: Tile, minus: Minus) -> Array | float:
    """What is subtracted from a window of a flat."""
    total: Array | float = minus.constant
    for image in minus.images:
        total = read_image(image, window) + total
    return total
