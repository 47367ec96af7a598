"""Lights in a report: what calibrated each and why, and its level before and after."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, count, printable
from pulsar_dask.formats import reading
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Trace, read_trace
from pulsar_dask.masters.biasleft import sample
from pulsar_dask.masters.figures import times
from pulsar_dask.output.charts import Series, against_time, number
from pulsar_dask.tools.keeps import FAILED, MADE, Lit

#: Rows that tell the level of an image.
ROWS = 16
#: Lights of a group that are shown at once, and reasons that are told of it.
SHOWN, REASONS = 40, 12


_Key = tuple[tuple[tuple[str, str], ...], str]
"""Roles and paths of masters, and what was done with them."""


@dataclass(frozen=True)
class _Told:
    """What is known of a light that is calibrated."""

    lit: Lit
    trace: Trace
    before: float
    after: float


def lights(
    lit: Sequence[Lit], why: Mapping[str, Sequence[str]], odd: set[str], unit: str
) -> dict[str, Any]:
    """All that is told of lights, as data for the page.

    Parameters
    ----------
    lit : sequence of Lit
    why : mapping
        By path of a light, what is to be said of the choice of its masters.
    odd : set of str
        Paths of lights that were warned of.
    unit : str
    """
    told = [_told(one) for one in lit if one.state != FAILED]
    groups: dict[_Key, list[_Told]] = {}
    for one in told:
        groups.setdefault((_masters(one.trace), _steps(one.trace)), []).append(one)
    shown = [_group(*key, some, why, odd) for key, some in groups.items()]
    failed = [{"name": one.name, "why": one.why} for one in lit if one.state == FAILED]
    return {
        "unit": unit,
        "groups": shown,
        "failed": failed,
        "charts": list(_charts(told, odd, unit)),
    }


def _told(one: Lit) -> _Told:
    assert one.light is not None
    made = scan_frame(one.path)
    trace = read_trace(map(str, read_header(made).get("HISTORY", [])), os.path.dirname(one.path))
    return _Told(one, trace, level(one.light), level(made))


def level(frame: Frame) -> float:
    """The median of some rows; NaN where they cannot be read."""
    try:
        values = sample(frame, ROWS, range(math.prod(frame.shape[:-2])))
    except PulsarError:
        return math.nan
    finally:
        reading.close_files()
    there = values[np.isfinite(values)]
    return float(np.median(there)) if there.size else math.nan


def _masters(trace: Trace) -> tuple[tuple[str, str], ...]:
    """Role and path of what calibrated a light."""
    words = {"list": "list of pixels"}
    return tuple((words.get(s.role, s.role), s.path) for s in trace.sources if s.role != "input")


def _steps(trace: Trace) -> str:
    return "; ".join(map(str, trace.steps))


def _group(
    masters: Sequence[tuple[str, str]],
    steps: str,
    some: Sequence[_Told],
    why: Mapping[str, Sequence[str]],
    odd: set[str],
) -> dict[str, Any]:
    """Lights that were calibrated by the same."""
    rows = [
        {
            "name": printable(one.lit.name),
            "made": _other_name(one.lit),
            "state": "" if one.lit.state == MADE else one.lit.state,
            "before": _number(one.before),
            "after": _number(one.after),
            "odd": one.lit.light is not None and one.lit.light.path in odd,
        }
        for one in some
    ]
    said = dict.fromkeys(
        printable(text)
        for one in some
        if one.lit.light is not None
        for text in why.get(one.lit.light.path, ())
    )
    reasons = list(said)[:REASONS]
    if len(said) > REASONS:
        reasons.append(f"and {len(said) - REASONS} more like these")
    return {
        "title": f"{count(len(rows), 'light')} {'by these' if masters else 'without'} masters",
        "masters": [
            (role, f"{printable(os.path.basename(path))}, in {printable(os.path.dirname(path))}")
            for role, path in masters
        ],
        "steps": steps,
        "why": reasons,
        "rows": rows[:SHOWN],
        "more": rows[SHOWN:],
    }


def _other_name(lit: Lit) -> str:
    """Of what was made of it, where that is not its own."""
    name = printable(os.path.basename(lit.path))
    return name if name != printable(lit.name) or lit.state != MADE else ""


def _number(value: float) -> str:
    return number(value) if math.isfinite(value) else "not known"


def _charts(told: Sequence[_Told], odd: set[str], unit: str) -> Iterator[dict[str, str]]:
    """Levels against time."""
    frames = [one.lit.light for one in told if one.lit.light is not None]
    if len(frames) < 3:
        return
    at, label = times(frames)
    marked, names = [f.path in odd for f in frames], [f.name for f in frames]
    for title, values in (("before", [t.before for t in told]), ("after", [t.after for t in told])):
        series = Series(f"Level {title}", unit, np.array(values))
        if svg := against_time(series, at, label, names, marked):
            yield {"title": f"Level {title}, {unit}", "svg": svg}
