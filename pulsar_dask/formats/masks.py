"""Images that say which pixels are bad, read as lists of them are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, count, printable, reason
from pulsar_dask.formats.reading import read_image
from pulsar_dask.formats.scan import planes_in, scan_frame
from pulsar_dask.frames.planes import MASK
from pulsar_dask.inputs.pixellists import TooMany
from pulsar_dask.kernels.pixels import Grid

Array = np.ndarray[Any, Any]
_ROWS, _PART = 256, 1 << 20


def read_mask(
    path: str, shape: tuple[int, ...], *, most: int, seen: Callable[[bytes], None]
) -> Array:
    """Where a mask (a FITS image of whole numbers, or the mask of a master) is not 0; parameters,
    result and errors are as those of `pixellists.read_list`."""
    frame = planes_in(path).get(MASK.name) or scan_frame(path)
    name, rows = printable(path), shape[-2:]
    if frame.pixels.native.kind not in "iu":
        raise PulsarError(
            f"{name}: no mask, which has whole numbers, 0 where pixels are good", "list"
        )
    if frame.shape != rows:
        there, wanted = (" x ".join(map(str, reversed(s))) for s in (frame.shape, rows))
        raise PulsarError(f"{name}: a mask of {there} pixels, and the image has {wanted}", "list")
    found, number = [np.empty(0, np.int64)], 0
    for _, tile in Grid(rows, _ROWS, rows[1]):
        places = np.flatnonzero(read_image(frame, tile)) + tile.y * rows[1]
        number += len(places)
        found += [places] if number <= most else []
    if 2 * number > rows[0] * rows[1]:
        raise PulsarError(
            f"{name}: {count(number, 'pixel')} of {rows[0] * rows[1]} are not 0; a mask is 0 where "
            "they are good",
            "list",
        )
    if number > most:
        raise TooMany(number)
    try:
        with open(path, "rb") as file:
            while part := file.read(_PART):
                seen(part)
    except OSError as error:
        raise PulsarError(f"{name}: {reason(error)}", "list") from error
    return np.concatenate(found)
