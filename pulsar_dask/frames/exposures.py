"""Exposures: which are the same, and how they stand in names."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.naming import exposure_text

#: Share of an exposure within which two were hardly meant to be told apart.
NEAR = 0.01


def tolerance(shortest: float, given: float | None = None) -> float:
    """Seconds beyond the shortest of a group within which exposures are the same: 1 %, and 1 ms or
    0.1 %, whichever is more; cameras report 300.0047 and 300.0011.

    >>> [round(tolerance(t), 7) for t in (0.001, 0.05, 0.5, 1, 60)]
    [1e-05, 0.0005, 0.001, 0.001, 0.06]
    """
    return given if given is not None else min(NEAR * shortest, max(0.001, 0.001 * shortest))


def same_exposure(a: float, b: float, given: float | None = None) -> bool:
    """Whether two exposures are the same."""
    # a hair of room, so that two times written 1 ms apart are within 1 ms
    return abs(a - b) <= tolerance(min(a, b), given) + 1e-9


def by_exposure(frames: Iterable[Frame], given: float | None = None) -> list[list[Frame]]:
    """Frames that have an exposure, by it, ascending: each group from its shortest on, never
    chained."""
    groups: list[list[Frame]] = []
    shortest = 0.0
    timed = [(f.exposure, f) for f in frames if f.exposure is not None]
    for exposure, frame in sorted(timed, key=lambda pair: pair[0]):
        if not groups or not same_exposure(shortest, exposure, given):
            groups.append([])
            shortest = exposure
        groups[-1].append(frame)
    return groups


def commonest(frames: Sequence[Frame]) -> float:
    """The exposure that most of the frames have, of equally common ones the shortest."""
    counts = Counter(f.exposure for f in frames if f.exposure is not None)
    return min(counts, key=lambda t: (-counts[t], t))


def stems(exposures: Sequence[float]) -> list[str]:
    """How groups of exposures stand in names: in the coarsest of s, ms and µs that is within the
    tolerance, the finer where two would share a name.

    >>> stems([120.0, 300.0047, 0.5, 1.5, 1e-4])
    ['120s', '300s', '500ms', '1500ms', '100us']
    >>> stems([1000.2, 1000.4])
    ['1000200ms', '1000400ms']
    """
    finer = [0] * len(exposures)
    while True:
        names = [name(t, n) for t, n in zip(exposures, finer, strict=True)]
        counts = Counter(names)
        again = [i for i, n in enumerate(names) if counts[n] > 1 and finer[i] < 2]
        if not again:
            return names
        for i in again:
            finer[i] += 1


def name(seconds: float, finer: int = 0) -> str:
    """An exposure as it stands in a name, in units not coarser than s, ms or µs.

    >>> name(300.0047), name(300.0047, 1), name(0.0), name(0.9999)
    ('300s', '300005ms', '0s', '1s')
    """
    for unit in (1, 1000, 1_000_000)[finer:]:
        whole = round(seconds * unit)
        close = abs(seconds - whole / unit) <= tolerance(seconds) + 1e-9
        if unit == 1_000_000 or (whole >= 1 and close) or seconds == 0:
            return exposure_text(whole, unit)
    raise AssertionError("a number of µs is always there")


def hint(exposures: Iterable[float]) -> str:
    """The ⟦exposure_tolerance⟧ that makes one of exposures that lie close together, if some do.

    >>> hint([59.9, 60, 60.1, 120])
    '⟦exposure_tolerance⟧ 0.2 takes exposures so close together as one'
    """
    ordered = sorted(exposures)
    gaps = [b - a for a, b in itertools.pairwise(ordered) if b - a <= NEAR * b]
    if not gaps:
        return ""
    starts = [
        0,
        *(i for i in range(1, len(ordered)) if ordered[i] - ordered[i - 1] > NEAR * ordered[i]),
    ]
    ends = [*(i - 1 for i in starts[1:]), len(ordered) - 1]
    spans = [ordered[b] - ordered[a] for a, b in zip(starts, ends, strict=True)]
    least = math.ceil(max(spans) * 1000 - 1e-6) / 1000
    return f"⟦exposure_tolerance⟧ {least:g} takes exposures so close together as one"
