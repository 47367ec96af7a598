"""Whether a calibrated light is there already, made of the same files in the same way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.formats.sums import pixel_sums
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Source, Trace, read_trace
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.output.ours import is_ours


def is_there(
    path: str,
    frame: Frame,
    trace: Trace,
    dtypes: Mapping[str, str],
    sums: Mapping[str, Sums],
    *,
    overwrite: bool,
) -> bool:
    """Whether an output is what would be made of a light: `trace`, of the types of its planes;
    `sums` are those of its masters, by path.

    Raises
    ------
    PulsarError
        It is one of ours, and not a calibration of this light.
    """
    if not os.path.isfile(path) or not is_ours(path):
        return False
    there = scan_frame(path, 0)
    header = read_header(there)
    old = read_trace(map(str, header.get("HISTORY", [])), os.path.dirname(there.path))
    inputs = [os.path.realpath(s.path) for s in old.sources if s.role == "input"]
    if inputs != [os.path.realpath(frame.path)] or old.verb != "calibrated":
        if overwrite:
            return False
        raise PulsarError(
            f"{printable(path)} is there and is no calibration of {frame.name}; it is kept. "
            "Name another output, or add ⟦overwrite⟧",
            "output",
        )
    if str(there.pixels.native) != dtypes["image"] or old.steps != trace.steps:
        return False
    if ("NEXTEND" in header) != (len(dtypes) > 1):
        return False
    known = {**sums, frame.path: pixel_sums(frame)}
    return list(map(_known, old.sources)) == [_known(s, known) for s in trace.sources]


def _known(source: Source, sums: Any = None) -> tuple[Any, ...]:
    known = (sums or {}).get(source.path)
    words = source.sum if known is None else known.words
    return source.role, os.path.realpath(source.path), words
