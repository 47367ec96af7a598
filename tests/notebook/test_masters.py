"""Masters as lazy datasets, and the memory that the commands take."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import dask
import numpy as np
import pytest
import xarray as xr
from helpers import clone, command, image_bytes, names, same
from night import Night, flat64, hottest, median64, noted, pixels, points, stack, write, write_stack

import pulsar_dask
from pulsar_dask import Search, dark_masters, flat_masters, hot_pixels
from pulsar_dask.errors import PulsarError
from pulsar_dask.tools.makedark import makedark
from pulsar_dask.tools.makeflat import makeflat
from pulsar_dask.tools.options import Options

OPTIONS = Options(quiet=True, threads=2)


@pytest.fixture
def night(here):
    return Night(here)


@pytest.fixture(autouse=True)
def _notes():
    """Small stacks are warned about; that is tested elsewhere."""
    with noted():
        yield


def equal(dataset, folder):
    """A computed dataset holds what the files of a folder hold."""
    for name, variable in dataset.items():
        assert variable.dtype == pixels(folder / f"{name}.fit").dtype
        same(variable.values, pixels(folder / f"{name}.fit"))


def test_darks_as_the_command_makes_them(night, here):
    makedark(["darks", "bias*.fit"], bias=None, hot_pixels=10_000, options=OPTIONS)
    lazy = dark_masters(["darks", "bias*.fit"])
    assert set(lazy) == {"bias", "dark120s", "dark300s"}
    assert all(v.dims == ("y", "x") and v.chunks is not None for v in lazy.values())
    equal(lazy.compute(), here)
    for name in ("120s", "300s"):
        hot = hot_pixels(lazy[f"dark{name}"])
        found = list(zip(hot.x.values.tolist(), hot.y.values.tolist(), strict=True))
        assert found == points(here / f"cosme{name}.lst")
        assert hot.x.dtype == hot.y.dtype == np.int64
    assert lazy.dark120s.attrs["units"] == "adu"
    assert "Master Dark" in lazy.dark120s.attrs["header"]
    # nothing but the command wrote anything
    assert not [n for n in names(here) if n.endswith(".part")]


def test_flats_as_the_command_makes_them(night, here):
    makedark(["darks", "300"], bias=None, hot_pixels=50, options=OPTIONS)
    makeflat(["flats"], target=None, dark=None, hot_pixels=None, options=OPTIONS)
    lazy = flat_masters("flats", threads=2)
    assert set(lazy) == {"flat_l", "flat_r", "flat_h"}
    equal(lazy.compute(), here)
    lazy = flat_masters("flats", 1000.0, dark=250, hot_pixels="cosme120s.lst")
    truth = flat64(night.flats["R"], 250, points(here / "cosme120s.lst"), 1000)
    same(lazy.flat_r.values, truth.astype("f4"))


def test_one_tile_alone(night, here):
    makedark(["darks", "bias*.fit"], bias=None, hot_pixels=50, options=OPTIONS)
    makeflat(["flats"], target=None, dark=None, hot_pixels=None, options=OPTIONS)
    darks = dark_masters("darks", "bias*.fit", threads=4)
    flats = flat_masters("flats", threads=4)
    assert len(flats.flat_h.chunks[0]) > 1
    for name, variable in {**darks, **flats}.items():
        whole = pixels(here / f"{name}.fit")
        same(variable[5:9, 3:20].values, whole[5:9, 3:20])
        same(variable[-1, -1].values, whole[-1, -1])


def test_they_travel(night, here):
    """Pickled, as a cluster's workers get them."""
    dark_data = dark_masters("darks", "bias*.fit")
    flat_data = flat_masters("flats", dark=100)
    for data in (dark_data, flat_data):
        again = pickle.loads(pickle.dumps(data))
        xr.testing.assert_identical(again.compute(), data.compute())


def test_several_at_once(night, here):
    darks = dark_masters("darks", "bias*.fit")
    flats = flat_masters("flats", dark=100)
    a, b = dask.compute(darks, flats)
    xr.testing.assert_identical(a, darks.compute())
    xr.testing.assert_identical(b, flats.compute())
    for scheduler in ("synchronous", "threads"):
        xr.testing.assert_identical(darks.compute(scheduler=scheduler), a)


def test_graphs_that_are_merged_do_not_mix(night, here):
    """The same frames with another bias, dark, list, target or tiling are other masters."""
    plain, less = dark_masters("darks"), dark_masters("darks", 100)
    same((plain - less).dark120s.values, np.full(plain.dark120s.shape, 100, "f4"))
    biased, other = (
        dark_masters("darks", "bias*.fit"),
        dark_masters("darks", "bias0001.fit", search=Search(sequence=False)),
    )
    together = dask.compute(biased.dark120s, other.dark120s, less.dark120s)
    for found, alone in zip(together, (biased, other, less), strict=True):
        same(found.values, alone.dark120s.values)
    (here / "one.lst").write_bytes(b"P 3 3\r\n")
    options = [
        {"dark": 0},
        {"dark": 100},
        {"dark": "bias0001.fit"},
        {"dark": 0, "hot_pixels": "one.lst"},
        {"dark": 0, "target": 1.0},
        {"dark": 0, "threads": 1},
        {"dark": 0, "threads": 7},
    ]
    lazy = [flat_masters("flats", **o).flat_r for o in options]
    for found, alone in zip(dask.compute(*lazy), lazy, strict=True):
        same(found.values, alone.values)
    one, seven = dark_masters("darks", threads=1), dark_masters("darks", threads=7)
    assert one.dark120s.chunks != seven.dark120s.chunks
    found = dask.compute(one.dark120s, seven.dark120s)
    same(found[0].values, found[1].values)


@pytest.mark.parametrize("function", [pulsar_dask.median, pulsar_dask.open_frames])
def test_medians_of_two_tilings_do_not_mix(here, function):
    write_stack(here / "d", "d", stack(0, 5, 500), "Dark", 1.0)
    one, eight = function("d", threads=1), function("d", threads=8)
    assert one.chunks != eight.chunks
    both = xr.concat([one.isel(y=slice(0, 7)), eight.isel(y=slice(7, None))], "y")
    same(both.values, one.values)


def test_colour(here):
    images = stack(0, 3, 500, shape=(3, 9, 11))
    write_stack(here / "d", "d", images, "Dark", 1.0)
    lazy = dark_masters("d").dark1s
    assert lazy.dims == ("plane", "y", "x")
    same(lazy.values, median64(images).astype("f4"))
    same(lazy[1, 2:4].values, median64(images).astype("f4")[1, 2:4])
    hot = hot_pixels(lazy, 12)
    found = list(zip(hot.x.values.tolist(), hot.y.values.tolist(), strict=True))
    assert found == hottest(lazy.values, 12)


def test_hot_pixels_of_any_array():
    image = np.random.default_rng(0).integers(0, 50, (13, 17)).astype("f8")
    image[3, 4] = np.nan
    for array in (
        xr.DataArray(image, dims=("y", "x")),
        xr.DataArray(image, dims=("y", "x")).chunk({"y": 5, "x": 4}),
    ):
        hot = hot_pixels(array, 30)
        found = list(zip(hot.x.values.tolist(), hot.y.values.tolist(), strict=True))
        assert found == hottest(image, 30)


@pytest.mark.parametrize("bias", [100, 100.0, np.float32(100), np.int16(100), "100"])
def test_constants(night, bias):
    lazy = dark_masters("darks", bias)
    same(lazy.dark120s.values, (median64(night.darks[120]) - 100).astype("f4"))


def test_what_is_refused(night):
    with pytest.raises(PulsarError, match="finite"):
        dark_masters("darks", float("nan"))
    with pytest.raises(PulsarError, match="finite"):
        flat_masters("flats", dark=float("inf"))
    with pytest.raises(PulsarError, match="No dark frames found"):
        dark_masters("flats")
    with pytest.raises(PulsarError, match="No flat frames found"):
        flat_masters("darks")
    with pytest.raises(PulsarError, match="Dark not found for exposure"):
        flat_masters("flats")
    assert {"dark_masters", "flat_masters", "hot_pixels"} <= set(dir(pulsar_dask))


def test_an_array_of_paths(night, here):
    paths = sorted((here / "darks").glob("d120*.fit"))
    same(dark_masters(paths).dark120s.values, median64(night.darks[120]).astype("f4"))


# --- memory --------------------------------------------------------------------------------

LIMIT = 400_000_000


#: Runs a command line in a process that is small itself: what a parent holds would count.
MEASURE = (
    "import os, subprocess, sys\n"
    "done = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
    "_, status, usage = os.wait4(done.pid, 0)\n"
    "done.returncode = os.waitstatus_to_exitcode(status)\n"
    "assert done.returncode == 0\n"
    "print(usage.ru_maxrss)\n"
)


def peak(*args, cwd):
    """Peak resident bytes of a command."""
    line = [sys.executable, "-c", MEASURE, *command(*args)]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def links(path, count):
    for i in range(count):
        clone(path, path.with_name(f"{path.stem}_{i:04d}.fit"), i)


needs_wait4 = pytest.mark.skipif(not hasattr(os, "wait4"), reason="no os.wait4")


@needs_wait4
@pytest.mark.more
def test_memory_of_makedark_and_makeflat(tmp_path):
    """Stacks of 0.5 and, calibrated, 1.2 GB, of links to a few files."""
    shape = (3000, 4000)
    noise = np.random.default_rng(0).integers(0, 200, shape, dtype="u2")
    for seconds in (60, 120):
        dark = write(
            tmp_path / "darks" / f"d{seconds}.fit", noise + np.uint16(seconds), "Dark", seconds
        )
        links(dark, 9)
    for level in (20000, 22000):
        flat = write(
            tmp_path / "flats" / f"f{level}.fit", noise + np.uint16(level), "Flat", 60, "L"
        )
        links(flat, 5)
    args = ("--memory", 0.4, "--threads", 2, "--quiet")
    assert peak("makedark", "darks", 10, *args, cwd=tmp_path) <= LIMIT
    same(pixels(tmp_path / "dark60s.fit"), noise.astype("f4") + 50)
    listed = points(tmp_path / "cosme60s.lst")
    assert listed == hottest(noise, 10_000)
    assert peak("makeflat", "flats", *args, cwd=tmp_path) <= LIMIT
    assert abs(np.median(pixels(tmp_path / "flat_l.fit")) - 5000) < 1


@needs_wait4
@pytest.mark.slow
def test_memory_of_make_cosme(tmp_path):
    """An image of 0.5 GB, most of it a hole in its file."""
    path = tmp_path / "m.fit"
    rows, columns = 12_000, 10_000
    head = image_bytes(np.zeros((1, columns), "f4"), {})[:2880]
    head = head.replace(b"NAXIS2  =                    1", b"NAXIS2  =%21d" % rows)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(2880 + -(-rows * columns * 4 // 2880) * 2880)
        for x, y, value in ((7, 11_999, 9.0), (9_999, 3, 8.0)):
            file.seek(2880 + 4 * (y * columns + x))
            file.write(np.array(value, ">f4").tobytes())
    args = ("--memory", 0.4, "--threads", 2, "--quiet", "--hot-pixels", 4)
    assert peak("make_cosme", "m.fit", "c.lst", *args, cwd=tmp_path) <= LIMIT
    assert points(tmp_path / "c.lst") == [(7, 11_999), (9_999, 3), (0, 0), (1, 0)]
