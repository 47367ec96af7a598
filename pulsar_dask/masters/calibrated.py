"""Calibrated flats: minus the dark, hot pixels corrected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.formats.holding import reading_holds
from pulsar_dask.formats.reading import (
    conversion_bytes,
    read_tile,
    read_values,
    thread_buffer,
    to_values,
)
from pulsar_dask.frames.colour import Colours
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.stack import stored_alike
from pulsar_dask.kernels import loaded, medianfinder
from pulsar_dask.kernels.correct import (
    CORRECTION_BYTES,
    DEFECT_BYTES,
    NEAREST_BYTES,
    Defects,
    correct,
    nearest,
)
from pulsar_dask.kernels.medianfinder import most_kept
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.masters.combined import planes_made
from pulsar_dask.masters.flatgroup import FlatGroup, Minus
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
        for frame in np.unique(stuck[0]):
            places = stuck[1][stuck[0] == frame]
            one = [frames[frame]]
            found = far_neighbours(
                tile.plane,
                places,
                group.defects,
                group.shape,
                lambda window, one=one: _minus_dark(window, group, one, "far neighbours")[0],  # type: ignore[misc]
            )
            stays += int(np.isnan(found).sum())
            y, x = np.divmod(places[~np.isnan(found)], group.shape[-1])
            values[frame, y - window.y, x - window.x] = found[~np.isnan(found)]
    y, x = tile.y - window.y, tile.x - window.x
    return values[:, y : y + tile.height, x : x + tile.width], stays


def flat_tile(
    tile: Tile,
    group: FlatGroup,
    scales: Array,
    *,
    method: Combine,
    planes: Sequence[str] = ("image",),
    survey: Survey | None = None,
    noise: Noise | None = None,
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
    noise : Noise, optional
        Of a scaled frame, from which errors follow.

    Returns
    -------
    dict of ndarray, shape (tile height, tile width); and "survey", if asked for
    """
    shown: list[tuple[Array, tuple[float, float]]] = []

    def look(window: Tile, stack: Array, dark: Array | float) -> None:
        if survey is not None:
            part = tile.y - window.y, tile.x - window.x, *tile.shape
            compiled = loaded.worth_compiling(group.frames)
            shown.append((survey.seen(stack, part, compiled=compiled), extremes(dark)))

    values, _ = calibrated(tile, group, group.frames, counted=tile, look=look)
    scaled = thread_buffer("scaled", values.shape, np.dtype("f8"))
    if group.colours is None:
        np.multiply(values, scales[:, tile.plane, None, None], out=scaled)
    else:
        _scale_colours(values, scales[:, tile.plane], (tile.y, tile.x), group.colours, scaled)
    sample = survey.sampled(tile, scaled).astype("f4") if survey is not None else None
    made: dict[str, Any] = planes_made(
        tile, group.frames, scaled, _FLOAT64, method=method, planes=planes, noise=noise
    )
    if survey is not None and sample is not None:
        master = survey.sampled(tile, made["image"])
        made[SURVEY] = Glimpse(shown[0][0], sample, master, master, shown[0][1])
    return made


def _scale_colours(
    values: Array, scales: Array, origin: tuple[int, int], colours: Colours, out: Array
) -> None:
    """Multiply each pixel by the factor of its colour; `scales` are (frames, colours)."""
    _, height, width = values.shape
    period = colours.period
    first = np.roll(np.array(colours.cells), (-origin[0], -origin[1]), (0, 1))
    rows = np.take(first[:height], np.arange(width) % period, axis=1)
    factors = np.empty(rows.shape)
    for value, scale, scaled in zip(values, scales, out, strict=True):
        np.take(scale, rows, out=factors, mode="clip")  # else it is buffered
        for row, factor in enumerate(factors):
            np.multiply(value[row::period], factor, out=scaled[row::period])


def around(tile: Tile, reach: int, shape: tuple[int, ...]) -> Tile:
    """A tile and the pixels around it, as far as the image goes."""
    rows, columns = shape[-2:]
    y, x = max(0, tile.y - reach), max(0, tile.x - reach)
    height = min(rows, tile.y + tile.height + reach) - y
    width = min(columns, tile.x + tile.width + reach) - x
    return Tile(tile.plane, y, x, height, width)


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
    if loaded.worth_compiling(group.frames):
        for part, minus in parts:
            wide = np.broadcast_to(minus, window.shape)
            medianfinder.subtract(stored[part], pixels, wide, out=values[part])
        return values
    for image, value in zip(stored, values, strict=True):
        value[...] = to_values(image, pixels)
    for part, minus in parts:
        values[part] -= minus
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
        total = read_values([image], window, np.dtype("f8"), counted=None)[0] + total
    return total


def far_neighbours(
    plane: int,
    places: Array,
    defects: Defects,
    shape: tuple[int, ...],
    values_in: Callable[[Tile], Array],
) -> Array:
    """Values of listed pixels whose near neighbours are missing: look ever further out, for all
    at once; NaN where there is none. `values_in` gives the values of a window."""
    y, x = np.divmod(places, shape[-1])
    found = np.full(len(places), np.nan)
    left = np.flatnonzero(defects.rings[np.searchsorted(defects.places, places)])
    reach = max(8, 2 * defects.reach)
    while len(left):
        top, first = int(y[left].min()), int(x[left].min())
        height, width = int(y[left].max()) - top + 1, int(x[left].max()) - first + 1
        window = around(Tile(plane, top, first, height, width), reach, shape)
        values = values_in(window)
        found[left] = nearest(values, (window.y, window.x), defects, y[left], x[left])
        left = left[np.isnan(found[left])]
        if window.shape == shape[-2:]:
            break
        reach *= 4
    return found


def flat_holds(group: FlatGroup, together: int) -> Holds:
    """What `flat_tile` holds beside the combining, and `frame_levels` of so many frames, which
    goes through the same tiles."""
    n, (height, columns) = len(group.frames), group.shape[-2:]
    reach = group.defects.reach if group.defects is not None else 0
    reading = reading_holds(group.reads)
    size = max(f.pixels.stored.itemsize for f in group.frames)
    blocks = [f.stored.block for f in group.reads if not f.stored.expanded]
    low = min(height, max((b[0] for b in blocks), default=1))  # rows of the lowest tile
    around = min(2 * reach, height - low) * columns
    if any(b[1] < columns for b in blocks):  # which may be narrower
        around += 2 * reach * (low + 2 * reach)
    passing = max((sum(p.pixel.values()) for p in reading.phases), default=0)
    window = sum(reading.pixel.values()) + passing
    decoded = (around + 2 * low * columns) * window if around else 0
    listed = len(group.defects.places) if group.defects is not None else 0
    kept = Holds(
        pixel={
            "calibrated frames": 2 * 8 * n,
            "frames": size * n,
            "one colour": 0 if group.colours is None else 8,
        },
        thread={"rows around a tile": around * (8 + size) * n},
        process={f"hot pixels listed for {group.frames[0].path}": listed * DEFECT_BYTES},
    )
    near = most_kept(math.prod(group.shape[-2:]))
    if group.colours is not None:  # each has a finder of its own beside that of all
        near += sum(map(most_kept, group.colours.share(height, columns)))
    period = 0 if group.colours is None else group.colours.period
    conversion = max(NEAREST_BYTES, *(conversion_bytes(frame.pixels) for frame in group.reads))
    passes = Holds(
        pixel={
            "conversion": conversion,
            "dark": 16 if any(len(m.images) > 1 for m in group.minus) else 8,
        },
        thread={
            "rows around a tile, values": around * (conversion + 8) + decoded,
            "values near the median": (together + 2) * 8 * near,
            "factors of the colours": 3 * 8 * period * columns,
            "correction": CORRECTION_BYTES if group.defects else 0,
        },
    )
    return kept + reading + passes.passing
