"""Which frames are those that are wanted, and why others are passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

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
    if frame.kind is None:
        return "without IMAGETYP"
    if frame.kind == "other":
        return f"of type '{printable(frame.about.label)[:20]}'"
    return f"{frame.kind} frames"
