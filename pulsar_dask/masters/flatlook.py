"""What is found out of the masters before lights are calibrated: the levels of the flat's colours,
and which pixels are bad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, count, printable, warn
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.reading import counting, read_tile, to_values
from pulsar_dask.frames.colour import Cells, Colours, patterns
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.light import FLOAT32, unfit
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.flatgroup import FlatGroup, Minus
from pulsar_dask.masters.levels import frame_levels

Array = np.ndarray[Any, Any]
#: Pixels of a band in which masters are looked at.
_BAND = 1 << 18
#: Pixels that touch each other and are bad in a master: from so many on they are an area, which
#: is not filled from its rim.
AREA = 9
#: Bad pixels of masters that are held.
_MOST = 2_000_000


@dataclass(frozen=True)
class FlatLevels:
    """Medians of a flat, ADU."""

    all: tuple[float, ...]
    """Of each plane."""
    colours: tuple[tuple[float, ...], ...]
    """Of each plane and colour; of a sensor without colours, of each plane."""


def bands(shape: tuple[int, ...]) -> Grid:
    """Bands in which an image is looked at, small enough for any budget."""
    return Grid(shape, max(1, min(shape[-2], _BAND // shape[-1])), shape[-1])


def flat_levels(flat: Frame, colours: Colours | None) -> FlatLevels:
    """The exact medians of a flat over the values that are not missing.

    Raises
    ------
    PulsarError
        That of a plane is not positive, or of all colours.
    """
    group = FlatGroup((flat,), (Minus(),), None, colours)
    found = frame_levels(group, 0, 1, size=bands(flat.shape).height)
    whole = tuple(map(float, found.medians[0]))
    each = found.colours[0] if colours is not None else found.medians[0][:, None]
    levels = tuple(tuple(map(float, plane)) for plane in each)
    known = [v for plane in levels for v in plane if v == v]
    if not all(v > 0 for v in whole) or not any(v > 0 for v in known):
        raise PulsarError(
            f"{printable(flat.path)}: its median is {min(whole):g}, not positive; it is no flat. "
            "Give another with ⟦flat⟧"
        )
    if dark := sum(v <= 0 for v in known):
        what = "1 of its colours has" if dark == 1 else f"{dark} of its colours have"
        text = f"{flat.name}: {what} no light (a narrow filter?); their pixels get no value"
        warn(text, "unlit", frames=(flat.path,))
    return FlatLevels(whole, levels)


def floors_of(levels: FlatLevels, floor: float) -> tuple[tuple[float, ...], ...]:
    """The values up to which a flat is none, of each plane and colour: all of a colour without
    light."""
    return tuple(
        tuple(floor * level if level > 0 else math.inf for level in plane)
        for plane in levels.colours
    )


def bad_places(
    masters: Sequence[Frame],
    flat: Frame | None,
    floors: Sequence[tuple[float, ...]],
    colours: Colours | None,
    shape: tuple[int, ...],
    ledger: Ledger | None = None,
) -> list[tuple[Array, Array]]:
    """Pixels that are bad in the masters of lights, of each plane.

    Parameters
    ----------
    masters : sequence of Frame
        Bias and dark: what is missing in them is bad.
    flat : Frame, optional
    floors : sequence
        What is not above it is bad in the flat, of each plane and colour.
    colours : Colours, optional
    shape : tuple of int
    ledger : Ledger, optional
        Takes the sums of what is read.

    Returns
    -------
    list of (ndarray of int64, ndarray of bool)
        Places ``y * columns + x``, ascending, and whether each lies in an area of fewer than
        `AREA` pixels that touch.
    """
    cells: Cells = colours.cells if colours is not None else ((0,),)
    holed = [f for f in masters if f.pixels.native.kind == "f"]
    planes = shape[0] if len(shape) == 3 else 1
    found: list[list[Array]] = [[] for _ in range(planes)]
    if holed or flat is not None:
        for _, tile in bands(shape):
            bad = np.zeros(tile.shape, bool)
            for master in holed:
                if (values := _values(master, tile, ledger)) is not None:
                    bad |= np.isnan(values)
            floor = floors[tile.plane] if flat is not None else ()
            values = _values(flat, tile, ledger, cells, floor) if flat is not None else None
            if values is not None:
                for rows, columns, colour in patterns(tile, cells):
                    if math.isinf(floor[colour]):
                        continue  # which is no place, but all of them
                    bad[rows, columns] |= ~(values[rows, columns] > floor[colour])
            found[tile.plane].append(np.flatnonzero(bad) + tile.y * shape[-1])
            if sum(map(len, found[tile.plane])) > _MOST:
                what = printable((flat or holed[0]).path)
                raise PulsarError(
                    f"{what}: more than {count(_MOST, 'pixel')} have no value, or one below the "
                    "floor; is it the right master? ⟦flat_floor⟧ moves the floor"
                )
    places = [np.concatenate(some) if some else np.empty(0, np.int64) for some in found]
    return [(some, in_small_areas(some, shape, cells)) for some in places]


def _values(
    frame: Frame,
    tile: Tile,
    ledger: Ledger | None,
    cells: Cells = ((0,),),
    floors: tuple[float, ...] = (-math.inf,),
) -> Array | None:
    """Values of a tile; None where all are there and above their floors."""
    stored = np.empty((1, *tile.shape), frame.pixels.stored)
    with counting(ledger):
        read_tile([frame], tile, stored)
    if frame.pixels == FLOAT32 and not unfit(stored[0], (tile.y, tile.x), cells, floors):
        return None
    return to_values(stored[0], frame.pixels)


def in_small_areas(places: Array, shape: tuple[int, ...], cells: Cells = ((0,),)) -> Array:
    """Whether each place lies in an area of fewer than `AREA` pixels that touch by sides or corners
    within one colour.

    Labels spread from pixel to pixel as often as an area of that size needs; one that has not come
    to rest by then lies in a larger one.
    """
    (rows, columns), pattern, period = shape[-2:], np.array(cells), len(cells)
    lattice = len(np.unique(pattern)) == period**2
    step = period if lattice else 1
    y, x = np.divmod(places, columns)
    starts, ends = [], []
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        ny, nx = y + dy * step, x + dx * step
        there = (ny < rows) & (nx >= 0) & (nx < columns)
        if not lattice:
            there &= pattern[ny % period, nx % period] == pattern[y % period, x % period]
        some = np.flatnonzero(there)
        wanted = (ny * columns + nx)[some]
        at = np.minimum(np.searchsorted(places, wanted), max(0, len(places) - 1))
        some, at = some[hit := places[at] == wanted], at[hit]
        starts.append(some)
        ends.append(at)
    a, b = np.concatenate(starts), np.concatenate(ends)
    label = np.arange(len(places))
    for _ in range(AREA):
        least = label.copy()
        np.minimum.at(least, a, label[b])
        np.minimum.at(least, b, label[a])
        if (least == label).all():
            break
        label = least
    large = np.bincount(label, minlength=len(places)) >= AREA
    apart = label[a] != label[b]
    large[label[a[apart]]] = large[label[b[apart]]] = True
    small: Array = ~large[label]
    return small
