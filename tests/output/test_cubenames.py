"""Cubes of files whose names are of any bytes that a file system takes."""

from __future__ import annotations

import os

import numpy as np
import pytest
import xarray as xr
from few import also
from helpers import names, same
from night import pixels, stack, tool, write

import pulsar_dask

NAMES = {
    "latin-1": os.fsdecode(b"d\xfcnkel.fit"),
    "any bytes": os.fsdecode(b"a\xff\xfe\x80.fit"),
    "text": "größe 日本.fit",
    "as if it were escaped": "d\\udcfcnkel.fit",
    "an escape of escapes": "a\\u005cudcfc.fit",
    "a backslash": "d\\users.fit",
}


@pytest.fixture(
    params=["any bytes", "text", *also(*(n for n in NAMES if n not in ("any bytes", "text")))]
)
def night(request, here):
    """Two frames, one of them of that name in a folder of that name."""
    name = NAMES[request.param]
    images = stack(1, 2, 500)
    if os.name == "nt":
        pytest.skip("names are text there, and a backslash separates")
    folder = here / f"of {name}"
    write(folder / "b.fit", images[0], "Dark", 1.0)
    try:
        os.rename(folder / "b.fit", folder / name)
    except OSError:
        pytest.skip("the file system does not take this name")
    write(folder / "z.fit", images[1], "Dark", 1.0)
    return here, folder, name, np.stack(images)


def test_a_cube_of_any_names(night):
    here, folder, name, images = night
    tool("cube", folder, "c.zarr", cwd=here)
    out, _ = tool("cube", folder, "c.zarr", cwd=here)
    assert "complete already" in out
    cube = pulsar_dask.open_frames("c.zarr")
    order = [0, 1] if cube.file.values[0] == str(folder / name) else [1, 0]
    same(cube.values, images[order])
    assert set(cube.file.values) == {str(folder / name), str(folder / "z.fit")}
    assert cube.file.values.tolist() == pulsar_dask.open_frames(folder).file.values.tolist()
    with xr.open_zarr("c.zarr") as stored:
        for text in stored.file.values:
            assert text.encode()  # which no surrogate has
        if "größe" in name or "users" in name:
            assert stored.file.values.tolist() == cube.file.values.tolist()
    out, _ = tool("verify", "c.zarr", cwd=here)
    assert "2 of 2 frames have the pixels of their files" in out
    os.unlink(folder / name)
    out, _ = tool("verify", "c.zarr", cwd=here, status=3)
    assert "1 of 2 files that it was made of are not where they were" in out


def test_a_master_of_such_a_cube(night):
    here, folder, _, images = night
    tool("cube", folder, "c.zarr", cwd=here)
    tool("med", "c.zarr", "m.fit", cwd=here)
    same(pixels(here / "m.fit"), np.median(images, 0).astype("f4"))
    out, _ = tool("verify", "m.fit", cwd=here)
    assert "2 of 2 files that it was made of are as they were" in out


def test_a_cube_in_such_a_folder(night):
    here, folder, name, images = night
    output = folder / f"{name}.zarr"
    tool("cube", folder / "z.fit", "--no-sequence", output, cwd=here)
    same(pulsar_dask.open_frames(output).values, images[1:])
    pulsar_dask.write_cube(folder, here / "w.zarr")
    assert names(here) == sorted(["w.zarr", folder.name])
