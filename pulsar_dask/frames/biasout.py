"""What the header of a master says of its bias: whether that is out of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.frames.step import Step


class Stated(NamedTuple):
    """What a master dark says of its bias."""

    out: bool | None
    """Whether it is out of it; None: it says nothing."""
    number: float = 0.0
    """What was taken off, ADU."""
    path: str | None = None
    """The file that was."""
    sum: int | None = None
    """DATASUM of that file's pixels."""


def stated(header: Mapping[str, Any], path: str) -> Stated:
    """What a master dark says of its bias."""
    trace = read_trace(map(str, header.get("HISTORY", [])), os.path.dirname(path))
    files = [s for s in trace.sources if s.role == "bias"]
    combined = [
        s.args[0] for s in trace.steps if isinstance(s, Step) and s.verb == "minus combined"
    ]
    numbers = [s.args[0] for s in trace.steps if isinstance(s, Step) and s.verb == "minus number"]
    if combined:
        return Stated(True, path=os.path.join(os.path.dirname(path), combined[0]))
    if files:
        return Stated(True, path=files[0].path, sum=files[0].sum)
    if numbers:
        return Stated(True, float(numbers[0]))
    if (out := flag(header)) is not None:
        return Stated(out)
    if "B" in str(header.get("CALSTAT", "")).upper():
        return Stated(True)
    if trace.steps or trace.sources:
        return Stated(False)
    lines = (str(line).lower() for line in header.get("HISTORY", []))
    if any("bias" in line and ("subtract" in line or "minus" in line) for line in lines):
        return Stated(True)
    return Stated(None)


def flag(header: Mapping[str, Any]) -> bool | None:
    """What BIASSUB alone says."""
    value = header.get("BIASSUB")
    return value if isinstance(value, bool) else None
