"""The stretch of pictures: ZScale, as IRAF's display and astropy have it."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Values that are looked at, and how steep the line through them is made.
SAMPLES, CONTRAST = 1000, 0.25
#: Least share, and number, of values that the line goes through; deviations within which they
#: lie; how often it is drawn.
_SHARE, _FEWEST, _WITHIN, _TIMES = 0.5, 5, 2.5, 5


def zscale(values: Array) -> tuple[float, float]:
    """Values that are shown as black and as white.

    Step by step what ``astropy.visualization.ZScaleInterval().get_limits`` does, to the same
    bits; loading that package takes longer than drawing a page.

    Parameters
    ----------
    values : ndarray, one-dimensional
        One or more, all finite.
    """
    samples = np.sort(values[:: int(max(1.0, values.size / SAMPLES))][:SAMPLES])
    n, low, high = len(samples), samples[0], samples[-1]
    x, least = np.arange(n), max(_FEWEST, int(n * _SHARE))
    bad, good, before = np.zeros(n, bool), n, n + 1
    around, slope = np.ones(max(1, int(n * 0.01)), bool), 0.0
    for _ in range(_TIMES):
        if good >= before or good < least:
            break
        slope, level = np.polyfit(x, samples, 1, w=(~bad).astype(int))
        away = samples - (slope * x + level)
        limit = _WITHIN * away[~bad].std()
        bad = np.convolve(bad | (away < -limit) | (away > limit), around, mode="same")
        before, good = good, int((~bad).sum())
    if good >= least:
        middle, centre = float(np.median(samples)), (n - 1) // 2
        low = max(low, middle - (centre - 1) * slope / CONTRAST)
        high = min(high, middle + (n - centre) * slope / CONTRAST)
    return float(low), float(high)
