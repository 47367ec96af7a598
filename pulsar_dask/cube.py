"""Frames as a lazy xarray cube, and any layer of tiles as a lazy array."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask._task_spec import Task, TaskRef
from dask.system import CPU_COUNT
from dask.tokenize import tokenize

from pulsar_dask import pipelines
from pulsar_dask.frame import Frame
from pulsar_dask.graph import TileGraph
from pulsar_dask.master import clean_header, default_dtype
from pulsar_dask.memory import SLACK, budget, resident
from pulsar_dask.reading import read_values
from pulsar_dask.scan import scan_frames
from pulsar_dask.spec import find_inputs
from pulsar_dask.tiles import Costs, Grid, Tile, plan_tiles

Array = np.ndarray[Any, Any]
Spec = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


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
    shape = pipelines.check_shapes(frames)
    dtype = np.dtype(default_dtype(frames))
    costs = pipelines.median_costs(frames, dtype.itemsize)
    graph = TileGraph(_plan(shape, costs, frames, memory, threads))
    name = pipelines.median_graph(frames, graph)
    array = lazy_array(graph, name, np.dtype("f8")).astype(dtype)
    return xr.DataArray(
        array, dims=("plane", "y", "x")[-len(shape) :], name="median", attrs=attributes(frames[0])
    )


def frames_cube(
    frames: Sequence[Frame], *, memory: float | None = None, threads: int | None = None
) -> xr.DataArray:
    """The cube of frames that were scanned already; see `open_frames`."""
    shape = pipelines.check_shapes(frames)
    dtype = np.result_type(*{f.pixels.native for f in frames})
    n = len(frames)
    costs = Costs(
        per_pixel={"cube": 2 * n * dtype.itemsize, "conversion": 3 * 8},
        stored=n * dtype.itemsize,
        frames=n,
    )
    grid = _plan(shape, costs, frames, memory, threads)
    graph = TileGraph(grid)
    token = tokenize([(f.path, f.size, f.mtime_ns, f.hdu) for f in frames])
    shared = graph.share(f"frames-{token}", tuple(frames))
    name = graph.add(f"cube-{token}", _cube_tile, shared, graph.share(f"dtype-{token}", dtype))
    array = lazy_array(graph, name, dtype, leading=(n,))
    return xr.DataArray(
        array,
        dims=("frame", *("plane", "y", "x")[-len(shape) :]),
        coords=_coordinates(frames),
        name="frames",
        attrs=attributes(frames[0]),
    )


def lazy_array(
    graph: TileGraph, layer: str, dtype: np.dtype[Any], leading: tuple[int, ...] = ()
) -> da.Array:
    """A layer of a graph as a dask array.

    `leading` are the lengths of axes that each tile has before those of the image.
    """
    name = f"{layer}-array"
    zeros = (0,) * len(leading)
    axis = len(leading)
    planes = len(graph.grid.shape) == 3
    tasks = dict(graph.tasks())
    for index, _ in graph.grid:
        key = (name, *zeros, *index)
        tasks[key] = Task(key, _with_plane if planes else _same, TaskRef((layer, *index)), axis)
    chunks = (*((n,) for n in leading), *graph.grid.chunks)
    return da.Array(tasks, name, chunks, dtype=dtype)


def _same(tile: Array, axis: int) -> Array:
    return tile


def _with_plane(tile: Array, axis: int) -> Array:
    return np.expand_dims(tile, axis)


def _cube_tile(tile: Tile, frames: Sequence[Frame], dtype: np.dtype[Any]) -> Array:
    return read_values(frames, tile, dtype)


def _plan(
    shape: tuple[int, ...],
    costs: Costs,
    frames: Sequence[Frame],
    memory: float | None,
    threads: int | None,
) -> Grid:
    return plan_tiles(
        shape,
        costs,
        budget=budget(memory),
        threads=threads or CPU_COUNT,
        process=resident() + SLACK,
        block=pipelines.stack_block(frames),
    ).grid


def _coordinates(frames: Sequence[Frame]) -> dict[str, Any]:
    def dates() -> Iterable[np.datetime64]:
        for frame in frames:
            try:
                yield np.datetime64((frame.date or "NaT").rstrip("Z"), "ns")
            except ValueError:
                yield np.datetime64("NaT", "ns")

    def numbers(values: Iterable[float | None]) -> Array:
        return np.array([np.nan if v is None else v for v in values], "f8")

    return {
        "file": ("frame", [f.path for f in frames]),
        "date": ("frame", np.array(list(dates()), "datetime64[ns]")),
        "exposure": ("frame", numbers(f.exposure for f in frames), {"units": "s"}),
        "filter": ("frame", [f.filter or "" for f in frames]),
        "temperature": ("frame", numbers(f.temperature for f in frames), {"units": "degC"}),
        "kind": ("frame", [f.kind or "" for f in frames]),
    }


def attributes(frame: Frame) -> dict[str, str]:
    """Units and header of a frame, as attributes that any store can keep."""
    header = clean_header(frame)
    return {
        "units": str(header.get("BUNIT", "ADU")),
        "header": header.tostring(sep="\n", padding=False, endcard=False),
    }
