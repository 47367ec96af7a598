"""What reading frames holds in memory, whatever their formats: known before a pixel is read."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels import loaded

#: Bytes for each frame once the plan is made: its place in the graph, in the trace, in sums.
FRAME_BYTES = 2_000


def reading_holds(frames: Sequence[Frame]) -> Holds:
    """What reading a tile of some frames as they are stored holds beside its pixels."""
    compiled = loaded.worth_compiling(frames)
    formats: dict[type, list[Frame]] = {}
    for frame in frames:
        formats.setdefault(type(frame.stored), []).append(frame)
    each = (some[0].stored.holds(some, compiled=compiled) for some in formats.values())
    return functools.reduce(operator.or_, each, Holds())


def expanding_bytes(frames: Sequence[Frame], compiled: bool) -> int:
    """What expanding those of some frames that have to be holds in each thread. What one frees,
    the system's allocator keeps for that thread, also where one decodes at a time."""
    each = (f.stored.expanding_bytes(f, compiled=compiled) for f in frames if f.stored.expanded)
    return max(each, default=0)


def most_expanders(frames: Sequence[Frame]) -> int:
    """Threads of which more expand nothing faster."""
    each = [f.stored.expanders for f in frames if f.stored.expanded]
    most = [n for n in each if n is not None]
    useful = len(each) if len(most) < len(each) else max(most, default=1)
    return max(1, min(useful, len(each)))


def sum_bytes(frames: Sequence[Frame], compiled: bool, stretch: int) -> int:
    """What reading some frames for their sums alone holds in each thread, in parts of so many
    bytes or of whole compression tiles and chunks."""
    each = (f.stored.sum_bytes(f, stretch, compiled=compiled) for f in frames)
    return max(expanding_bytes(frames, compiled), 2 * stretch, *each)
