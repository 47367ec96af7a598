"""A master against the one that had its place before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats import reading
from pulsar_dask.formats.reading import read_image
from pulsar_dask.frames.frame import Frame
from pulsar_dask.inputs.pixellists import TooMany, read_list
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.measured import median_of

Array = np.ndarray[Any, Any]
#: Pixels of a list before that are compared.
MOST_LISTED = 1_000_000


@dataclass(frozen=True)
class Before:
    """What is known of the master before."""

    frame: Frame
    level: float
    """Its median, and that of the new one, of the same rows."""
    now: float
    change: float
    """Median of the differences, new minus old."""
    scatter: float
    """Their robust standard deviation."""
    listed: Array | None
    """Places of the pixels of its list, ascending."""


def before(old: Frame, list_: str | None, sample: Array, step: int) -> Before | None:
    """Compare every so many rows of a master with those of the one before.

    Parameters
    ----------
    old : Frame
    list_ : str or None
        The list of its hottest pixels.
    sample : ndarray
        Every `step`-th row of each plane of the new one.
    step : int
    """
    rows, columns = old.shape[-2:]
    planes = old.shape[0] if len(old.shape) == 3 else 1
    places = [(plane, y) for plane in range(planes) for y in range(0, rows, step)]
    if len(places) != len(sample) or sample.shape[-1] != columns:
        return None
    try:
        there = np.concatenate(
            [read_image(old, Tile(plane, y, 0, 1, columns)) for plane, y in places]
        )
    except PulsarError:  # damaged: nothing can be said of it
        return None
    finally:
        reading.close_files()
    away = sample - there
    known = np.isfinite(away)
    if not known.any():
        return None
    away = away[known]
    change = median_of(away)
    return Before(
        old,
        median_of(there[known]),
        median_of(sample[known]),
        change,
        1.4826 * median_of(np.abs(away - change)),
        _listed(list_, old.shape),
    )


def _listed(path: str | None, shape: tuple[int, ...]) -> Array | None:
    if path is None or not os.path.isfile(path):
        return None
    try:
        return read_list(path, shape, most=MOST_LISTED)
    except (PulsarError, TooMany):
        return None


def came_and_went(now: Array, old: Array) -> tuple[Array, Array]:
    """Places of pixels that are listed now and were not, and the other way round; hottest first
    where `now` is."""
    came = now[~np.isin(now, old)]
    return came, old[~np.isin(old, now)]
