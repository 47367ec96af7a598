"""What programs are to know of the files that a run made: one place, from the Run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from pulsar_dask.cli.report import Report
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import printable
from pulsar_dask.frames import exposures
from pulsar_dask.frames.frame import Frame


def record(
    run: Run, sinks: Sequence[Any], report: Report, told: Mapping[str, Mapping[str, Any]]
) -> None:
    """Tell of each file of a run that has its name by now; `told` are figures by product."""
    if report.dry:
        _record_planned(run, sinks, report)
        return
    for sink in sinks:
        for path, file in sink.files().items():
            if file is not None:
                report.know("products", _file(os.path.abspath(path), sink, run, report, told))


def _record_planned(run: Run, sinks: Sequence[Any], report: Report) -> None:
    for sink in sinks:
        laid = getattr(sink, "laid", {})
        gone = [path for path in laid if not laid[path]]
        for path in (path for path in sink.paths if path not in gone):
            there = {"replaces": os.path.lexists(path)}
            report.know("planned", _file(os.path.abspath(path), sink, run, report, {}) | there)
        for path in filter(os.path.lexists, gone):
            report.say(f"{printable(path)} would be removed, as a master of before has it")


def _file(
    path: str, sink: Any, run: Run, report: Report, told: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    product: Product | None = getattr(sink, "product", None)
    found: dict[str, Any] = {"path": path, "what": "list", "replaces": path in report.replaced}
    if product is None:  # a list of pixels
        layer = sink.layer
        product = next((p for p in run.recipe.products if p.layer is layer), None)
        found |= {"pixels": sink.lines, "of": product.name if product is not None else None}
        return found
    (laid,) = (types for at, types in sink.laid.items() if os.path.abspath(at) == path)
    planes = "image" not in laid
    return found | {
        "what": "planes" if planes else getattr(sink, "what", "master"),
        "kind": product.kind,
        "name": product.name,
        "group": group_of(product.frames),
        "shape": list(product.frames[0].shape),
        "dtype": None if planes else product.dtype,
        "planes": {name: dtype for name, dtype in laid.items() if name != "image"},
        "frames": [frame.path for frame in product.frames],
        "sources": [{"role": s.role, "path": s.path} for s in product.sources],
        "steps": [str(step) for step in product.steps],
        "figures": dict(told.get(product.name, {})),
        "seconds": round(run.seconds, 3),
    }


def group_of(frames: Sequence[Frame]) -> dict[str, Any]:
    """What frames have in common: null where they differ, or do not say it."""
    timed = [f for f in frames if f.exposure is not None]
    known = [f.temperature for f in frames if f.temperature is not None]
    settings = [set(f.about.settings) for f in frames]
    return {
        "exposure": exposures.commonest(timed) if timed else None,
        "filter": _common([f.filter for f in frames]),
        "temperature": float(median(known)) if known else None,
        "settings": dict(sorted(set.intersection(*settings))),
    }


def _common(values: Sequence[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None
