"""Whether the level of a light tells that its masters are wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pulsar_dask.frames.frame import Array, Frame
from pulsar_dask.masters.biasleft import sample
from pulsar_dask.masters.calibration import Calibration

#: Rows of a light that are looked at.
ROWS = 64


def too_low(light: Frame, c: Calibration, sample_of: Callable[[Frame], Array]) -> str | None:
    """What there is to say of a light that lies below zero once its dark is out, by some of its
    rows: its median below -1 times its noise. A share of negative pixels is no sign, short and
    narrowband lights have up to half of them.

    Parameters
    ----------
    light : Frame
    c : Calibration
    sample_of : callable
        Gives `ROWS` rows of a master.
    """
    if c.dark is None and not c.uses_bias:
        return None
    values = sample(light, ROWS)
    bias = sample_of(c.bias) * c.bias_times if isinstance(c.bias, Frame) else c.bias or 0.0
    if c.uses_bias:
        values = values - bias
    if c.dark is not None:
        dark = sample_of(c.dark) * c.dark_times
        if c.dark_holds_bias and c.uses_bias:
            dark = dark - bias
        values = values - c.scale * dark
    values = values[~np.isnan(values)]
    if not values.size or 2 * np.count_nonzero(values < 0) < values.size:
        return None
    median = float(np.median(values))
    noise = 1.4826 * float(np.median(np.abs(values - median)))
    if median >= 0 or -median <= max(noise, 0.5):
        return None
    return (
        f"{light.name}: without bias and dark its median is {median:.4g} ADU, below zero by "
        f"{-median / max(noise, 0.5):.3g} times its noise; was the bias taken out twice, or is a "
        "master of another gain, offset or temperature?"
    )
