"""Frames as a lazy xarray cube."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor
from pulsar_dask.engine.threads import Threads
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.inputs.words import as_text
from pulsar_dask.masters.search import Search, Spec, check_hdu
from pulsar_dask.masters.stack import cube_layer
from pulsar_dask.notebook.arguments import check_resources
from pulsar_dask.notebook.lazy import graph_of, lazy_array
from pulsar_dask.output.cubestore import CubeStore
from pulsar_dask.output.cubestore import write as write_store
from pulsar_dask.output.header import attributes, coordinates

Array = np.ndarray[Any, Any]


def open_frames(
    spec: Spec,
    *,
    sequence: bool = True,
    recursive: bool = False,
    hdu: int | str | None = None,
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
    hdu : int or str, optional
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
    check_resources(memory, threads)
    check_hdu(hdu)
    search = Search(sequence=sequence, recursive=recursive, hdu=hdu)
    frames = search.frames(spec).frames
    return frames_cube(frames, memory=memory, threads=threads)


def write_cube(
    spec: Spec,
    path: str | os.PathLike[str],
    *,
    sequence: bool = True,
    recursive: bool = False,
    hdu: int | str | None = None,
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
    spec, sequence, recursive, hdu
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
    check_resources(memory, threads)
    check_hdu(hdu)
    path = as_text(path, "path")
    search = Search(sequence=sequence, recursive=recursive, hdu=hdu)
    frames = search.frames(spec).frames
    store = CubeStore(path, frames, overwrite=overwrite)
    if not store.complete:
        executor = _active_executor(threads or CPU_COUNT)
        write_store(store, executor, memory=memory, threads=threads or CPU_COUNT)


def _active_executor(threads: int) -> Executor:
    if "distributed" in sys.modules:
        from distributed import default_client

        from pulsar_dask.engine.cluster import PATIENCE, Cluster

        with contextlib.suppress(ValueError):
            cluster = Cluster(default_client(), PATIENCE)
            cluster.check_workers()
            return cluster
    return Threads(threads)


def frames_cube(
    frames: Sequence[Frame], *, memory: float | None = None, threads: int | None = None
) -> xr.DataArray:
    """The cube of frames that were scanned already; see `open_frames`."""
    shape = stack.check_shapes(frames)
    layer = cube_layer(frames)
    array = lazy_array(graph_of(Recipe((), (layer,)), memory, threads), layer, layer.planes[0])
    return xr.DataArray(
        array,
        dims=("frame", *("plane", "y", "x")[-len(shape) :]),
        coords=coordinates(frames),
        name="frames",
        attrs=attributes(frames[0]),
    )
