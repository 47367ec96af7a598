"""What a pixel of a light is expected to count, which is what its noise comes from.

A pixel that is low by chance has few counts of its own: with its noise from those, its error would
be too small just where it is off, and means weighted by such errors come out low.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Standard errors by which a pixel may differ from those around it; beyond, it is something else.
_ALIKE = 3.0


def expected(net: Array, dark: Array | float, step: int, gain: float, read: float) -> Array:
    """Counts above the bias that are expected of pixels, ADU.

    The mean sky of a pixel and its eight neighbours, and the pixel's own dark; its own counts where
    these are no chance about that, as on a star.

    Parameters
    ----------
    net : ndarray
        R - B; missing pixels are NaN, and stay so.
    dark : ndarray or float
        k·D'.
    step : int
        Pixels to the next neighbour of the same colour.
    gain : float
        Electrons per ADU.
    read : float
        Variance of reading a pixel, ADU².
    """
    sky: Array = net - dark
    known = ~np.isnan(sky)
    found = _around(np.where(known, sky, 0.0), step)
    found /= np.maximum(_around(known.astype(np.float64), step), 1)
    found += dark
    alike = np.abs(net - found) <= _ALIKE * np.sqrt(np.maximum(found, 0) / gain + read)
    return np.where(alike, found, net)


def _around(image: Array, step: int) -> Array:
    """The sum of each pixel and the eight at a distance, as far as there are any."""
    rows = image.copy()
    rows[step:] += image[:-step]
    rows[:-step] += image[step:]
    found = rows.copy()
    found[:, step:] += rows[:, :-step]
    found[:, :-step] += rows[:, step:]
    return found
