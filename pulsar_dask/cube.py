"""Frames as a lazy xarray cube, and any layer of tiles as a lazy array."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from astropy.io import fits
from dask.system import CPU_COUNT

from pulsar_dask import pipelines
from pulsar_dask.combine import method as method_of
from pulsar_dask.cubestore import CubeStore
from pulsar_dask.cubestore import write as write_store
from pulsar_dask.engine.graph import Graph
from pulsar_dask.engine.layer import Layer, Plane
from pulsar_dask.engine.make import Executor
from pulsar_dask.engine.plan import Resources, make_plan
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.engine.threads import Threads
from pulsar_dask.flats import TARGET_MEDIAN
from pulsar_dask.frame import Frame
from pulsar_dask.gather import Search, Spec, gather_darks, gather_flats
from pulsar_dask.hotpixels import HOT_PIXELS, HotPixels
from pulsar_dask.master import clean_header, master_header
from pulsar_dask.masters.cube import cube_layer
from pulsar_dask.masters.dark import dark_recipe, stack_product
from pulsar_dask.masters.flat import flat_recipe
from pulsar_dask.memory import budget, process_bytes
from pulsar_dask.scan import scan_frames
from pulsar_dask.spec import at_home, find_inputs
from pulsar_dask.storeread import files_of
from pulsar_dask.tiles import Grid
from pulsar_dask.trace import plain_texts

Array = np.ndarray[Any, Any]


def open_frames(
    spec: Spec,
    *,
    sequence: bool = True,
    recursive: bool = False,
    memory: float | None = None,
    threads: int | None = None,
) -> xr.DataArray:
    """Open frames as a lazy cube; headers are read, pixels are not.

    Parameters
    ----------
    spec : path or iterable of paths
        A folder, a mask, a list (``@list.txt``), files, or one numbered file, which stands
        for its sequence (unless `sequence` is False).
    sequence, recursive : bool
        See `find_inputs`.
    memory : float, optional
        GB that computing on all `threads` may take; bounds the chunks. By default 16, or
        what the machine has.
    threads : int, optional
        Threads that will compute; by default one for each core.

    Returns
    -------
    xarray.DataArray
        Dims (frame, y, x), or (frame, plane, y, x); values in ADU with scaling applied.
        Integers keep their type (uint16 is uint16); where values can be missing they are
        float, missing ones NaN. A chunk is all frames of one tile. Coordinates along
        ``frame``: file, date, exposure (s), filter, temperature (°C), kind. ``attrs``
        holds the units and the first frame's header, a card a line.

    Raises
    ------
    PulsarError
        No file, a damaged file, or frames of different shapes.
    """
    frames = scan_frames(find_inputs(spec, sequence=sequence, recursive=recursive).paths)
    return frames_cube(frames, memory=memory, threads=threads)


def write_cube(
    spec: Spec,
    path: str | os.PathLike[str],
    *,
    sequence: bool = True,
    recursive: bool = False,
    memory: float | None = None,
    threads: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write frames as one compressed Zarr store: what the tool `cube` does.

    On the workers of the active dask client, if there is one, else on threads here. Where a
    run was interrupted, the same call goes on; until it is complete nothing opens the store, so
    that nobody reads zeros where chunks are missing. `open_frames` and every tool take the store as
    their input, and ``xarray.open_zarr`` opens it: variable ``frames`` with the dims and
    coordinates of `open_frames` and each frame's header.

    Parameters
    ----------
    spec, sequence, recursive
        As for `open_frames`.
    path : path
        Ends in ``.zarr``.
    memory : float, optional
        GB that this process may take, or each worker process.
    threads : int, optional
        Threads here, where there is no client.
    overwrite : bool
        Whether a cube of other frames is replaced.

    Raises
    ------
    PulsarError
        No file, a damaged file, frames of different shapes, or a store that is in the way.
    """
    frames = scan_frames(find_inputs(spec, sequence=sequence, recursive=recursive).paths)
    _check_resources(memory, threads)
    store = CubeStore(at_home(path), frames, overwrite=overwrite)
    if not store.complete:
        executor = _active_executor(threads or CPU_COUNT)
        write_store(store, executor, memory=memory, threads=threads or CPU_COUNT)


def _active_executor(threads: int) -> Executor:
    if "distributed" in sys.modules:
        from distributed import default_client

        from pulsar_dask.cluster import Cluster

        with contextlib.suppress(ValueError):
            cluster = Cluster(default_client())
            cluster.check_workers()
            return cluster
    return Threads(threads)


def median(
    spec: Spec,
    *,
    sequence: bool = True,
    recursive: bool = False,
    memory: float | None = None,
    threads: int | None = None,
) -> xr.DataArray:
    """The exact median of frames, lazily: what `med` writes.

    Parameters
    ----------
    spec, sequence, recursive, memory, threads
        As for `open_frames`.

    Returns
    -------
    xarray.DataArray
        Dims (y, x) or (plane, y, x); float32, or float64 where a frame has 32- or 64-bit
        integers or 64-bit floats; NaN where no frame has a value.
    """
    frames = scan_frames(find_inputs(spec, sequence=sequence, recursive=recursive).paths)
    return _master(frames, "median", (), memory, threads)["image"].rename("median")


def master(
    spec: Spec,
    combine: str = "median",
    *,
    planes: Sequence[str] = (),
    sequence: bool = True,
    recursive: bool = False,
    memory: float | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    """Frames combined, lazily, with planes beside the image: what `med` writes.

    Parameters
    ----------
    spec, sequence, recursive, memory, threads
        As for `open_frames`.
    combine : str
        How, as ``--combine`` takes it: "median", "mean", …
    planes : sequence of str
        What else is wanted of each pixel: "count", the number of values used.

    Returns
    -------
    xarray.Dataset
        Variable ``image``, and one for each plane; dims (y, x) or (plane, y, x).
    """
    frames = scan_frames(find_inputs(spec, sequence=sequence, recursive=recursive).paths)
    return _master(frames, combine, planes, memory, threads)


def _master(
    frames: Sequence[Frame],
    combine: str,
    planes: Sequence[str],
    memory: float | None,
    threads: int | None,
) -> xr.Dataset:
    pipelines.check_shapes(frames)
    product = stack_product(
        "master", None, frames, method_of(combine), ("image", *planes), rounds=False
    )
    recipe = Recipe([product])
    arrays = lazy_planes(product, _graph(recipe, memory, threads))
    dims = ("plane", "y", "x")[-len(recipe.shape) :]
    known = attributes(frames[0])
    return xr.Dataset({name: xr.Variable(dims, a, attrs=known) for name, a in arrays.items()})


def dark_masters(
    spec: Spec,
    bias: Spec | float | None = None,
    *,
    combine: str = "median",
    planes: Sequence[str] = (),
    search: Search = Search(),  # noqa: B008
    memory: float | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    """Master darks by exposure, lazily: what `makedark` writes.

    Parameters
    ----------
    spec : path or iterable of paths
        A folder, mask, list or files with dark frames; others in it are passed over.
    bias : number, path or iterable of paths, optional
        What is subtracted: ADU, a master, or frames to combine.
    combine, planes
        As for `master`; a plane is a variable ``dark120s_count``.
    search : Search
        How files are looked for (sequences, folders in folders, frames without IMAGETYP,
        tolerance of exposures).
    memory, threads
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
    darks = gather_darks(spec, bias, search)
    recipe = dark_recipe(darks.groups, darks.bias, method_of(combine), ("image", *planes))
    return _dataset(recipe, search.tolerance, memory, threads)


def flat_masters(
    spec: Spec,
    target: float = TARGET_MEDIAN,
    *,
    dark: str | os.PathLike[str] | float | None = None,
    hot_pixels: str | os.PathLike[str] | None = None,
    combine: str = "median",
    planes: Sequence[str] = (),
    search: Search = Search(),  # noqa: B008
    memory: float | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    """Master flats by filter, lazily: what `makeflat` writes.

    Parameters
    ----------
    spec : path or iterable of paths
        A folder, mask, list or files with flat frames; others in it are passed over.
    target : float
        Median to which each frame is scaled, ADU.
    dark, hot_pixels
        Taken instead of ``dark<exp>.fit`` and ``cosme<exp>.lst``.
    combine, planes
        As for `master`; a plane is a variable ``flat_l_count``.
    search, memory, threads
        As for `dark_masters`.

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
    _check_resources(memory, threads)
    flats = gather_flats(spec, dark=dark, hot_pixels=hot_pixels, search=search, memory=memory)
    recipe = flat_recipe(
        flats.groups,
        method_of(combine),
        target=target,
        threads=threads or CPU_COUNT,
        planes=("image", *planes),
        calibration=flats.calibration,
    )
    return _dataset(recipe, search.tolerance, memory, threads)


def hot_pixels(
    master: xr.DataArray | str | os.PathLike[str], count: int = HOT_PIXELS
) -> xr.Dataset:
    """The highest values of a master: what `makedark` and `make_cosme` list.

    Parameters
    ----------
    master : xarray.DataArray or path
        Dims (y, x) or (plane, y, x); computed chunk by chunk, never held whole. Or the file
        that holds it.
    count : int

    Returns
    -------
    xarray.Dataset
        Variables ``x`` and ``y`` along ``pixel``: int64, from zero, highest value first.
    """
    if isinstance(master, (str, os.PathLike)):
        master = median(master, sequence=False)
    if isinstance(master, xr.Dataset):
        names = ", ".join(map(str, master.data_vars))
        raise TypeError(f"a Dataset of several arrays; give one of them ({names})")
    if not isinstance(master, xr.DataArray):
        raise TypeError(f"{type(master).__name__}; give an xarray.DataArray or a path")
    hot = HotPixels(master.shape, count)
    chunks = master.chunks or tuple((n,) for n in master.shape)
    grid = Grid(master.shape, chunks[-2][0], chunks[-1][0])
    for _, tile in grid:
        rows = {"y": slice(tile.y, tile.y + tile.height), "x": slice(tile.x, tile.x + tile.width)}
        plane = {"plane": tile.plane} if master.ndim == 3 else {}
        hot.write(tile, master.isel(plane | rows).values)
    x, y = hot.positions()
    return xr.Dataset({"x": ("pixel", x), "y": ("pixel", y)})


def _dataset(
    recipe: Recipe, tolerance: float, memory: float | None, threads: int | None
) -> xr.Dataset:
    graph = _graph(recipe, memory, threads)
    dims = ("plane", "y", "x")[-len(recipe.shape) :]
    variables = {}
    for product in recipe.products:
        header = master_header(
            product.frames, kind=product.kind, method=product.method, tolerance=tolerance
        )
        for text in plain_texts(product.trace):
            header.add_history(text)
        for plane, array in lazy_planes(product, graph).items():
            name = product.name if plane == "image" else f"{product.name}_{plane}"
            known = header_attributes(header)
            if plane != "image":
                known["units"] = "1"
            variables[name] = xr.Variable(dims, array, attrs=known)
    return xr.Dataset(variables)


def frames_cube(
    frames: Sequence[Frame], *, memory: float | None = None, threads: int | None = None
) -> xr.DataArray:
    """The cube of frames that were scanned already; see `open_frames`."""
    shape = pipelines.check_shapes(frames)
    layer = cube_layer(frames)
    array = lazy_array(_graph(Recipe((), (layer,)), memory, threads), layer, layer.planes[0])
    return xr.DataArray(
        array,
        dims=("frame", *("plane", "y", "x")[-len(shape) :]),
        coords=coordinates(frames),
        name="frames",
        attrs=attributes(frames[0]),
    )


def lazy_planes(product: Product, graph: Graph) -> dict[str, da.Array]:
    """The planes of a product as dask arrays, of their types in a file."""
    return {
        plane.name: lazy_array(graph, product.layer, plane).astype(product.dtypes[plane.name])
        for plane in product.layer.planes
    }


def lazy_array(graph: Graph, layer: Layer, plane: Plane) -> da.Array:
    """A plane of a layer as a dask array."""
    name, tasks = graph.lazy(layer, plane.name)
    chunks = (*((n,) for n in plane.leading), *graph.grid.chunks)
    return da.Array(tasks, name, chunks, dtype=np.dtype(plane.dtype))


def _graph(recipe: Recipe, memory: float | None, threads: int | None) -> Graph:
    """A recipe over tiles that so many threads can compute at once."""
    _check_resources(memory, threads)
    here = Resources(budget(memory), process_bytes(), threads or CPU_COUNT)
    return Graph(recipe, make_plan(recipe, (), [here]).grid)


def _check_resources(memory: Any, threads: Any) -> None:
    if memory is not None and not isinstance(memory, (int, float, np.number)):
        raise TypeError(f"memory={memory!r}: give gigabytes as a number, such as 2 or 0.5")
    if threads is not None and not isinstance(threads, (int, np.integer)):
        raise TypeError(f"threads={threads!r}: give how many as a whole number, such as 4")


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
        "file": ("frame", files_of(frames)),
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
