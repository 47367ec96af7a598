"""What calibrating flats holds."""

from __future__ import annotations

import math

from pulsar_dask.formats.holding import reading_holds
from pulsar_dask.formats.reading import conversion_bytes
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.correct import CORRECTION_BYTES, DEFECT_BYTES, NEAREST_BYTES
from pulsar_dask.kernels.medianfinder import most_kept
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.masters.calibrated import looked_at
from pulsar_dask.masters.flatgroup import FlatGroup


def flat_holds(group: FlatGroup, together: int, *, as_stored: bool) -> Holds:
    """What `flat_tile` holds beside the combining, and `frame_levels` of so many frames, which
    goes through the same tiles; with frames as stored no others are in memory."""
    n, (height, columns) = len(group.frames), group.shape[-2:]
    reach = group.defects.reach if group.defects is not None else 0
    reading = reading_holds(group.reads)
    stored = looked_at(group.frames) != PixelType(-64)  # else they are read as values
    size = stored * max(f.pixels.stored.itemsize for f in group.frames)
    blocks = [f.stored.block for f in group.reads if not f.stored.expanded]
    low = min(height, max((b[0] for b in blocks), default=1))  # rows of the lowest tile
    around = min(2 * reach, height - low) * columns
    beyond = (height - low) * columns
    if any(b[1] < columns for b in blocks):  # which may be narrower
        around += 2 * reach * (low + 2 * reach)
        beyond = height * columns
    passing = max((sum(p.pixel.values()) for p in reading.phases), default=0)
    window = sum(reading.pixel.values()) + passing
    # of whole compression tiles, as far as the image goes
    decoded = min(around + 2 * low * columns, beyond) * window if around else 0
    listed = len(group.defects.places) if group.defects is not None else 0
    each = 0 if group.colours is None else 8
    kept = Holds(
        pixel={
            "calibrated frames": 0 if as_stored else 2 * 8 * n,
            "frames": size * n,
            "values near a level": 8 + each if as_stored else each,
        },
        thread={"rows around a tile": around * (size if as_stored else 8 + size) * n},
        process={f"hot pixels listed for {group.frames[0].path}": listed * DEFECT_BYTES},
    )
    near = most_kept(math.prod(group.shape[-2:]))
    if group.colours is not None:  # each has a finder of its own beside that of all
        near += sum(map(most_kept, group.colours.share(height, columns)))
    period = 0 if group.colours is None else group.colours.period
    conversion = max(NEAREST_BYTES, *(conversion_bytes(frame.pixels) for frame in group.reads))
    passes = Holds(
        pixel={
            "conversion": conversion,
            "errors of the dark": 40 if any(m.errors for m in group.minus) else 0,
            "dark": 16 if any(len(m.images) > 1 for m in group.minus) else 8,
        },
        thread={
            "rows around a tile, values": around * (conversion + 8) + decoded,
            "values near the median": (together + 2) * 8 * near,
            "factors of the colours": 3 * 8 * period * columns,
            "correction": CORRECTION_BYTES if group.defects else 0,
        },
    )
    return kept + reading + passes.passing
