"""Masters as files and as `CCDData`, against the tools' own; files opened by xarray's engine."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData
from helpers import same, write_frame
from night import Night, median64, noted, pixels, points, stack, tool, verify, write, write_stack

import pulsar_dask as pulsar
from pulsar_dask.notebook import accessor


@pytest.fixture
def night(here):
    return Night(here)


@pytest.fixture(autouse=True)
def _notes():
    with noted():
        yield


def cards(path: Path) -> list[bytes]:
    """A file in pieces of a card, without those that tell when it was written."""
    content = path.read_bytes()
    pieces = [content[i : i + 80] for i in range(0, len(content), 80)]
    return [p for p in pieces if not p.startswith((b"DATE    ", b"CHECKSUM"))]


# --- the tools' bytes ------------------------------------------------------------------------


def test_the_bytes_of_the_tools(night, here):
    """Headers, HISTORY with sums and warnings, planes, lists; folders beside each other."""
    for place in ("a", "b"):
        (here / place).mkdir()
    how = ("--planes", "count", "--combine", "mean")
    tool("makeflat", "flats", "--dark", 200, *how, "--output-dir", "a", cwd=here)
    tool("makedark", "darks", "bias*.fit", "--hot-pixels", 20, *how, "--output-dir", "a", cwd=here)
    tool("med", "darks", "a/master.fit", *how, cwd=here)
    python = {"planes": "count", "combine": "mean"}
    darks = pulsar.dark_masters("darks", "bias*.fit", **python)
    names = darks.pulsar.to_fits("b", hot_pixels=20)
    assert sorted(names) == [f"b/{n}.fit" for n in ("bias", "dark120s", "dark300s")]
    pulsar.to_fits(pulsar.flat_masters("flats", dark=200, **python), "b")
    pulsar.to_fits(pulsar.master("darks", **python), here / "b")
    made = sorted(os.listdir("a"))
    assert made == sorted(os.listdir("b"))
    assert len(made) == 2 * 7 + 2
    for name in made:
        if name.endswith(".lst"):
            assert points(here / "a" / name) == points(here / "b" / name)
        else:
            assert cards(here / "a" / name) == cards(here / "b" / name), name
            fits.open(here / "b" / name, checksum=True).close()
    assert "14 files: 14 good" in verify(here, "b")


def test_one_master_under_any_name(night, here):
    tool("med", "darks/d120_0001.fit", "tool.fits", cwd=here)
    lazy = pulsar.median("darks/d120_0001.fit")
    assert lazy.pulsar.to_fits("python.fits") == ["python.fits"]
    assert cards(here / "python.fits") == cards(here / "tool.fits")
    # a choice of whole frames is as if they had been named
    cube = pulsar.open_frames("darks", kind="dark")
    chosen = pulsar.median(cube.sel(frame=cube.exposure == 120))
    pulsar.to_fits(pickle.loads(pickle.dumps(chosen)), "chosen.fits")
    assert cards(here / "chosen.fits") == cards(here / "tool.fits")
    # what `makedark` calls so keeps its warnings under another name
    dark = pulsar.dark_masters("darks", 100).dark120s
    pulsar.to_fits(dark, "mine.fit")
    tool("makedark", "darks", 100, cwd=here)
    lists = (b"HISTORY wrote", b"CHECKSUM")
    theirs = [c for c in cards(here / "dark120s.fit") if not c.startswith(lists)]
    mine = cards(here / "mine.fit")
    assert [c for c in theirs if c.strip()] == [c for c in mine if c.strip()]
    assert "warning: 4 frames; with fewer than 15" in str(fits.getheader("mine.fit")["HISTORY"])
    assert "pixels computed again are the same" in verify(here, "mine.fit", "python.fits")


def test_what_was_changed_is_written_with_its_header(night, here):
    dark = pulsar.dark_masters("darks", 100).dark120s
    for name, image in {
        "half": dark * 0.5,
        "computed": dark.compute(),
        "window": dark[3:9, 2:20],
        "double": dark.astype("f8"),
        "whole": dark.astype("i4"),
        "chunks": (dark + 0).chunk({"y": 5, "x": 7}),
    }.items():
        pulsar.to_fits(image, f"{name}.fit")
        with fits.open(f"{name}.fit", checksum=True) as hdus:
            header = hdus[0].header
            same(hdus[0].data, image.values)
            assert hdus[0].data.dtype.newbyteorder("=") == image.dtype
        assert (header["IMAGETYP"], header["NCOMBINE"], header["EXPTIME"]) == (
            "Master Dark",
            4,
            120,
        )
        assert "values of an array in Python, which were not kept" in list(header["HISTORY"])
        assert pulsar.scan_frame(f"{name}.fit").is_master
    # an image of lights has the header of its own file, and is no master
    write(here / "darks" / "m31_0002.fit", stack(11, 1, 900)[0], "Light Frame", 60.0, "R")
    lights = pulsar.calibrate("darks/m31_0001.fit", pedestal=5)
    pulsar.to_fits(lights.isel(frame=1), "light.fit")
    frame = pulsar.scan_frame("light.fit")
    assert (frame.kind, frame.is_master, frame.exposure) == ("light", False, 60.0)
    same(pixels(here / "light.fit"), lights.values[1])
    # what no header is known of
    pulsar.to_fits(xr.DataArray(np.eye(4) > 0, dims=("x", "y")), "mask.fit")
    same(pixels(here / "mask.fit"), np.eye(4, dtype="u1"))


def test_files_of_others_stay(night, here):
    dark = pulsar.dark_masters("darks", 100).dark120s
    (here / "mine.fit").write_bytes(b"of a user")
    for image in (dark, dark * 2):
        with pytest.raises(pulsar.PulsarError, match=r"mine\.fit exists .* `overwrite`"):
            pulsar.to_fits(image, "mine.fit")
        with pytest.raises(pulsar.PulsarError, match="d120_0001"):
            pulsar.to_fits(
                pulsar.median("darks/d120_0001.fit"), "darks/d120_0001.fit", overwrite=True
            )
    assert (here / "mine.fit").read_bytes() == b"of a user"
    pulsar.to_fits(dark, "mine.fit", overwrite=True)
    pulsar.to_fits(dark * 2, "mine.fit")  # which is ours by now
    (here / "darks" / "d120_0002.fit").unlink()
    with pytest.raises(pulsar.PulsarError, match=r"d120_0002\.fit"):
        pulsar.to_fits(dark, "gone.fit")
    assert not (here / "gone.fit").exists()


IMAGE = xr.DataArray(np.ones((2, 3)), dims=("y", "x"), name="a")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"master": IMAGE.values}, "`master` is of type ndarray"),
        ({"master": None}, "`master` is of type NoneType"),
        ({"master": 5}, "`master` is of type int"),
        ({"master": "m.fit"}, "`master` is of type str"),
        ({"master": []}, "`master` is of type list"),
        ({"master": IMAGE.expand_dims("frame")}, r"`master` has the dims \(frame, y, x\)"),
        ({"master": IMAGE[:0]}, "`master` is empty"),
        ({"master": IMAGE * 1j}, "`master` has values of type complex128"),
        ({"master": xr.Dataset(), "path": "d"}, "`master` has no images"),
        ({"master": IMAGE.to_dataset()}, r"`path` 'a\.fit': give a folder"),
        ({"path": "a.txt"}, r"`path` 'a\.txt': give the name of a \.fit"),
        ({"path": 5}, "`path` 5: give a path"),
        ({"path": "."}, r"`path` '\.': give the name"),
        ({"path": "none/a.fit"}, r"none"),
        ({"overwrite": 1}, "`overwrite` 1: give True or False"),
        ({"hot_pixels": -1}, "`hot_pixels` -1: give how many"),
        ({"memory": 0}, "`memory` 0: give gigabytes"),
        ({"threads": 1.5}, "`threads` 1.5: give how many"),
    ],
)
def test_wrong_arguments(here, arguments, says):
    with pytest.raises(pulsar.PulsarError, match=says):
        pulsar.to_fits(**{"master": IMAGE, "path": "a.fit"} | arguments)
    assert not list(here.iterdir())


def test_a_plane_alone(night):
    darks = pulsar.dark_masters("darks", 100, planes="count")
    with pytest.raises(pulsar.PulsarError, match="`master` is the plane count of a master"):
        pulsar.to_fits(darks.dark120s_count, "c.fit")
    darks[["dark120s"]].pulsar.to_fits("d")
    assert sorted(os.listdir("d")) == ["cosme120s.lst", "dark120s.fit"]
    darks[["dark120s", "dark120s_count"]].rename(dark120s="mine").pulsar.to_fits(
        "e", hot_pixels=None
    )
    assert sorted(os.listdir("e")) == ["mine.fit", "mine.planes.fit"]


# --- CCDData ---------------------------------------------------------------------------------


def test_ccddata(night, here):
    """The array, the file that holds it, and astropy's reading of that are one."""
    dark = pulsar.dark_masters("darks", 100).dark120s
    found = dark.pulsar.to_ccddata()
    pulsar.to_fits(dark, "dark.fit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = CCDData.read("dark.fit")
    assert found.unit == read.unit == "adu"
    same(found.data, read.data)
    assert found.mask is None
    assert (found.header["IMAGETYP"], found.header["EXPTIME"]) == ("Master Dark", 120)
    found.write("again.fit")
    same(CCDData.read("again.fit").data, dark.values)
    holes = dark.where(dark.x != 3).pulsar.to_ccddata()
    same(holes.mask, np.broadcast_to(np.arange(31) == 3, (24, 31)))
    assert pulsar.to_ccddata(IMAGE, unit="electron").unit == "electron"
    image = IMAGE.assign_attrs(units="adu")
    for given, wrong, says in (
        (IMAGE, {}, "the unit is none"),
        (IMAGE, {"unit": "furlongs"}, "the unit is furlongs; give `unit`"),
        (IMAGE, {"unit": ""}, "the unit is none"),
        (IMAGE, {"unit": 5}, "`unit` 5: give a unit"),
        (image, {"units": "adu"}, "did you mean `unit`?"),
        (None, {}, "`master` is of type NoneType; give an xarray.DataArray"),
        ("dark.fit", {}, "`master` is of type str"),
        (np.zeros((3, 4)), {}, "`master` is of type ndarray"),
        (image.to_dataset(name="a"), {}, "`master` is a Dataset"),
        (image.expand_dims(frame=2), {}, "`master` has the dims (frame, y, x)"),
        (image[0], {}, "`master` has the dims (x)"),
        (image.astype("c8"), {}, "give real numbers"),
        (image[:0], {}, "`master` is empty"),
    ):
        with pytest.raises(pulsar.PulsarError, match=re.escape(says)):
            pulsar.to_ccddata(given, **wrong)


# --- the engine ------------------------------------------------------------------------------


def test_the_engine_tells_what_frames_are(here):
    write_stack(here / "d", "d", stack(1, 3, 500), "Dark", 60.0, GAIN=100, SET_TEMP=-10)
    write(here / "d" / "e.fit", stack(2, 1, 500)[0], "Dark", 30.0, GAIN=100, SET_TEMP=-10)
    cube = pulsar.open_frames("d")
    one = xr.open_dataset("d/e.fit", engine="pulsar", chunks={})
    assert set(cube.coords) == set(one.coords)
    last = cube.isel(frame=3)
    for name in set(cube.coords) - {"y", "x"}:
        assert str(one[name].values) == str(last[name].values), name
        assert one[name].attrs == last[name].attrs
    paths = sorted(map(str, (here / "d").iterdir()))
    with xr.open_mfdataset(
        paths, engine="pulsar", combine="nested", concat_dim="frame", chunks={}
    ) as several:
        assert list(several.exposure.values) == [60.0, 60.0, 60.0, 30.0]
        assert np.all(several.gain.values == 100)
        assert several.file.dims == ("frame",)
        same(several.image.values, cube.values)
        made = pulsar.dark_masters(several.image, 10)
        assert list(made) == ["dark30s", "dark60s"]
        same(made.dark60s.values, pulsar.dark_masters(cube, 10).dark60s.values)
    with xr.open_dataset("d/e.fit", engine="pulsar", drop_variables="gain") as less:
        assert "gain" not in less.coords


@pytest.mark.parametrize("name", ["f.fits", "f.fits.fz", "f.fits.gz"])
def test_file_objects(here, name):
    stored = np.arange(600, dtype="i2").reshape(20, 30)
    place = "tiled" if name.endswith("fz") else "primary"
    content = write_frame(here / name, stored, place=place).read_bytes()
    with open(name, "rb") as file:
        opened = xr.open_dataset(file, engine="pulsar", chunks={})
        guessed = xr.open_dataset(name)
    for data in (opened, guessed, xr.open_dataset(io.BytesIO(content), engine="pulsar")):
        same(data.image.values, stored)
    assert str(opened.file.values) == name
    if name.endswith("gz"):
        with pytest.raises(pulsar.PulsarError, match="gives text"):
            xr.open_dataset(io.StringIO("no"), engine="pulsar")
        with pytest.raises(pulsar.PulsarError):
            xr.open_dataset(io.BytesIO(gzip.compress(b"no FITS")), engine="pulsar")


@pytest.mark.parametrize(
    "line", ["import xarray, pulsar_dask", "import pulsar_dask as p; p.median"]
)
def test_arrays_have_the_accessor(line):
    code = f"{line}; import xarray as x; print(x.DataArray([1]).pulsar.to_fits.__name__)"
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout == "to_fits\n"


def test_the_accessor(night):
    cube = pulsar.open_frames("darks", kind="dark")
    part = cube.sel(frame=cube.exposure == 120)
    same(part.pulsar.median().values, median64(night.darks[120]).astype("f4"))
    assert list(cube.pulsar.dark_masters(100)) == ["dark120s", "dark300s"]
    assert part.pulsar.check_frames() == pulsar.check_frames(part)
    hot = part.pulsar.median().pulsar.hot_pixels(5)
    assert hot.sizes == {"pixel": 5}
    methods = [n for n in vars(accessor.OfArray) if not n.startswith("_")]
    assert sorted(methods) == dir(part.pulsar)
    assert all(hasattr(pulsar, name) for name in methods)
    assert all(getattr(accessor.OfArray, name).__doc__ for name in methods)
