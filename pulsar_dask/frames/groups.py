"""Which frames belong together."""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence

from pulsar_dask.errors import PulsarError, printable, warn
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.keywords import shown
from pulsar_dask.frames.naming import EXPOSURE_TOLERANCE, filter_code, filter_meaning

#: Share of an exposure within which two were hardly meant to be told apart.
NEAR = 0.01


def choose(
    frames: Iterable[Frame], kind: str, *, assume_type: bool = False
) -> tuple[list[Frame], dict[str, int]]:
    """Raw frames of one kind, and why the others were passed over: reason and count."""
    chosen: list[Frame] = []
    others: list[Frame] = []
    for frame in frames:
        wanted = frame.kind == kind or (frame.kind is None and assume_type)
        (chosen if wanted and not frame.is_master else others).append(frame)
    return chosen, why_passed(others)


def why_passed(frames: Iterable[Frame]) -> dict[str, int]:
    """Why frames are passed over: reason and count."""
    return dict(Counter(map(why, frames)))


def why(frame: Frame) -> str:
    """Why a frame is passed over, as it is said of several."""
    if frame.is_master:
        return "masters"
    if frame.kind is None:
        return "without IMAGETYP"
    if frame.kind == "other":
        return f"of type '{printable(frame.about.label)[:20]}'"
    return f"{frame.kind} frames"


def by_exposure(
    frames: Sequence[Frame], tolerance: float = EXPOSURE_TOLERANCE
) -> dict[float, list[Frame]]:
    """Frames by exposure in seconds, ascending; exposures within `tolerance` are the same.

    A group goes by the exposure that most of its frames have.

    Raises
    ------
    PulsarError
        A frame has no exposure.
    """
    timed = []
    for frame in frames:
        if frame.exposure is None:
            what = frame.about.problem or "no EXPTIME (nor EXPOSURE) in its header"
            raise PulsarError(
                f"{printable(frame.path)}: {printable(what)}; write the exposure time in "
                "seconds into its header"
            )
        timed.append((frame.exposure, frame))
    groups: list[list[Frame]] = []
    last = None
    for exposure, frame in sorted(timed, key=lambda pair: pair[0]):
        # a hair of room, so that two times written 1 ms apart are within 1 ms
        if last is None or exposure - last > tolerance + 1e-9:
            groups.append([])
        groups[-1].append(frame)
        last = exposure
    named = {}
    for group in groups:
        exposures = Counter(f.exposure for f in group)
        named[float(exposures.most_common(1)[0][0] or 0.0)] = group
    return named


def tolerance_hint(exposures: Iterable[float]) -> str:
    """The ⟦exposure_tolerance⟧ that makes one of exposures that lie close together, if some do.

    >>> tolerance_hint([59.98, 60, 60.01, 120])
    '⟦exposure_tolerance⟧ 0.02 takes exposures so close together as one'
    """
    gaps = [b - a for a, b in itertools.pairwise(sorted(exposures)) if b - a <= NEAR * b]
    if not gaps:
        return ""
    least = math.ceil(max(gaps) * 1000 - 1e-6) / 1000
    return f"⟦exposure_tolerance⟧ {least:g} takes exposures so close together as one"


def by_filter(frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    """Frames by the code of their filter; several spellings of one code are one group.

    Raises
    ------
    PulsarError
        A frame has no FILTER, or two filters would have one name of a master.
    """
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        if frame.filter is None:
            raise PulsarError(f"{printable(frame.path)}: no FILTER in its header; add its name")
        group = groups.setdefault(filter_code(frame.filter), [])
        if group and filter_meaning(str(group[0].filter)) != filter_meaning(frame.filter):
            raise PulsarError(
                f"{printable(group[0].path)} with the filter {shown(group[0].filter)} and "
                f"{printable(frame.path)} with {shown(frame.filter)} would both become "
                f"flat_{filter_code(frame.filter)}.fit; rename one filter in the headers, or make "
                "the flats of each in a folder of their own"
            )
        group.append(frame)
    for code, group in groups.items():
        spellings = sorted({str(f.filter) for f in group})
        if len(spellings) > 1:
            names = ", ".join(map(shown, spellings))
            warn(f"flat_{code}.fit: the filters {names} are taken as one")
    return dict(sorted(groups.items()))


def check_one_exposure(name: str, frames: Sequence[Frame], tolerance: float) -> float:
    """The one exposure of a group of flats, in seconds; else a PulsarError."""
    groups = by_exposure(frames, tolerance)
    if len(groups) > 1:
        lines = []
        for exposure, group in groups.items():
            files = [printable(os.path.basename(f.path)) for f in group]
            more = f" and {len(files) - 5} more" if len(files) > 5 else ""
            lines.append(f"{exposure:g} s: {', '.join(files[:5])}{more}")
        hint = tolerance_hint(groups)
        raise PulsarError(
            f"Inconsistent exposures for {name}: {'; '.join(lines)}. "
            "Put the flats of each exposure into a folder of their own"
            + (f"; {hint}" if hint else "")
        )
    return next(iter(groups))
