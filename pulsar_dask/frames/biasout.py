"""What the header of a master says of its bias: whether that is out of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.frames.step import Step


def stated(header: Mapping[str, Any], path: str) -> tuple[bool | None, float, str | None]:
    """What a master dark says of its bias: whether it is out of it (None: it says nothing), a
    number that was taken off, and the path of the file that was."""
    trace = read_trace(map(str, header.get("HISTORY", [])), os.path.dirname(path))
    files = [s.path for s in trace.sources if s.role == "bias"]
    combined = [
        s.args[0] for s in trace.steps if isinstance(s, Step) and s.verb == "minus combined"
    ]
    numbers = [s.args[0] for s in trace.steps if isinstance(s, Step) and s.verb == "minus number"]
    if combined:
        return True, 0.0, os.path.join(os.path.dirname(path), combined[0])
    if files:
        return True, 0.0, files[0]
    if numbers:
        return True, float(numbers[0]), None
    if (out := flag(header)) is not None:
        return out, 0.0, None
    if "B" in str(header.get("CALSTAT", "")).upper():
        return True, 0.0, None
    if trace.steps or trace.sources:
        return False, 0.0, None
    lines = (str(line).lower() for line in header.get("HISTORY", []))
    if any("bias" in line and ("subtract" in line or "minus" in line) for line in lines):
        return True, 0.0, None
    return None, 0.0, None


def flag(header: Mapping[str, Any]) -> bool | None:
    """What BIASSUB alone says."""
    value = header.get("BIASSUB")
    return value if isinstance(value, bool) else None
