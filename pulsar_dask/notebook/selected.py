"""Arrays as frames: cubes of which a user has chosen, or changed, something, and single images.

Where nothing but whole frames was chosen, the files are read, as if just these had been named. Else
the frames are of the array (`formats.arrays`). In both cases the coordinates along ``frame`` say
what they are, so that whoever sets a coordinate is believed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from astropy.io import fits

from pulsar_dask.engine.cut import TARGET
from pulsar_dask.engine.graph import all_made
from pulsar_dask.engine.selection import chosen_images
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.arrays import frame_in
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.formats.values import Keywords
from pulsar_dask.frames.about import NOTHING, About
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.keywords import about as read_about
from pulsar_dask.inputs.find import Inputs
from pulsar_dask.kernels.pixels import PIXELS, Grid
from pulsar_dask.masters.search import Found
from pulsar_dask.notebook.labelled import cards_of, labelled, value_of
from pulsar_dask.notebook.scratch import kept, shares
from pulsar_dask.output.labels import places

#: Dims of a cube, and of an image.
CUBE, IMAGE = "(frame, y, x) or (frame, plane, y, x)", "(y, x) or (plane, y, x)"


@dataclass(frozen=True)
class Cubed:
    """What a cube was opened of."""

    frames: tuple[Frame, ...]
    grid: Grid


def _is_array(value: Any) -> bool:
    """Whether it holds pixels, or is meant to; several paths are none."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "OU"
    return isinstance(value, (xr.DataArray, xr.Dataset, xr.Variable, da.Array))


def given(value: Any, name: str) -> Any:
    """What a function is given as its frames: an array as what is known of its frames, anything
    else as it is.

    Raises
    ------
    PulsarError
        It is an array that holds no frames.
    """
    if not _is_array(value):
        return value
    return Found(frames_of(checked(value, name, CUBE)), [], Inputs((), frozenset(), ()))


def given_master(value: Any, name: str) -> Any:
    """The same of one image, which is a master: a frame; of a cube what is known of its frames."""
    if isinstance(value, xr.DataArray) and "frame" in value.dims:
        return given(value, name)
    return image_of(checked(value, name, IMAGE), name) if _is_array(value) else value


def one_master(value: Any, name: str) -> Any:
    """The same, where it can be but one image."""
    return given_master(checked(value, name, IMAGE) if _is_array(value) else value, name)


def pixels_at(cube: Any, shape: Sequence[int]) -> dict[str, Any]:
    """The coordinates of pixels of what is made of a cube, or of files."""
    if not isinstance(cube, xr.DataArray):
        return places(shape)
    return {d: cube[d] for d in ("y", "x") if d in cube.coords}


def as_found(value: Any) -> Any:
    """A frame as what is found."""
    return Found([value], [], Inputs((), frozenset(), ())) if isinstance(value, Frame) else value


def checked(value: Any, name: str, dims: str) -> xr.DataArray:
    """An array of those dims, in the order of a file, of real numbers.

    Raises
    ------
    PulsarError
        It is none.
    """
    if isinstance(value, xr.Dataset):
        names = ", ".join(map(str, value.data_vars))
        raise PulsarError(f"⟦{name}⟧ is a Dataset of several arrays; give one of them ({names})")
    if not isinstance(value, xr.DataArray):
        what = type(value).__name__
        raise PulsarError(
            f"⟦{name}⟧ is of type {what}; give an xarray.DataArray of the dims {dims}, or a path"
        )
    wanted = {"frame", "y", "x"} if dims == CUBE else {"y", "x"}
    if len(value.dims) != len(set(value.dims)) or set(value.dims) - {"plane"} != wanted:
        has = ", ".join(map(str, value.dims))
        raise PulsarError(
            f"⟦{name}⟧ has the dims ({has}); give {dims}: isel takes one of many, rename names them"
        )
    if not value.size:
        shape = " x ".join(
            str(value.sizes[d]) for d in ("x", "y", "plane", "frame") if d in value.dims
        )
        what = "frames" if dims == CUBE else "an image"
        raise PulsarError(f"⟦{name}⟧ is empty ({shape} pixels); give {what}")
    if value.dtype.kind not in "biuf":
        raise PulsarError(f"⟦{name}⟧ has values of type {value.dtype}; give real numbers")
    order = [d for d in ("frame", "plane", "y", "x") if d in value.dims]
    return value if list(value.dims) == order else value.transpose(*order)


def frames_of(cube: xr.DataArray) -> list[Frame]:
    """The frames of a cube."""
    array = cube.data
    stacks = {}
    if isinstance(array, da.Array):
        stacks = {n: one for n, one in all_made(array).items() if isinstance(one, Cubed)}
    opened = [frame for one in stacks.values() for frame in one.frames]
    places = {name: (len(one.frames), one.grid) for name, one in stacks.items()}
    chosen = chosen_images(array, places) if places else None
    if chosen is not None and len(set(chosen)) == len(chosen):
        frames = [opened[i] for i in chosen]
    else:
        frames = _in_array(cube, opened)
    return [labelled(frame, cube, i) for i, frame in enumerate(frames)]


def image_of(image: xr.DataArray, role: str, *, once: bool = True) -> Frame:
    """One image as a master of some kind: what its file says, or its header, where it has one. It
    goes by the name of the array, as "dark2s", by which its list of hot pixels is found, too.
    What is lazy is computed `once`, now: masters are read for each frame, or for each pass."""
    of = _scanned(str(value_of(image, "file", 0) or ""))
    images, text = _images(image.expand_dims("frame")), str(image.attrs.get("header", ""))
    if once and isinstance(image.data, da.Array):
        images = kept(images)
    known = _read(_header(text)) if of is None else of.about
    kind = known.kind if known.kind not in (None, "other") else role
    known = replace(known, kind=kind, master=known.master or "an array in Python", surely=True)
    return frame_in(
        images, 0, os.path.join(os.getcwd(), str(image.name or role)), known, of=of, text=text
    )


def _in_array(cube: xr.DataArray, opened: Sequence[Frame]) -> list[Frame]:
    images, seen = _images(cube), set()
    by_file = {frame.stored.origin(frame): frame for frame in opened}
    frames = []
    for i in range(cube.sizes["frame"]):
        file = str(value_of(cube, "file", i) or "")
        of = by_file.get(file) or _scanned(file)
        path = file or os.path.join(os.getcwd(), f"frame{i}")
        while path in seen:  # one that was chosen twice
            path += "'"
        seen.add(path)
        if of is None:
            header = cards_of(cube, i)
            text = header.tostring(sep="\n", padding=False, endcard=False)
            frame = frame_in(images, i, path, _read(header), text=text)
        else:
            frame = frame_in(images, i, path, _moved(of, cube), of=of)
        frames.append(frame)
    return frames


def _images(cube: xr.DataArray) -> da.Array:
    """The pixels, all frames of a tile in one chunk, of a type that files can hold."""
    array = cube.data
    dtype = array.dtype.newbyteorder("=")
    if dtype.name not in PIXELS:
        dtype = np.dtype("u1" if dtype.kind == "b" else "f4" if dtype.itemsize < 4 else "f8")
    if not isinstance(array, da.Array):
        rows = max(1, TARGET // (array.shape[-1] * array.shape[0] * dtype.itemsize))
        sizes = (
            array.shape[0],
            *(1,) * (array.ndim - 3),
            min(rows, array.shape[-2]),
            array.shape[-1],
        )
        array = da.from_array(np.asarray(array), chunks=sizes)
    if array.numblocks[0] > 1:
        array = array.rechunk({0: -1})
    array = array.astype(dtype)
    return kept(array) if array.shape[0] > 1 and shares(array) else array


def _scanned(file: str) -> Frame | None:
    """The frame of a file, if that is there."""
    if not os.path.isfile(file):
        return None
    try:
        (frame,) = scan_frames([file])
    except (PulsarError, ValueError):
        return None
    return frame


def _moved(frame: Frame, cube: xr.DataArray) -> About:
    """What a frame says of itself, where a window of it is left: its pattern of colours begins
    elsewhere."""
    about = frame.about
    if not about.colours:
        return about
    y, x = (int(cube[d].values[0]) if d in cube.coords else 0 for d in ("y", "x"))
    cards = dict(about.colours)
    if str(cards.get("ROWORDER", "")).strip().upper().startswith("BOTTOM"):
        y += cube.sizes["y"] - frame.shape[-2]
    for keyword, other, more in (("XBAYROFF", "BAYOFFX", x), ("YBAYROFF", "BAYOFFY", y)):
        before = cards.get(keyword, cards.get(other, 0))
        cards[keyword] = (before if isinstance(before, (int, float)) else 0) + more
    return replace(about, colours=tuple(cards.items()))


def _header(text: str) -> fits.Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fits.Header.fromstring(text, sep="\n") if text else fits.Header()


def _read(header: fits.Header) -> About:
    return read_about(Keywords(header)) if len(header) else NOTHING
