"""Calibrated lights as a lazy xarray cube."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Unpack

import dask.array as da
import xarray as xr

from pulsar_dask.engine.graph import Graph
from pulsar_dask.frames import stack
from pulsar_dask.frames.colour import colours_of
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.stack import default_dtype
from pulsar_dask.frames.table import using
from pulsar_dask.inputs.checks import check_switch
from pulsar_dask.inputs.words import as_text, as_texts
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.light import light_recipe
from pulsar_dask.masters.lightband import Light
from pulsar_dask.masters.lightfit import fit
from pulsar_dask.masters.lightmasters import Wanted
from pulsar_dask.masters.search import Found, Spec, is_number
from pulsar_dask.notebook.arguments import Ask, Asked, asking, check_number
from pulsar_dask.notebook.lazy import graph_of, lazy_planes
from pulsar_dask.notebook.selected import given, one_master, pixels_at
from pulsar_dask.output.header import clean_header
from pulsar_dask.output.labels import coordinates, header_attributes

Path = str | os.PathLike[str]


@asking
def calibrate(
    cube: xr.DataArray | Spec,
    *,
    dark: Path | xr.DataArray | None = None,
    bias: Path | float | xr.DataArray | None = None,
    flat: Path | xr.DataArray | None = None,
    level: float | None = None,
    cosme: Path | Iterable[Path] = (),
    by_exposure: bool = False,
    no_bias: bool = False,
    bias_in_dark: bool | None = None,
    one_level: bool = False,
    pedestal: float = 0.0,
    **how: Unpack[Asked],
) -> xr.DataArray:
    """Lights calibrated, lazily: what the tool `calibrate` writes.

    Parameters
    ----------
    cube : xarray.DataArray, path or iterable of paths
        Lights: what `open_frames` gives, also where frames, rows and columns were chosen or values
        changed; or takes.
    dark, flat : path or xarray.DataArray, optional
        Masters.
    bias : path, number, expression or xarray.DataArray, optional
        ADU, or "=64*$OFFSET"; by default the one that was taken out of the dark.
    level : float, optional
        ADU to which the flat is scaled; by default its median, of each colour its own.
    cosme : path or iterable of paths
        Lists of bad pixels.
    by_exposure : bool
        Whether the dark is scaled by the exposures.
    no_bias, bias_in_dark, one_level, pedestal
        As the options of the tool.
    search, sequence, recursive, hdu, memory, threads
        As for `open_frames`; of `search` ``mix`` says which settings may differ.

    Returns
    -------
    xarray.DataArray
        Dims (frame, y, x), or (frame, plane, y, x), with the coordinates of `open_frames`; ADU,
        float32, or float64 where a light has 32- or 64-bit integers or 64-bit floats. Masters and
        lists are looked at once, when it is made; pixels of lights are not.

    Raises
    ------
    PulsarError
        As for the command.
    """
    ask = Ask.of(how)
    check_number("pedestal", pedestal, "ADU as a number, such as 100")
    if level is not None:
        check_number("level", level, "a positive number of ADU, such as 5000", above=0)
    for name, switch in (
        ("by_exposure", by_exposure),
        ("no_bias", no_bias),
        ("bias_in_dark", False if bias_in_dark is None else bias_in_dark),
        ("one_level", one_level),
    ):
        check_switch(name, switch)
    search = ask.search
    spec = given(cube, "cube")
    if not isinstance(spec, Found):
        spec = as_texts(spec, "cube")
    lists = as_texts(cosme, "cosme") if not isinstance(cosme, tuple) or cosme else []
    wanted = Wanted(
        search,
        dark=_master(dark, "dark"),
        bias=repr(float(bias)) if is_number(bias) else _master(bias, "bias"),
        no_bias=no_bias,
        bias_in_dark=bias_in_dark,
        flat=_master(flat, "flat"),
        by_exposure=by_exposure,
        plain=Calibration(
            level=level, lists=tuple(lists), one_level=one_level, pedestal=float(pedestal)
        ),
    )
    with using(search.table):
        frames = search.frames(spec).frames
        masters = wanted.masters()
        chosen = [masters.of(frame) for frame in frames]
    shape = stack.check_shapes([*frames, *(f for c in chosen for _, f in c.images)])
    dtype, planes, fits, graph = default_dtype(frames), [], {}, None
    for frame, calibration in zip(frames, chosen, strict=True):
        colours = colours_of(frame)
        key = calibration.formula, tuple(f.path for _, f in calibration.images), colours
        if key not in fits:
            fits[key] = fit(calibration, shape, colours, gigabytes=ask.memory)
        recipe = light_recipe(Light(frame, calibration, fits[key]), frame.name, dtype)
        grid = graph.grid if graph is not None else graph_of(recipe, ask.memory, ask.threads).grid
        graph = Graph(recipe.layers, grid)
        planes.append(lazy_planes(recipe.products[0], graph)["image"])
    dims = ("plane", "y", "x")[-len(shape) :]
    known = header_attributes(clean_header(frames[0]))
    return xr.DataArray(
        da.stack(planes),
        dims=("frame", *dims),
        coords=coordinates(frames) | pixels_at(cube, shape),
        attrs=known,
        name="lights",
    )


def _master(value: Any, role: str) -> Any:
    """A master as a path, or as a frame where it is an array."""
    value = one_master(value, role)
    return value if value is None or isinstance(value, Frame) else as_text(value, role)
