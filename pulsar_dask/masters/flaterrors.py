"""The errors of a flat with those of what was subtracted from its frames."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from pulsar_dask.formats.reading import read_values
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.flatgroup import FlatGroup

Array = np.ndarray[Any, Any]


def with_dark(
    flat_tile: Callable[..., dict[str, Any]], tile: Tile, group: FlatGroup, scales: Array
) -> dict[str, Any]:
    """What `flat_tile` makes of a tile, and in its errors those of what was subtracted, which is
    the same in many frames: times the mean of their scales, of shape (frames, planes) or (frames,
    planes, colours)."""
    made = flat_tile(tile, group, scales)
    made["uncertainty"] = _with_dark(made["uncertainty"], tile, group, scales[:, tile.plane])
    return made


def _with_dark(own: Array, tile: Tile, group: FlatGroup, scales: Array) -> Array:
    every = zip(group.frames, itertools.cycle(group.minus), strict=False)
    minus = [one for _, one in every]
    total: Array | float = 0.0
    for one in dict.fromkeys(minus):
        factor = scales[[other == one for other in minus]].sum(axis=0) / len(minus)
        if group.colours is not None:
            y, x = np.ogrid[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            cells = np.array(group.colours.cells)
            factor = factor[cells[y % len(cells), x % len(cells)]]
        for which, error in enumerate(one.errors):
            value: Array | float = 0.0
            if isinstance(error, float):
                value = error
            else:
                value = read_values([error], tile, np.dtype("f8"), counted=None)[0]
            sign = -1 if which and one.cancels else 1
            total = total + sign * (factor * value) ** 2
    found: Array = np.sqrt(own.astype("f8") ** 2 + np.maximum(total, 0)).astype("f4")
    return found
