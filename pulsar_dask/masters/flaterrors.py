"""The errors of a flat with those of what was subtracted from its frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pulsar_dask.formats.reading import read_image
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.flatgroup import FlatGroup, Minus

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
    of_each: dict[Minus, list[Array]] = {}
    for part, one in group.parts(group.frames):
        of_each.setdefault(one, []).append(scales[part])
    total: Array | float = 0.0
    for one, some in of_each.items():
        factor = np.concatenate(some).sum(axis=0) / len(group.frames)
        if group.colours is not None:
            y, x = np.ogrid[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            cells = np.array(group.colours.cells)
            factor = factor[cells[y % len(cells), x % len(cells)]]
        for which, error in enumerate(one.errors):
            value = error if isinstance(error, float) else read_image(error, tile)
            sign = -1 if which and one.cancels else 1
            total = total + sign * (factor * value) ** 2
    found: Array = np.sqrt(own.astype("f8") ** 2 + np.maximum(total, 0)).astype("f4")
    return found
