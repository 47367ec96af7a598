"""Darks told apart by their temperature."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pulsar_dask.errors import Remark
from pulsar_dask.frames.frame import Frame

#: °C: set points within are one; a measured value so far from a set point does not hold it; a gap
#: of so much splits what no set point tells apart.
ONE, HELD, GAP = 1.0, 3.0, 3.0
#: °C over which biases and flats of one master, and what calibrates with them, are warned about.
WIDE = 10.0
#: Frames that a gap needs on each side, or this share of them where that is less.
SIDE, SHARE = 5, 0.25


@dataclass(frozen=True)
class Warmth:
    """Darks of one temperature."""

    name: str
    """As it stands in the name of a master: "-10C"."""
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()


def known(frames: Iterable[Frame]) -> list[float]:
    """The temperatures that frames state, in order."""
    return sorted(f.temperature for f in frames if f.temperature is not None)


def apart(frames: Iterable[Frame], most: float) -> bool:
    """Whether frames are of temperatures further apart."""
    values = known(frames)
    return bool(values) and values[-1] - values[0] > most


def range_of(frames: Iterable[Frame]) -> str:
    """From which temperature to which they go, in words."""
    values = known(frames)
    return f"the temperature goes from {values[0]:g} to {values[-1]:g} degC"


def holds(frame: Frame) -> bool:
    """Whether a frame has a set point, and nothing says that it is not held."""
    about = frame.about
    if about.set_point is None:
        return False
    return about.temperature is None or abs(about.temperature - about.set_point) <= HELD


def split(frames: Sequence[Frame]) -> tuple[list[Warmth], list[tuple[Frame, str]]]:
    """Frames by temperature, those of none last; and those that are left out, with the reason.

    Set points that are held make groups; what is farther off its own, where others hold it, is left
    out; other measured values join the nearest, or are split at wide gaps.
    """
    held = [f for f in frames if holds(f)]
    groups: list[list[Frame]] = []
    for frame in sorted(held, key=_set_point):
        if not groups or _set_point(frame) - _set_point(groups[-1][0]) > ONE + 1e-9:
            groups.append([])
        groups[-1].append(frame)
    points = [_set_point(group[0]) for group in groups]
    out: list[tuple[Frame, str]] = []
    rest: list[Frame] = []
    for frame in frames:
        about = frame.about
        if holds(frame) or about.temperature is None:
            continue
        if about.set_point is not None and _of_one(about.set_point, points) is not None:
            what = f"{about.temperature:g} degC where SET-TEMP is {about.set_point:g}"
            out.append((frame, f"{what}, which others hold; ⟦mix⟧ temperature takes them"))
            continue
        near = min(points, key=lambda p: (abs(p - _measured(frame)), p), default=math.inf)
        if abs(near - _measured(frame)) <= HELD:
            groups[points.index(near)].append(frame)
        else:
            rest.append(frame)
    found = [
        Warmth(f"{point:.6g}C", tuple(group), _drift(group))
        for point, group in zip(points, groups, strict=True)
    ]
    found += [_drifting(group) for group in _at_gaps(sorted(rest, key=_measured))]
    found.sort(key=lambda w: (_order(w), w.name))
    if without := [f for f in frames if f.temperature is None]:
        found.append(Warmth("", tuple(without)))
    return found, out


def _set_point(frame: Frame) -> float:
    return frame.about.set_point if frame.about.set_point is not None else math.inf


def _measured(frame: Frame) -> float:
    return frame.about.temperature if frame.about.temperature is not None else math.inf


def _order(warmth: Warmth) -> float:
    return float(warmth.name.removesuffix("C"))


def _of_one(point: float, points: Sequence[float]) -> float | None:
    """The group that a set point belongs to: within 1 °C of its lowest."""
    return next((p for p in points if -1e-9 <= point - p <= ONE + 1e-9), None)


def _at_gaps(frames: list[Frame]) -> list[list[Frame]]:
    """Sorted frames, split at gaps that have enough of them on each side, the widest first."""
    n = len(frames)
    least = min(SIDE, SHARE * n)
    gaps = [
        (_measured(frames[i]) - _measured(frames[i - 1]), -i)
        for i in range(1, n)
        if min(i, n - i) >= least
    ]
    wide = [gap for gap in gaps if gap[0] >= GAP - 1e-9]
    if not wide:
        return [frames] if frames else []
    at = -max(wide)[1]
    return [*_at_gaps(frames[:at]), *_at_gaps(frames[at:])]


def _drifting(frames: Sequence[Frame]) -> Warmth:
    name = f"{math.floor(median(known(frames)) + 0.5):d}C"
    notes: list[str] = list(_drift(frames))
    far = _beyond_gaps(frames)
    if far:
        names = ", ".join(f"{f.name} ({_measured(f):g})" for f in far[:3])
        more = f" and {len(far) - 3} more" if len(far) > 3 else ""
        notes.append(
            Remark(f"far from the temperature of the others: {names}{more}", "temperature")
        )
    points = {f.about.set_point for f in frames} - {None}
    if points:
        some = ", ".join(f"{p:g}" for p in sorted(p for p in points if p is not None))
        text = f"no frame holds its set point (temperature {some} degC was asked for)"
        notes.append(Remark(text, "temperature"))
    return Warmth(name, tuple(frames), tuple(notes))


def _beyond_gaps(frames: Sequence[Frame]) -> list[Frame]:
    """Those on the smaller side of a gap that had too few frames to be split at."""
    far: dict[int, Frame] = {}
    for i in range(1, len(frames)):
        if _measured(frames[i]) - _measured(frames[i - 1]) >= GAP - 1e-9:
            side = frames[:i] if i <= len(frames) - i else frames[i:]
            far.update((id(f), f) for f in side)
    return list(far.values())


def _drift(frames: Sequence[Frame]) -> tuple[str, ...]:
    if not apart(frames, ONE):
        return ()
    return (
        Remark(f"{range_of(frames)}; the dark current differs among the frames", "temperature"),
    )
