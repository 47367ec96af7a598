"""Masters as lazy xarray datasets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.errors import warn
from pulsar_dask.formats.storeformat import MASTER
from pulsar_dask.inputs.numbers import MOST_ADU
from pulsar_dask.masters.calibrated import TARGET_MEDIAN
from pulsar_dask.masters.dark import dark_recipe
from pulsar_dask.masters.darks import gather_darks
from pulsar_dask.masters.flat import flat_recipe
from pulsar_dask.masters.flats import gather_flats
from pulsar_dask.masters.groups import by_size
from pulsar_dask.masters.search import Spec
from pulsar_dask.notebook.arguments import Ask, Asked, asking, check_number, combining
from pulsar_dask.notebook.chosen import combined_frames, warn_of_masters
from pulsar_dask.notebook.lazy import Made, graph_of, lazy_planes, master_of, traced_header
from pulsar_dask.notebook.selected import (
    as_found,
    given,
    given_master,
    one_master,
    pixels_at,
)
from pulsar_dask.output.labels import header_attributes

Array = np.ndarray[Any, Any]


@asking
def median(
    spec: Spec | xr.DataArray, *, kind: str | None = None, **how: Unpack[Asked]
) -> xr.DataArray:
    """The exact median of frames, lazily: what `med` writes.

    Parameters
    ----------
    spec, kind, search, sequence, recursive, hdu, memory, threads
        As for `master`.

    Returns
    -------
    xarray.DataArray
        Dims (y, x) or (plane, y, x); float32, or float64 where a frame has 32- or 64-bit
        integers or 64-bit floats; NaN where no frame has a value.
    """
    return master(spec, kind=kind, **how)[MASTER].rename("median")


@asking
def master(
    spec: Spec | xr.DataArray,
    combine: str = "median",
    *,
    planes: str | Iterable[str] | None = None,
    kind: str | None = None,
    **how: Unpack[Asked],
) -> xr.Dataset:
    """Frames combined, lazily, with planes beside the image: what `med` writes.

    Tiles are computed when somebody wants them: which frames do not belong, `check_frames` tells.

    Parameters
    ----------
    spec : path, iterable of paths, or xarray.DataArray
        As for `open_frames`; or a cube that it gave, from which frames, rows and columns may have
        been chosen (`isel`, `sel`, `where`) or values changed. Masters among raw files are
        passed over; a `PulsarWarning` says so, and where frames differ in their kind, exposure or
        settings.
    combine : str
        How, as ``--combine`` takes it: "median", "mean", …
    planes : str or iterable of str, optional
        What else is wanted of each pixel, as ``--planes`` takes it: "count", the number of values
        used; "all".
    kind, search, sequence, recursive, hdu, memory, threads
        As for `open_frames`.

    Returns
    -------
    xarray.Dataset
        Variable ``master``, and one for each plane, as in the store that `med` writes; dims (y, x)
        or (plane, y, x).

    Raises
    ------
    PulsarError
        As for `open_frames`; no such way to combine, no such plane.
    """
    ask = Ask.of(how)
    method, wanted = combining(combine, planes)
    what = "the master"
    with ask.noting() as notes:
        frames, passed = combined_frames(given(spec, "spec"), kind, ask.search, what, method.name)
        made = master_of(frames, method, wanted, ask, notes)
    warn_of_masters(what, passed)
    return made.assign_coords(pixels_at(spec, made[MASTER].shape))


@asking
def dark_masters(
    spec: Spec | xr.DataArray,
    bias: Spec | float | xr.DataArray | None = None,
    *,
    combine: str = "median",
    planes: str | Iterable[str] | None = None,
    **how: Unpack[Asked],
) -> xr.Dataset:
    """Master darks by exposure, lazily: what `makedark` writes.

    Tiles are computed when somebody wants them: which frames do not belong, `check_frames` tells.

    Parameters
    ----------
    spec : path, iterable of paths, or xarray.DataArray
        A folder, mask, list, files or a cube with dark frames; others in it are passed over.
    bias : number, path, iterable of paths, or xarray.DataArray, optional
        What is subtracted: ADU, a master, or frames to combine.
    combine, planes
        As for `master`; a plane is a variable ``dark120s_count``.
    search, sequence, recursive, hdu, memory, threads
        As for `open_frames`.

    Returns
    -------
    xarray.Dataset
        A float32 variable ``dark120s``, … for each exposure, dims (y, x) or (plane, y, x),
        and ``bias`` where one was combined; one graph, so that computing several reads the
        bias once. See `hot_pixels` for their lists.

    Raises
    ------
    PulsarError
        As for the command; see `gather.gather_darks`.
    """
    ask = Ask.of(how)
    method, wanted = combining(combine, planes)
    with ask.noting() as notes:
        frames, taken = given(spec, "spec"), as_found(given_master(bias, "bias"))
        darks = gather_darks(frames, taken, ask.search, method.name)
        declared = [partial(dark_recipe, some, method) for some in by_size(darks.darks)]
        recipes = [declare(planes=wanted) for declare in declared]
        made = _dataset(recipes, declared, ask, notes, spec)
    if darks.failures.reasons:
        warn(darks.failures.text)
    return made


@asking
def flat_masters(
    spec: Spec | xr.DataArray,
    target: float = TARGET_MEDIAN,
    *,
    dark: str | os.PathLike[str] | float | xr.DataArray | None = None,
    bias: Spec | float | xr.DataArray | None = None,
    hot_pixels: str | os.PathLike[str] | None = None,
    combine: str = "median",
    planes: str | Iterable[str] | None = None,
    **how: Unpack[Asked],
) -> xr.Dataset:
    """Master flats by filter, lazily: what `makeflat` writes.

    Tiles are computed when somebody wants them: which frames do not belong, `check_frames` tells.

    Parameters
    ----------
    spec : path, iterable of paths, or xarray.DataArray
        A folder, mask, list, files or a cube with flat frames; others in it are passed over.
    target : float
        Median to which each frame is scaled, ADU.
    dark : number, path or xarray.DataArray, optional
    hot_pixels : path, optional
        Taken instead of ``dark<exp>.fit`` and ``cosme<exp>.lst``.
    bias : number, path, iterable of paths, or xarray.DataArray, optional
        What is subtracted, too, where it is out of the dark.
    combine, planes
        As for `master`; a plane is a variable ``flat_l_count``.
    search, sequence, recursive, hdu, memory, threads
        As for `open_frames`.

    Returns
    -------
    xarray.Dataset
        A float32 variable ``flat_l``, … for each filter. The first tile that is computed of
        one takes a pass over its frames, for their levels.

    Raises
    ------
    PulsarError
        As for the command; see `gather.gather_flats`.
    """
    ask = Ask.of(how)
    check_number("target", target, "a positive number of ADU, such as 5000", above=1 / MOST_ADU)
    method, wanted = combining(combine, planes)
    with ask.noting() as notes:
        flats = gather_flats(
            given(spec, "spec"),
            dark=one_master(dark, "dark"),
            bias=as_found(given_master(bias, "bias")),
            hot_pixels=hot_pixels,
            search=ask.search,
            memory=ask.memory,
            method=method.name,
        )
        declared = [
            partial(
                flat_recipe,
                dict(some),
                method,
                target=float(target),
                threads=ask.threads or CPU_COUNT,
                calibration=flats.calibration,
            )
            for some in by_size(flats.groups.items(), lambda item: item[1].frames)
        ]
        # nobody is there to be told of a colour without light when a tile is computed
        recipes = [declare(planes=wanted, each_lit=True) for declare in declared]
        made = _dataset(recipes, declared, ask, notes, spec)
    if flats.failures.reasons:
        warn(flats.failures.text)
    return made


def _dataset(
    recipes: Sequence[Recipe],
    declared: Sequence[Callable[..., Recipe]],
    ask: Ask,
    notes: Sequence[str],
    spec: Any,
) -> xr.Dataset:
    """Masters as variables; of those that have another size than the first ones the dims have that
    size in their names."""
    variables = {}
    files = tuple(product.file for recipe in recipes for product in recipe.products)
    for recipe, declare in zip(recipes, declared, strict=True):
        made = Made("", "image", declare, ask.search, tuple(notes), files)
        graph = graph_of(recipe, ask.memory, ask.threads)
        rows, columns = recipe.shape[-2:]
        names = ("plane", "y", "x")
        if recipe is not recipes[0]:
            names = ("plane", f"y{rows}", f"x{columns}")
        dims = names[-len(recipe.shape) :]
        for product in recipe.products:
            header = traced_header(product, ask.search.ways.tolerance)
            for plane, array in lazy_planes(product, graph, made).items():
                name = product.name if plane == "image" else f"{product.name}_{plane}"
                known = header_attributes(header)
                if plane != "image":
                    known["units"] = "1"
                variables[name] = xr.Variable(dims, array, attrs=known)
    return xr.Dataset(variables, pixels_at(spec, recipes[0].shape))
