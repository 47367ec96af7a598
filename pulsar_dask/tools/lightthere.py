"""Calibrated lights that are there already: of what they were made, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Source, Trace, read_trace
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.output.ours import is_ours


@dataclass(frozen=True)
class There:
    """A file that this program wrote."""

    trace: Trace
    dtype: str
    extended: bool
    """Whether it has planes beside its image."""

    @property
    def light(self) -> Source | None:
        """What it is a calibration of; None where it is none."""
        inputs = [s for s in self.trace.sources if s.role == "input"]
        return inputs[0] if len(inputs) == 1 and self.trace.verb == "calibrated" else None

    def is_of(self, light: Frame, sums: Sums) -> bool:
        """Whether it is a calibration of a light: of that file, or of its pixels."""
        own = self.light
        if own is None:
            return False
        same = (own.sum, own.order) == (sums.words, sums.order)
        return same or os.path.realpath(own.path) == os.path.realpath(light.path)

    def same(self, trace: Trace, dtypes: Mapping[str, str], known: Mapping[str, Sums]) -> bool:
        """Whether it was made of the same files, in the same way."""
        as_was = self.dtype == dtypes["image"] and self.trace.steps == trace.steps
        olds = [_known(s, {}) for s in self.trace.sources]
        news = [_known(s, known) for s in trace.sources]
        return as_was and self.extended == (len(dtypes) > 1) and olds == news


def what_is_there(path: str) -> There | None:
    """The file of that path, where there is one that this program wrote."""
    if not os.path.isfile(path) or not is_ours(path):
        return None
    frame = scan_frame(path, 0)
    header = read_header(frame)
    trace = read_trace(map(str, header.get("HISTORY", [])), os.path.dirname(frame.path))
    return There(trace, str(frame.pixels.native), "NEXTEND" in header)


def _known(source: Source, sums: Mapping[str, Sums]) -> tuple[object, ...]:
    known = sums.get(source.key)
    both = (source.sum, source.order) if known is None else (known.words, known.order)
    return source.role, os.path.realpath(source.path), *both
