"""A method as it is for some frames: what it has to know of them is measured, once, before they are
combined, and stands in the master's HISTORY, so that `verify` need not measure it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.errors import PulsarError, warn
from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import Tile

#: Frames, rows of each and values of a row that are looked at.
_FRAMES, _ROWS, _COLUMNS = 8, 32, 4096


def fitted(method: Combine, frames: Sequence[Frame], *, scaled: bool = False) -> Combine:
    """The method for these frames.

    Parameters
    ----------
    method : Combine
    frames : sequence of Frame
        Of one shape.
    scaled : bool
        Whether they are scaled before they are combined, so that they have no grain.

    Raises
    ------
    PulsarError
        It would leave nothing of so many frames.
    """
    given: Any = method
    if not hasattr(given, "check"):
        return method
    try:
        said = given.check(len(frames))
    except ValueError as error:
        raise PulsarError(str(error)) from None
    if said:
        warn(said, "nothing-rejected")
    if getattr(given, "grain", 0.0) is not None:
        return method
    made: Combine = replace(given, grain=0.0 if scaled else grain(frames))
    return made


def grain(frames: Sequence[Frame]) -> float:
    """The least difference of two values of some frames, where all are whole numbers: 16 for a
    camera of 12 bits whose values are shifted to 16. Else 0.

    It is the greatest common divisor of the differences of a sample: up to 8 frames, of each 32
    rows in adjacent pairs, in which a colour sensor shows all colours.
    """
    rows, columns = frames[0].shape[-2:]
    wide = min(columns, _COLUMNS)
    pairs = max(1, min(rows, _ROWS) // 2)
    starts = sorted({2 * int((i + 0.5) * (rows // 2) / pairs) for i in range(pairs)})
    found, lowest = 0, None
    for k in sorted({int(i * len(frames) / _FRAMES) for i in range(_FRAMES)}):
        for y in starts:
            tile = Tile(0, y, (columns - wide) // 2, min(2, rows - y), wide)
            values = read_values([frames[k]], tile, np.dtype("f8"), counted=None)
            values = values[np.isfinite(values)]
            if not values.size:
                continue
            if (values % 1).any() or np.abs(values).max() > 2**53:
                return 0.0
            if lowest is None:
                lowest = values[0]
            found = int(np.gcd.reduce((values - lowest).astype(np.int64), initial=found))
    return float(found)
