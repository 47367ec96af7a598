"""What arrays say of themselves: coordinates of frames, units and header as attributes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.units import Unit

from pulsar_dask.frames import settings
from pulsar_dask.frames.about import Value
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.table import Setting, own_table, table

Array = np.ndarray[Any, Any]


def places(shape: Sequence[int]) -> dict[str, Any]:
    """Coordinates of pixels: rows and columns from zero, by which windows of an image are told
    apart and put together."""
    return {d: (d, np.arange(n)) for d, n in zip(("y", "x"), shape[-2:], strict=True)}


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

    degrees = {"units": "deg_C"}  # as astropy and CDS have it
    known: dict[str, Any] = {
        "file": ("frame", [f.stored.origin(f) for f in frames]),
        "date": ("frame", np.array(list(dates()), "datetime64[ns]")),
        "exposure": ("frame", numbers(f.exposure for f in frames), {"units": "s"}),
        "filter": ("frame", [f.filter or "" for f in frames]),
        "temperature": ("frame", numbers(f.temperature for f in frames), degrees),
        "set_temperature": ("frame", numbers(f.about.set_point for f in frames), degrees),
        "kind": ("frame", [f.kind or "" for f in frames]),
    }
    for name, setting in setting_names().items():
        values = [f.about.setting(setting.keyword) for f in frames]
        if name == setting.word or any(value is not None for value in values):
            known.setdefault(name, ("frame", _column(values), {"keyword": setting.keyword}))
    return known


def setting_names() -> dict[str, Setting]:
    """The settings of the table in use by the names of their coordinates: of a word that several
    keywords have ("gain" of GAIN, ISOSPEED, EGAIN) the first has it, others go by themselves. The
    size aside, which is that of the array."""
    found: dict[str, Setting] = {}
    for setting in table().settings:
        if setting.word != "size":
            own = re.sub(r"\W", "_", setting.keyword.lower())
            found[setting.word if setting.word not in found else own] = setting
    return found


def _column(values: Sequence[Value | None]) -> Array:
    """Numbers, NaN where none is stated; or text, where any is."""
    if any(isinstance(value, str) for value in values):
        return np.array(["" if v is None else settings.shown(v) for v in values])
    return np.array([np.nan if v is None else v for v in values], "f8")


def header_attributes(header: fits.Header) -> dict[str, str]:
    """Attributes that any store can keep: units as astropy reads them, where it does, and header, a
    card a line."""
    text = header.tostring(sep="\n", padding=False, endcard=False)
    units = astropy_unit(header.get("BUNIT"))
    return ({} if units is None else {"units": units}) | {"header": text}


def astropy_unit(name: Any) -> str | None:
    """A unit as astropy writes it; None where it knows none of that name.

    >>> astropy_unit("ADU"), astropy_unit("electron / s"), astropy_unit("furlongs")
    ('adu', 'electron / s', None)
    """
    (setting,) = (s for s in own_table().settings if s.keyword == "BUNIT")
    if settings.key(str(name or ""), setting) == setting.absent:
        return "adu"
    try:
        return str(Unit(str(name)))
    except ValueError:
        return None
