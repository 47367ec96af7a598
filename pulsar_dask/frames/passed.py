"""Which frames are those that are wanted, and why others are passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from pulsar_dask.errors import printable
from pulsar_dask.frames.frame import Frame


def raw_frames(frames: Iterable[Frame], kind: str) -> list[Frame]:
    """Those of one kind that are no masters."""
    return [f for f in frames if f.kind == kind and not f.is_master]


def why_passed(frames: Iterable[Frame]) -> dict[str, int]:
    """Why frames are passed over: reason and count."""
    return dict(Counter(map(why, frames)))


def why(frame: Frame) -> str:
    """Why a frame is passed over, as it is said of several."""
    if frame.is_master:
        return "masters"
    if frame.kind == "light" and frame.about.calibrated:
        return "calibrated lights"
    if frame.kind is None:
        return "without IMAGETYP"
    if frame.kind == "other":
        return f"of type '{printable(frame.about.label)[:20]}'"
    return f"{frame.kind} frames"


def without_masters(
    frames: Iterable[Frame], explicit: Container[str] = ()
) -> tuple[list[Frame], list[Frame]]:
    """Frames, and the masters among them that were not meant: those that lie among raw frames,
    unless their paths are `explicit`; masters alone are meant."""
    found = list(frames)
    masters = [f for f in found if f.is_master and f.path not in explicit]
    if len(masters) == len(found):
        return found, []
    passed = {f.path for f in masters}
    return [f for f in found if f.path not in passed], masters
