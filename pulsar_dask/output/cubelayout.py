"""A cube's store before its first chunk: all that is known of the frames but their pixels."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask._version import CREATOR, __version__
from pulsar_dask.engine.layer import files_token
from pulsar_dask.formats.storeformat import (
    FILE,
    FRAMES,
    HEADER,
    INCOMPLETE,
    read_description,
    read_json,
)
from pulsar_dask.formats.storeseal import sealed_text
from pulsar_dask.formats.zarr import storable
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.output.chunks import write_whole
from pulsar_dask.output.header import clean_header


def describe_cube(
    store: str, frames: Sequence[Frame], dtype: np.dtype[Any], source: str, grid: Grid
) -> None:
    """Write a store that is not complete.

    Parameters
    ----------
    store : str
        The folder to make.
    frames : sequence of Frame
    dtype : numpy.dtype
        Of the pixels.
    source : str
        A name for these frames as they are now.
    grid : Grid
        Its tiles become the chunks.
    """
    import xarray as xr
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    from pulsar_dask.output.labels import coordinates, header_attributes

    headers = [clean_header(f).tostring(sep="\n", padding=False, endcard=False) for f in frames]
    chosen = [f.stored.chosen for f in frames if f.stored.chosen is not None]
    known = coordinates(frames) | {HEADER: ("frame", headers)}
    known[FILE] = ("frame", [storable(name) for name in known[FILE][1]])
    for text in (FILE, HEADER):  # not padded to the longest one
        known[text] = ("frame", np.array(known[text][1], object))
    described = xr.Dataset(
        coords=known,
        attrs={
            "creator": f"{CREATOR} {__version__}",
            "complete": False,
            "source": source,
            "files": files_token(frames),
            # where files hold several images: the one that was chosen
            **({"hdu": str(chosen[0])} if chosen else {}),
        },
    )
    shape = grid.shape
    with warnings.catch_warnings():  # that text is not in Zarr's specification yet
        warnings.simplefilter("ignore")
        checked = {"compressors": [ZstdCodec(level=1), Crc32cCodec()]}
        described.to_zarr(
            store, mode="w-", zarr_format=3, consolidated=False,
            encoding={name: checked for name in described.coords if name != "frame"},
        )  # fmt: skip
        zarr.open_group(store, mode="r+").create_array(
            FRAMES,
            shape=(len(frames), *shape),
            chunks=(
                len(frames),
                *(1,) * (len(shape) - 2),
                min(grid.height, shape[-2]),
                min(grid.width, shape[-1]),
            ),
            dtype=dtype,
            compressors=[
                # raw frames are mostly noise: a higher level costs time and gains nothing
                BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=dtype.itemsize),
                Crc32cCodec(),
            ],
            fill_value=np.nan if dtype.kind == "f" else 0,
            dimension_names=("frame", *("plane", "y", "x")[-len(shape) :]),
            attributes=header_attributes(clean_header(frames[0])),
        )
        zarr.consolidate_metadata(store)
    _forbid(store)


def _forbid(store: str) -> None:
    """Make a store and the frames in it what no reader of Zarr opens, and seal it."""
    place = os.path.join(store, FRAMES, "zarr.json")
    array = read_json(place) | {"zarr_format": INCOMPLETE}
    write_whole(place, json.dumps(array).encode())
    description = read_description(store) | {"zarr_format": INCOMPLETE}
    write_whole(os.path.join(store, "zarr.json"), sealed_text(store, description))
