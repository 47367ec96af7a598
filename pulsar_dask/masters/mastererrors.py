"""The standard error of a master that is there, for what is made with it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from pulsar_dask.errors import printable, warn
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import planes_near
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.mastererror import Error
from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.frames.step import Step
from pulsar_dask.frames.written import as_number
from pulsar_dask.masters.errors import median_factor


def error_of(master: Frame) -> Error:
    """The plane in the file of a master, or beside it; where there is none, what its HISTORY says
    of the noise of a frame, at its median level, by how many were combined; else 0, which is told.
    """
    name = os.path.basename(master.path)
    header = read_header(master) if os.path.exists(master.path) else None
    if header is None:  # it is yet to be made
        return 0.0
    plane = planes_near(master).get("uncertainty") if master.is_master else None
    if plane is not None and plane.shape == master.shape:
        theirs = read_header(plane).get("HISTORY", [])
        if list(map(str, theirs)) == list(map(str, header.get("HISTORY", []))):
            return plane
        warn(
            f"{plane.name} is of another {printable(name)} than the "
            "one that lies beside it, so errors are not taken from it",
            "errors",
        )
    steps = read_trace(map(str, header.get("HISTORY", [])), os.path.dirname(master.path)).steps
    known = [
        step.args[-1][0]
        for step in steps
        if isinstance(step, Step) and step.verb.startswith("noise")
    ]
    n = as_number(header.get("NCOMBINE"))
    if known and n:
        method = str(header.get("COMBMETH", "median")).lower()
        factor = float(median_factor(np.array(int(n)))) if method.startswith("median") else 1.0
        variance = sum(known) / len(known)
        return float(f"{factor * math.sqrt(variance / n):.6g}")
    warn(
        f"errors are without that of {printable(name)}, which is not known; make it with ⟦planes⟧ "
        "uncertainty",
        "errors",
    )
    return 0.0


def errors_of(masters: Sequence[Frame], known: Mapping[str, Error] | None) -> tuple[Error, ...]:
    """Those of several; `known` are those by the names of masters, where they are not to be looked
    for."""
    if known is None:
        return tuple(map(error_of, masters))
    return tuple(known.get(os.path.basename(master.path), 0.0) for master in masters)
