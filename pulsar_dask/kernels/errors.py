"""Standard deviations of frames and standard errors of pixels of a master, pixel by pixel, of what
else is known of them; which table of numbers that takes, `masters.errors` knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pulsar_dask.kernels.native import Compiled

Array = np.ndarray[Any, Any]
_errors = Compiled("errors_compiled.errors")
COUNTS, VALUES = ("count", "low", "high", "outlier"), ("image", "deviation", "spread")
#: Rows of a table.
ROWS = 7


def errors(
    made: Mapping[str, Array],
    table: Array,
    noise: Sequence[float],
    *,
    by_spread: bool,
    std: bool,
    uncertainty: bool,
) -> dict[str, Array]:
    """Of each pixel, float32; NaN where it cannot be told.

    Parameters
    ----------
    made : mapping
        Of `COUNTS` (int32) and `VALUES` (float64) what is wanted, shape (n,).
    table : ndarray of float64, shape (7, numbers of values)
        By how many values are kept what a deviation is divided by for that of a frame; by how many
        there are at all the error of the value in that of a frame, and what its spread is divided
        by, multiplied by and divided by for the error; by how many are kept the error of their mean
        in that of a frame, and from which square of a deviation on, in that expected, a pixel is
        noisier than it should be.
    noise : sequence of float
        The five numbers of `noise.Noise`; none: errors are by each pixel's own values.
    by_spread : bool
        Whether those are told by "spread", else by "deviation".
    std, uncertainty : bool
        Which are wanted.
    """
    n = len(made["count"])
    none, counts, values = np.empty(0, "f4"), np.zeros(n, np.int32), np.empty(0)
    found = {"std": none, "uncertainty": none}
    found |= {
        name: np.empty(n, "f4")
        for name, wanted in (("std", std), ("uncertainty", uncertainty))
        if wanted
    }
    _errors(
        *(made.get(name, counts) for name in COUNTS),
        *(made.get(name, values) for name in VALUES),
        table,
        by_spread,
        np.array(noise, float),
        found["std"],
        found["uncertainty"],
    )
    return {name: values for name, values in found.items() if values is not none}


def warm_up() -> None:
    """Have it loaded."""
    none: dict[str, Any] = {name: np.empty(0, np.int32) for name in COUNTS}
    none |= {name: np.empty(0) for name in VALUES}
    errors(none, np.empty((ROWS, 1)), (), by_spread=False, std=True, uncertainty=True)
