"""The hottest pixels of a master."""

from __future__ import annotations

import math
import os
from typing import Any

import xarray as xr

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.scan import refuse_planes, scan_frames
from pulsar_dask.formats.storeformat import MASTER
from pulsar_dask.inputs.words import as_text, is_store
from pulsar_dask.kernels.highest import HOT_PIXELS, HotPixels
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.notebook.arguments import Ask, check_number, combining, in_words
from pulsar_dask.notebook.lazy import master_of
from pulsar_dask.notebook.selected import IMAGE, checked


@in_words
def hot_pixels(
    master: xr.DataArray | str | os.PathLike[str], count: int = HOT_PIXELS
) -> xr.Dataset:
    """The highest values of a master: what `makedark` and `make_cosme` list.

    Parameters
    ----------
    master : xarray.DataArray or path
        Dims y and x, or plane, y and x, in whatever order; computed chunk by chunk, never held
        whole. Or the file that holds it.
    count : int
        How many; of a smaller image all.

    Returns
    -------
    xarray.Dataset
        Variables along ``pixel``, highest value first: ``x`` and ``y``, int64, columns and rows
        from zero, those of the whole frame where `master` has the coordinates ``x`` and ``y``, so
        that ``master.sel(x=hot.x, y=hot.y)`` is what is there; and ``value``, float64. Of a pixel
        of several planes that is its highest.

    Raises
    ------
    PulsarError
        No image, or no such file.
    """
    check_number("count", count, "how many pixels as a whole number, such as 1000", low=0)
    image = _image(master)
    hot = HotPixels(image.shape, min(int(count), math.prod(image.shape[-2:])))
    chunks = image.chunks or tuple((n,) for n in image.shape)
    grid = Grid(image.shape, max(chunks[-2]), max(chunks[-1]))
    for _, tile in grid:
        rows = {"y": slice(tile.y, tile.y + tile.height), "x": slice(tile.x, tile.x + tile.width)}
        plane = {"plane": tile.plane} if image.ndim == 3 else {}
        hot.write(tile, image.isel(plane | rows).values)
    x, y, values = hot.hottest(valued=True)
    places = {"x": x, "y": y}
    for dim, found in places.items():
        if dim in image.coords and image.coords[dim].dtype.kind in "iu":
            places[dim] = image.coords[dim].values[found].astype("i8")
    units = {name: image.attrs[name] for name in ("units",) if name in image.attrs}
    return xr.Dataset(
        {name: ("pixel", found) for name, found in places.items()}
        | {"value": ("pixel", values, units)}
    )


def _image(master: Any) -> xr.DataArray:
    """What a user gives as one image, its axes in the order of a file."""
    if isinstance(master, (str, os.PathLike)):
        path = as_text(master, "master")
        if os.path.isdir(path) and not is_store(path):
            raise PulsarError(f"{printable(path)}: a folder; name one image, such as dark120s.fit")
        frames = scan_frames([path])
        refuse_planes(frames)
        return master_of(frames, *combining("median", None), Ask.of({}))[MASTER]
    return checked(master, "master", IMAGE)
