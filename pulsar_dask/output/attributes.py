"""Headers and what is known of frames, as attributes and coordinates of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask.frames.frame import Frame
from pulsar_dask.output.header import clean_header

Array = np.ndarray[Any, Any]


def coordinates(frames: Sequence[Frame]) -> dict[str, Any]:
    """Coordinates along ``frame``."""

    def dates() -> Iterable[np.datetime64]:
        for frame in frames:
            try:
                yield np.datetime64((frame.date or "NaT").rstrip("Z"), "ns")
            except ValueError:
                yield np.datetime64("NaT", "ns")

    def numbers(values: Iterable[float | None]) -> Array:
        return np.array([np.nan if v is None else v for v in values], "f8")

    return {
        "file": ("frame", [f.stored.origin(f) for f in frames]),
        "date": ("frame", np.array(list(dates()), "datetime64[ns]")),
        "exposure": ("frame", numbers(f.exposure for f in frames), {"units": "s"}),
        "filter": ("frame", [f.filter or "" for f in frames]),
        "temperature": ("frame", numbers(f.temperature for f in frames), {"units": "degC"}),
        "kind": ("frame", [f.kind or "" for f in frames]),
    }


def attributes(frame: Frame) -> dict[str, str]:
    """Units and header of a frame, as attributes that any store can keep."""
    return header_attributes(clean_header(frame))


def header_attributes(header: fits.Header) -> dict[str, str]:
    """Units and header, a card a line."""
    return {
        "units": str(header.get("BUNIT", "ADU")),
        "header": header.tostring(sep="\n", padding=False, endcard=False),
    }
