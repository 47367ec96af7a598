"""Whether the bias is still in a master dark, and what puts it back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pulsar_dask.errors import warn
from pulsar_dask.formats.reading import read_header, read_tile, to_values
from pulsar_dask.frames.frame import Array, Frame
from pulsar_dask.kernels.pixels import Tile

#: Rows of a master that are looked at.
_ROWS = 256
#: Share of pixels at or below zero beyond which a dark has no bias; times the noise of a frame by
#: which its median lies below that of the bias; times the bias above which it is hardly one.
_BELOW_ZERO, _BELOW_BIAS, _ABOVE_BIAS = 0.01, 3.0, 1.5


def seems_without(name: str, dark: Frame, bias: Frame | None) -> bool:
    """Whether a dark that says nothing of its bias has none, by its pixels. It is said where it
    cannot be told.

    Parameters
    ----------
    name : str
        Of the flat, for what is said.
    dark, bias : Frame
        `bias` agrees with it, where there is one.
    """
    without, level, zero = by_pixels(dark, bias)
    if without is not None or level is None:
        return bool(without)
    if bias is None:
        warn(
            f"{name}: {dark.name} does not say whether its bias was subtracted, and no bias is "
            "there to compare with; it is taken to hold it. If it does not, give the bias with "
            "⟦bias⟧",
            "bias-unknown",
        )
        return False
    warn(
        f"{name}: {dark.name} does not say whether its bias was subtracted; with a median of "
        f"{level:g} ADU, the bias {bias.name} of {zero:g}, it is "
        "taken to hold it. If it does not, give the bias with ⟦bias⟧",
        "bias-unknown",
    )
    return False


def by_pixels(dark: Frame, bias: Frame | None) -> tuple[bool | None, float | None, float | None]:
    """Whether the bias is out of a dark, by its pixels; None: it cannot be told. The medians of
    both, where they are known."""
    values = sample(dark)
    known = values[~np.isnan(values)]
    if not known.size:
        return None, None, None
    level = float(np.median(known))
    if np.count_nonzero(known <= 0) > _BELOW_ZERO * known.size:
        return True, level, None
    if bias is None:
        return None, level, None
    other = sample(bias)
    zero = float(np.nanmedian(other))
    difference = values - other
    spread = float(np.nanmedian(np.abs(difference - np.nanmedian(difference))))
    noise = 1.4826 * spread * max(1.0, _frames(dark)) ** 0.5
    if level < zero - _BELOW_BIAS * noise:
        return True, level, zero
    return (None if level > _ABOVE_BIAS * zero else False), level, zero


def _frames(dark: Frame) -> float:
    header = read_header(dark)
    counts = (header.get(keyword) for keyword in ("NCOMBINE", "STACKCNT"))
    return next((float(n) for n in counts if isinstance(n, (int, float))), 1.0)


def sample(image: Frame, count: int = _ROWS, planes: Sequence[int] = (0,)) -> Array:
    """Values of so many rows of planes of an image, the same of each of that shape."""
    rows, columns = image.shape[-2:]
    chosen: Sequence[int] = np.unique(
        np.linspace(0, rows - 1, min(rows, count)).astype(int)
    ).tolist()
    places = [(plane, y) for plane in planes for y in chosen]
    stored = np.empty((len(places), 1, columns), image.pixels.stored)
    for row, (plane, y) in zip(stored, places, strict=True):
        read_tile([image], Tile(plane, y, 0, 1, columns), row[None], counted=None)
    return to_values(stored, image.pixels).astype(np.float64).ravel()
