"""What flats are multiplied with, so that they have one level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import OneGroup, printable
from pulsar_dask.frames.frame import Frame

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class FrameLevels:
    """The level of some calibrated frames."""

    medians: Array
    """Exact medians, float64, shape (frames, planes), ADU; NaN where all is missing."""
    colours: Array
    """The same of each colour that is scaled apart, shape (frames, planes, colours)."""
    raw: Array
    """Medians of a sample of the raw pixels, same shape."""
    uncorrected: int
    """Listed pixels (over all frames) that have no good neighbour and stay."""


def frame_scales(
    frames: Sequence[Frame], target: float, *levels: FrameLevels, each_lit: bool = False
) -> Array:
    """What each frame is multiplied with.

    Returns
    -------
    ndarray of float64, shape (frames, planes) or (frames, planes, colours)
        The second where colours are scaled apart: each to a level of its own, so that their mean
        ratios stay.

    A colour without light (a narrow filter's, `unlit`) goes with the others: by the mean of their
    factors.

    Raises
    ------
    PulsarError
        A calibrated frame's median is not positive, or that of all of its colours; with `each_lit`
        that of one of them.
    """
    medians = np.concatenate([part.medians for part in levels])
    colours = np.concatenate([part.colours for part in levels])
    dark = unlit(*levels)
    for frame, row, each in zip(frames, medians, colours, strict=True):
        none = dark | np.isnan(each)
        if (row > 0).all() and not (dark.any() and (each_lit or none.all(axis=-1).any())):
            continue
        some, what = (row, "") if not (row > 0).all() else (each, " in one of its colours")
        if what and not (each <= 0).any():
            continue
        raise OneGroup(
            f"{printable(frame.path)}: the median of this flat minus its dark is "
            f"{np.fmin.reduce(some, axis=None):g}{what}, not positive; it is no exposed flat, or "
            "the dark is not its own"
        )
    if not colours.shape[-1]:
        return target / medians
    ratios = colours / medians[..., None]
    # a colour of which a frame has no value says nothing
    known = np.moveaxis(ratios, 0, -1).reshape(-1, len(frames))
    mean = [math.fsum(r := one[one == one]) / max(1, len(r)) for one in known]
    mean_ratios = np.reshape(mean, ratios.shape[1:])
    with np.errstate(divide="ignore"):
        scales: Array = target * mean_ratios / colours
    lit = ~(dark | np.isnan(colours))
    with_others = scales.sum(axis=-1, where=lit) / lit.sum(axis=-1)
    return np.where(dark, with_others[..., None], scales)


def unlit(*levels: FrameLevels) -> Array:
    """Which colours have no light: those whose median is not positive in some frame.

    Returns
    -------
    ndarray of bool, shape (planes, colours)
    """
    dark: Array = np.any(np.concatenate([part.colours <= 0 for part in levels]), axis=0)
    return dark
