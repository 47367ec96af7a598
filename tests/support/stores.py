"""Frames and the Zarr stores made of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from helpers import write_frame

from pulsar_dask.engine.make import make_plan
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.threads import Threads
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.masters.stack import cube_tile
from pulsar_dask.output.cubestore import CubeStore

SHAPE = (48, 40)


def write_frames(folder: Path, count: int = 4, **cards: Any) -> np.ndarray:
    """Frames of noise, each of its own."""
    images = np.random.default_rng(3).integers(-900, 900, (count, *SHAPE)).astype("i2")
    for i, image in enumerate(images):
        write_frame(folder / f"f{i}.fit", image, cards={"EXPTIME": 1.5, "GAIN": i} | cards)
    return images


def truth(folder: Path) -> np.ndarray:
    return np.array([fits.getdata(path) for path in sorted(folder.glob("f?.fit"))])


def begun(folder: Path, count: int = 3) -> Path:
    """A cube of the frames in a folder, of which so many chunks are done."""
    frames = scan_frames(sorted(map(str, folder.glob("f?.fit"))))
    path = folder / "c.zarr"
    store = CubeStore(str(path), frames, overwrite=False)
    recipe = Recipe((), (store.layer,))
    plan = make_plan(recipe, [store], Threads(2).resources(recipe, store.load, None))
    store.begin(plan)
    tiles = [tile for _, tile in plan.grid]
    assert count < len(tiles)
    for tile in tiles[:count]:
        store.taker()(tile, cube_tile(tile, frames, str(store.dtype)))
    return path


def replaced(path: Path, *, in_place: bool, pixel: int) -> None:
    """Another frame of that name, size and time."""
    status, image = path.stat(), fits.getdata(path)
    image.reshape(-1)[pixel] ^= 1
    data = bytearray(path.read_bytes())
    data[2880 : 2880 + image.nbytes] = image.astype(">i2").tobytes()
    if in_place:
        path.write_bytes(data)
    else:
        path.with_name("new").write_bytes(data)
        path.with_name("new").replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def with_datasum(folder: Path) -> None:
    for path in folder.glob("f?.fit"):
        with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            hdus[0].add_checksum()


def chunks(store: Path, variable: str) -> list[Path]:
    return sorted(path for path in (store / variable / "c").rglob("*") if path.is_file())


def swap(store: Path, variable: str) -> None:
    a, b = chunks(store, variable)[:2]
    a.rename(store / "x")
    b.rename(a)
    (store / "x").rename(b)


def link(store: Path, variable: str) -> None:
    """A chunk becomes a link to what it was."""
    path = chunks(store, variable)[0]
    place = path.rename(store.parent / "elsewhere")
    path.symlink_to(place)


def flip_chunk(store: Path, variable: str) -> None:
    path = chunks(store, variable)[1]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
