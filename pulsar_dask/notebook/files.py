"""Masters as files: as the tools write them."""

from __future__ import annotations

import importlib
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dask.array as da
import xarray as xr

from pulsar_dask.engine.graph import made_of
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.errors import PulsarError, PulsarWarning, note, told, wrong_argument
from pulsar_dask.frames.layouts import BESIDE, LAYOUTS, planes_for
from pulsar_dask.frames.table import using
from pulsar_dask.inputs.checks import check_switch
from pulsar_dask.inputs.words import as_text
from pulsar_dask.kernels.highest import HOT_PIXELS
from pulsar_dask.masters.judged import surveyed
from pulsar_dask.notebook.arguments import check_number, in_words
from pulsar_dask.notebook.arrayfile import write_array
from pulsar_dask.notebook.executor import active_executor
from pulsar_dask.notebook.lazy import Made
from pulsar_dask.notebook.selected import IMAGE, checked
from pulsar_dask.output.fits_sink import FitsSink

_FITS = re.compile(r"[^/\\]\.(fit|fits|fts)$", re.IGNORECASE)


@in_words
def to_fits(
    master: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    hot_pixels: int | None = HOT_PIXELS,
    layout: str = BESIDE,
    memory: float | None = None,
    threads: int | None = None,
) -> list[str]:
    """Write masters to FITS files, tile by tile: nothing is held whole.

    A lazy master that is as `master`, `median`, `dark_masters` or `flat_masters` gave it is made as
    the tools make it, on the workers of the active dask client or on threads here: with their
    HISTORY, the sums of its inputs, CHECKSUM, and what is to be warned of; but for DATE the bytes
    are theirs. Any other array (changed, computed, an image of lights) is written with the header
    that it has, and HISTORY says that its values were not kept.

    Parameters
    ----------
    master : xarray.DataArray or xarray.Dataset
        Dims (y, x) or (plane, y, x). Of a Dataset each variable; planes (``dark120s_count``) go
        into the file beside their master.
    path : path
        The file, ``.fit``, ``.fits`` or ``.fts``; of a Dataset the folder, in which files have the
        names of variables.
    overwrite : bool
        Whether files of others are replaced.
    hot_pixels : int, optional
        Of a Dataset: how many pixels the list beside a dark holds; None: no lists.
    layout : str
        Where planes go: "beside" the master; "ccddata": into its own file, with uncertainty, mask
        and quality, as ``CCDData.read`` takes them.
    memory : float, optional
        GB that this process may take, or each worker process.
    threads : int, optional
        Threads here, where there is no client.

    Returns
    -------
    list of str
        Paths of the masters.

    Raises
    ------
    PulsarError
        No master, or a file that is in the way; none is written then.
    """
    if memory is not None:
        check_number("memory", memory, "gigabytes as a number, such as 2 or 0.5", above=0)
    if threads is not None:
        check_number("threads", threads, "how many as a whole number, such as 4", low=1)
    if hot_pixels is not None:
        check_number("hot_pixels", hot_pixels, "how many pixels as a whole number", low=0)
    check_switch("overwrite", overwrite)
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise wrong_argument("layout", layout, "'beside' or 'ccddata'")
    path = as_text(path, "path")
    options = _tools("options").Options(
        overwrite=overwrite, layout=layout, memory=memory, threads=threads, quiet=True
    )
    if not isinstance(master, xr.Dataset):
        master = checked(master, "master", IMAGE)
        if os.path.isdir(path) or not _FITS.search(path):
            raise wrong_argument("path", path, "the name of a .fit, .fits or .fts file")
        _write(master, path, options)
        return [path]
    if _FITS.search(path) or os.path.isfile(path):
        raise wrong_argument("path", path, "a folder, as a Dataset becomes a file a variable")
    return _write_all(master, replace(options, output_dir=path), hot_pixels)


def _tools(name: str) -> Any:
    """What the commands have, loaded when something is written."""
    return importlib.import_module(f"pulsar_dask.tools.{name}")


def _write_all(masters: xr.Dataset, options: Any, hot_pixels: int | None) -> list[str]:
    """Masters of a Dataset, those of one recipe side by side."""
    known = {str(name): _made(array) for name, array in masters.data_vars.items()}
    planes = [name for name, made in known.items() if made and made.plane != "image"]
    images = [name for name in known if name not in planes]
    if not images:
        raise PulsarError("⟦master⟧ has no images; give a Dataset of masters", "argument")
    arrays = {name: checked(masters[name], "master", IMAGE) for name in images if not known[name]}
    if arrays:
        _check_plain(options.layout)
    options.make_folder(options.output_dir)
    groups: dict[int, dict[str, Made]] = {}
    for name in images:
        if (made := known[name]) is not None:
            groups.setdefault(id(made.recipe), {})[name] = made
    for some in groups.values():
        wanted = {made.plane for n in planes if (made := known[n]) and made.name in _names(some)}
        recipe = _recipe(some, planes_for(options.layout, ("image", *sorted(wanted))))
        lists = {
            p.name: hot_pixels
            for p in recipe.products
            if p.kind == "dark" and hot_pixels is not None and p.name.startswith("dark")
        }
        (first, *_) = some.values()
        with _telling(first, recipe, options) as ready:
            executor = active_executor(options.used)
            inputs = [frame.path for frame in recipe.frames]
            _tools("masters").make_masters(
                recipe, executor, ready, ready.report(), inputs=inputs, lists=lists
            )
    for name, array in arrays.items():
        write_array(array, options.place(f"{name}.fit"), overwrite=options.overwrite)
    return [options.place(f"{name}.fit") for name in images]


def _names(some: Mapping[str, Made]) -> set[str]:
    return {made.name for made in some.values()}


def _made(array: xr.DataArray) -> Made | None:
    """What an array was made by, where that is a master that was not changed."""
    made = made_of(array.data) if isinstance(array.data, da.Array) else None
    return made if isinstance(made, Made) else None


def _recipe(some: Mapping[str, Made], planes: Sequence[str]) -> Recipe:
    """What makes some masters, under these names, as the tools look at their frames."""
    (made, *_) = some.values()
    with using(made.search.table), warnings.catch_warnings():
        warnings.simplefilter("ignore", PulsarWarning)  # it was said when they were declared
        declared = made.recipe(planes=tuple(planes), surveyed=surveyed)
    by_name: dict[str, Product] = {product.name: product for product in declared.products}
    return Recipe([replace(by_name[one.name], name=name) for name, one in some.items()])


class _telling:
    """What was warned of is in the history of what is made; with a table in use."""

    def __init__(self, made: Made, recipe: Recipe, options: Any) -> None:
        self._made, self._recipe, self._options = made, recipe, options
        self._table, self._told = using(made.search.table), told()

    def __enter__(self) -> Any:
        self._table.__enter__()
        texts = self._told.__enter__()
        names = {product.file for product in self._recipe.products}
        for text in self._made.notes:
            head, colon, rest = text.partition(": ")
            if head == "the master":
                text = f"{min(names)}{colon}{rest}"
            if head in names or head not in self._made.files:
                note(text)
        return replace(self._options, search=self._made.search, warnings=texts)

    def __exit__(self, *error: Any) -> None:
        self._told.__exit__(*error)
        self._table.__exit__(*error)


def _write(master: xr.DataArray, path: str, options: Any) -> None:
    """One master."""
    made = _made(master)
    if made is None:
        _check_plain(options.layout)
        write_array(master, path, overwrite=options.overwrite)
        return
    if made.plane != "image":
        raise PulsarError(
            f"⟦master⟧ is the plane {made.plane} of a master; give the Dataset that it is in, "
            "whose planes go into the file beside the image",
            "argument",
        )
    file = os.path.basename(path)
    name = file if file.lower() != f"{made.name}.fit".lower() else made.name
    recipe = _recipe({name: made}, planes_for(options.layout, ("image",)))
    (product,) = recipe.products
    renamed = replace(made, notes=tuple(_renamed(made, file)))
    with _telling(renamed, recipe, options) as ready:
        how: dict[str, Any] = {"verify": options.verify, "layout": options.layout}
        sink = FitsSink(product, path, tolerance=made.search.ways.tolerance, **how)

        def found(run: Any) -> None:
            tools = _tools("told")
            tools.warn_of_pixels(sink)
            tools.warn_of_stuck(path, product, run)
            tools.warn_of_unlit(path, product, run)

        _tools("options").make_files(
            recipe,
            [sink],
            active_executor(options.used),
            ready,
            ready.report(),
            inputs=[frame.path for frame in recipe.frames],
            found=found,
        )


def _check_plain(layout: str) -> None:
    if layout != BESIDE:
        raise PulsarError(
            "⟦layout⟧: an array that is no master as it was made has no uncertainty; leave it out, "
            "or write the master before it is changed",
            "argument",
        )


def _renamed(made: Made, file: str) -> list[str]:
    """What was warned of a master, by the name that it gets."""
    old = f"{made.name}.fit: "
    return [file + ": " + t.removeprefix(old) if t.startswith(old) else t for t in made.notes]
