"""Frames as a lazy xarray cube."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.table import using
from pulsar_dask.inputs.checks import check_switch
from pulsar_dask.inputs.words import as_text
from pulsar_dask.masters.search import Spec
from pulsar_dask.masters.stack import cube_layer
from pulsar_dask.notebook.arguments import Ask, Asked, asking
from pulsar_dask.notebook.chosen import chosen, warn_of_mix
from pulsar_dask.notebook.executor import active_executor
from pulsar_dask.notebook.lazy import graph_of, lazy_array
from pulsar_dask.notebook.selected import Cubed
from pulsar_dask.output.cubestore import CubeStore
from pulsar_dask.output.cubestore import write as write_store
from pulsar_dask.output.header import clean_header
from pulsar_dask.output.labels import coordinates, header_attributes, places

Array = np.ndarray[Any, Any]


@asking
def open_frames(spec: Spec, *, kind: str | None = None, **how: Unpack[Asked]) -> xr.DataArray:
    """Open frames as a lazy cube; headers are read, pixels are not.

    Parameters
    ----------
    spec : path or iterable of paths
        A folder, a mask, a list (``@list.txt``), files, or one numbered file, which stands
        for its sequence (unless `sequence` is False).
    kind : str, optional
        "bias", "dark", "flat" or "light": frames of that kind alone, and masters of it only
        where there are no raw ones. Without it all frames, and a `PulsarWarning` where they
        differ in their kind; exposures, filters and settings, which differ
        in a night, are coordinates to select by.
    search : Search, optional
        How frames are looked for and understood: all that the commands have options for.
    sequence, recursive : bool, optional
    hdu : int or str, optional
        In place of what `search` says; see `find_inputs`.
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
        float, missing ones NaN. A chunk is all frames of one tile. Coordinates ``y`` and ``x``
        are rows and columns from zero; along ``frame``: file, date, exposure (s), filter, kind,
        temperature and set_temperature (°C), and a setting each: camera, binning, gain, offset,
        readout, … (NaN or "" where a frame does not state it). ``attrs`` holds the units and the
        first frame's header, a card a line.

    Raises
    ------
    PulsarError
        No file, a damaged file, or frames of different shapes.
    """
    ask = Ask.of(how)
    frames = chosen(spec, kind, ask.search)
    warn_of_mix("the cube", frames, ask.search, "cube")
    with using(ask.search.table):
        return frames_cube(frames, memory=ask.memory, threads=ask.threads)


@asking
def write_cube(
    spec: Spec,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    kind: str | None = None,
    **how: Unpack[Asked],
) -> None:
    """Write frames as one compressed Zarr store: what the tool `cube` does.

    On the workers of the active dask client, if there is one, else on threads here. Where a
    run was interrupted, the same call goes on; until it is complete nothing opens the store, so
    that nobody reads zeros where chunks are missing. `open_frames` and every tool take the store as
    their input, and ``xarray.open_zarr`` opens it: variable ``frames`` with the dims and
    coordinates of `open_frames` and each frame's header.

    Parameters
    ----------
    path : path
        Ends in ``.zarr``.
    overwrite : bool
        Whether a cube of other frames is replaced.
    memory : float, optional
        GB that this process may take, or each worker process.
    threads : int, optional
        Threads here, where there is no client.
    spec, kind, search, sequence, recursive, hdu
        As for `open_frames`.

    Raises
    ------
    PulsarError
        No file, a damaged file, frames of different shapes, or a store that is in the way.
    """
    ask = Ask.of(how)
    check_switch("overwrite", overwrite)
    path = as_text(path, "path")
    frames, slots = chosen(spec, kind, ask.search), ask.threads or CPU_COUNT
    with using(ask.search.table):
        store = CubeStore(path, frames, overwrite=overwrite)
        if not store.complete:
            write_store(store, active_executor(slots), memory=ask.memory, threads=slots)


def frames_cube(
    frames: Sequence[Frame], *, memory: float | None = None, threads: int | None = None
) -> xr.DataArray:
    """The cube of frames that were scanned already; see `open_frames`."""
    shape = stack.check_shapes(frames)
    layer = cube_layer(frames)
    graph, plane = graph_of(Recipe((), (layer,)), memory, threads), layer.planes[0]
    array = lazy_array(graph, layer, plane, plane.dtype, Cubed(tuple(frames), graph.grid))
    return xr.DataArray(
        array,
        dims=("frame", *("plane", "y", "x")[-len(shape) :]),
        coords=coordinates(frames) | places(shape),
        name="frames",
        attrs=header_attributes(clean_header(frames[0])),
    )
