"""What the coordinates of a cube say of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits

from pulsar_dask.errors import printable, wrong_argument
from pulsar_dask.frames.frame import Frame
from pulsar_dask.output.labels import setting_names


def value_of(cube: xr.DataArray, name: str, i: int) -> Any:
    """What a coordinate says of a frame; None where it says nothing."""
    if name not in cube.coords or cube.coords[name].dims not in (("frame",), ()):
        return None
    value = np.atleast_1d(cube.coords[name].values)
    one = value[i if len(value) > 1 else 0]
    if isinstance(one, (np.datetime64, np.timedelta64)):
        return None if np.isnat(one) else str(one).rstrip("0").rstrip(".")
    if isinstance(one, (float, int, np.number)):
        return None if np.isnan(one) else float(one)
    return str(one) or None


def _stated(cube: xr.DataArray, i: int) -> Iterator[tuple[str, Any]]:
    """Fields of `About` and what coordinates say of them."""
    for field, name in (
        ("kind", "kind"),
        ("exposure", "exposure"),
        ("filter", "filter"),
        ("set_point", "set_temperature"),
        ("temperature", "temperature"),
    ):
        if (value := value_of(cube, name, i)) is not None:
            yield field, value


def labelled(frame: Frame, cube: xr.DataArray, i: int) -> Frame:
    """A frame as the coordinates have it, where they say something else."""
    about, changes = frame.about, dict(_stated(cube, i))
    if changes.get("temperature") == frame.temperature:
        changes.pop("temperature", None)  # that of the set point, where none was measured
    for field in ("exposure", "temperature", "set_point"):
        if field in changes and not isinstance(changes[field], float):
            raise wrong_argument(field, changes[field], "numbers as that coordinate")
    changes = {k: v for k, v in changes.items() if v != getattr(about, k)}
    settings = dict(about.settings)
    for name, setting in setting_names().items():
        value = value_of(cube, name, i)
        said = settings.get(setting.keyword)
        same = (
            value == said
            or value == str(said)
            or (isinstance(said, float) and value == f"{said:.10g}")
        )
        if value is not None and not same:
            settings[setting.keyword] = value
    if settings != dict(about.settings):
        changes["settings"] = tuple(settings.items())
    if "exposure" in changes:
        changes["problem"] = None
    return replace(frame, about=replace(about, **changes)) if changes else frame


#: Cards that say what coordinates do.
_CARDS = {
    "kind": "IMAGETYP",
    "exposure": "EXPTIME",
    "filter": "FILTER",
    "set_point": "SET-TEMP",
    "temperature": "CCD-TEMP",
}


def cards_of(cube: xr.DataArray, i: int) -> fits.Header:
    """A header of what coordinates say of a frame that no file is known of."""
    header = fits.Header()
    for field, value in _stated(cube, i):
        header[_CARDS[field]] = value
    if (date := value_of(cube, "date", i)) is not None:
        header["DATE-OBS"] = date
    for name, setting in setting_names().items():
        value = value_of(cube, name, i)
        if value is None or setting.word == "unit":
            continue
        first, times, second = str(value).partition("x")
        if setting.pair and times:
            header[setting.keyword] = int(first)
            header[setting.keyword.replace("X", "Y")] = int(second)
        else:
            header[setting.keyword] = printable(value) if isinstance(value, str) else value
    if units := cube.attrs.get("units"):
        header["BUNIT"] = str(units)
    return header
