"""Masters of cubes from which frames, rows and columns were chosen, or in which values changed; and
arrays as biases and darks."""

from __future__ import annotations

import gc
import pickle
import re

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from helpers import same
from hypothesis import given
from hypothesis import strategies as st
from night import (
    XTRANS,
    Night,
    flat64,
    flat_by_colours,
    median64,
    noted,
    pixels,
    stack,
    tool,
    write_stack,
)

import pulsar_dask as pulsar
from pulsar_dask.engine.selection import chosen_images
from pulsar_dask.formats.arrays import InArray
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.notebook.scratch import kept, shares
from pulsar_dask.notebook.selected import frames_of


@pytest.fixture
def night(here):
    return Night(here)


@pytest.fixture(autouse=True)
def _notes():
    with noted():
        yield


#: Ways to choose frames: those of 120 s of a cube of darks of 120 s (4) and 300 s (5).
CHOICES = {
    "isel": lambda c: c.isel(frame=slice(0, 4)),
    "sel": lambda c: c.sel(frame=c.exposure == 120),
    "list, in another order": lambda c: c.isel(frame=[3, 0, 2, 1]),
    "where": lambda c: c.where(c.exposure == 120, drop=True),
    "groupby": lambda c: dict(list(c.groupby("exposure")))[120.0],
    "sortby": lambda c: c.sortby("exposure", ascending=False).isel(frame=slice(5, 9)),
    "concat": lambda c: xr.concat([c.isel(frame=[0, 1]), c.isel(frame=[2, 3])], "frame"),
    "index": lambda c: c.set_index(frame="exposure").sel(frame=120.0),
    "rechunk": lambda c: c.chunk({"frame": 1, "y": 5, "x": 7}).isel(frame=slice(0, 4)),
    "transpose": lambda c: c.transpose("x", "frame", "y").isel(frame=slice(0, 4)),
    "computed": lambda c: c.isel(frame=slice(0, 4)).compute(),
    "persisted": lambda c: c.persist().isel(frame=slice(0, 4)),
    "float": lambda c: c.isel(frame=slice(0, 4)).astype("f8"),
    "halves": lambda c: c.isel(frame=slice(0, 4)) * 0.5 * 2,
}


@pytest.mark.parametrize("way", CHOICES)
def test_frames_that_were_chosen(night, way):
    cube = CHOICES[way](pulsar.open_frames("darks", kind="dark"))
    if way == "index":
        cube = cube.assign_coords(exposure=("frame", cube.frame.values)).drop_vars("frame")
    right = median64(night.darks[120]).astype("f4")
    same(pulsar.median(cube).values, right)
    same(pulsar.master(cube, planes="count")["count"].values, np.full(right.shape, 4))
    masters = pulsar.dark_masters(cube, 100)
    assert list(masters) == ["dark120s"]
    same(masters.dark120s.values, (median64(night.darks[120]) - 100).astype("f4"))
    assert "EXPTIME =                120.0" in masters.dark120s.attrs["header"]
    assert masters.dark120s.attrs["header"].count("HISTORY input d120_000") == 4


def test_whole_frames_are_read_from_their_files(night):
    """By the tool's way, with the sums of the inputs; and nothing else is."""
    cube = pulsar.open_frames("darks", kind="dark", threads=3)
    for way in ("isel", "sel", "list, in another order", "groupby", "concat", "rechunk"):
        found = frames_of(CHOICES[way](cube))
        assert not any(isinstance(f.stored, InArray) for f in found)
        assert {f.exposure for f in found} == {120.0}
    for other in (
        cube + 1, cube.astype("f8"), cube[:, 1:], cube[:, ::-1], cube[:, :, ::-1],
        cube.isel(frame=[0, 0]), cube.isel(y=[2, 1, *range(22)]), cube.roll(y=1), cube * 1,
    ):  # fmt: skip
        assert all(isinstance(f.stored, InArray) for f in frames_of(other))


@given(st.data())
def test_a_choice_is_told_from_a_change(data):
    """Whatever is done to a stack: if it is said to be some of its images, it is."""
    shape = data.draw(st.sampled_from([(9, 8), (2, 9, 8)]))
    values = np.random.default_rng(0).integers(0, 1000, (5, *shape))
    grid = Grid(shape, 4, 5)
    tasks = {}
    for index, t in grid:
        plane = (slice(t.plane, t.plane + 1),) if len(shape) == 3 else ()
        place = (slice(None), *plane, slice(t.y, t.y + t.height), slice(t.x, t.x + t.width))
        tasks[("stack", 0, *index)] = values[place]
    array = da.Array(tasks, "stack", ((5,), *grid.chunks), dtype=values.dtype)
    for _ in range(data.draw(st.integers(0, 4))):
        n = array.shape[0]
        what = data.draw(st.sampled_from(["take", "slice", "mask", "rows", "chunk", "add", "flip"]))
        if what == "take":
            array = array[data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6))]
        elif what == "slice":
            array = array[:: data.draw(st.sampled_from([1, 2, -1]))]
        elif what == "mask":
            mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
            array = array[mask if mask.any() else ~mask]
        elif what == "rows":
            rows = data.draw(st.permutations(range(array.shape[-2])))
            array = da.take(array, rows, axis=-2)
        elif what == "chunk":
            array = array.rechunk({0: 1, -1: data.draw(st.integers(1, 8))})
        elif what == "add":
            array = array + data.draw(st.integers(0, 1))
        else:
            array = da.flip(array, data.draw(st.sampled_from([-1, -2])))
    found = chosen_images(array, {"stack": (5, grid)})
    truth = np.asarray(array)
    if found is not None:
        assert np.array_equal(truth, values[found])


def test_rows_and_columns(night, here):
    tool("makedark", "darks", "bias*.fit", cwd=here)
    cube = pulsar.open_frames("darks", kind="dark")
    bias = pulsar.dark_masters("darks", "bias*.fit").bias
    part = {"y": slice(3, 11), "x": slice(5, 30)}
    masters = pulsar.dark_masters(cube.isel(part), bias.isel(part))
    for seconds in (120, 300):
        whole = pixels(here / f"dark{seconds}s.fit")
        same(masters[f"dark{seconds}s"].values, whole[3:11, 5:30])
    assert list(masters.y.values) == list(range(3, 11))
    # by their rows and columns they go with what is whole
    both = masters.dark120s - pulsar.dark_masters(cube, bias).dark120s
    assert both.shape == (8, 25)
    assert not both.any()
    with pytest.raises(pulsar.PulsarError, match="31 x 24"):
        pulsar.dark_masters(cube.isel(part), bias).compute()


def test_what_was_changed(night):
    cube = pulsar.open_frames("darks/d120_0001.fit")
    low = cube.where(cube < 430)
    truth = median64(np.where(night.darks[120] < 430, night.darks[120], np.nan))
    same(pulsar.median(low).values, truth.astype("f4"))
    assert "HISTORY values of an array in Python" in pulsar.median(low).attrs["header"]
    assert "HISTORY values of an array" not in pulsar.median(cube).attrs["header"]
    # whoever sets a coordinate is believed
    flats = cube.assign_coords(kind=("frame", ["flat"] * 4), filter="V", exposure=2.0)
    assert list(pulsar.flat_masters(flats, dark=0)) == ["flat_v"]
    assert list(pulsar.dark_masters(cube.assign_coords(exposure=("frame", [60.0] * 4)))) == [
        "dark60s"
    ]
    two = cube.assign_coords(gain=("frame", [1.0, 1.0, 2.0, 2.0]))
    assert list(pulsar.dark_masters(two)) == ["dark120s_gain1", "dark120s_gain2"]


def test_an_array_of_no_file():
    values = stack(1, 5, 500, shape=(9, 7))
    cube = xr.DataArray(
        values,
        dims=("frame", "y", "x"),
        coords={
            "kind": ("frame", ["dark"] * 5), "exposure": 30.0, "gain": 7.0,
            "temperature": ("frame", np.linspace(-10, -9.8, 5)), "binning": "2x2",
        },
    )  # fmt: skip
    made = pulsar.dark_masters(cube).dark30s
    same(made.values, median64(values).astype("f4"))
    for card in (
        "IMAGETYP= 'Master Dark'",
        "GAIN    =                  7.0",
        "XBINNING=                    2",
        "CCD-TEMP=                 -9.9",
        "NCOMBINE=                    5",
    ):
        assert card in made.attrs["header"]
    same(pulsar.median(cube.drop_vars(list(cube.coords))).values, median64(values).astype("f4"))
    with pytest.raises(
        pulsar.PulsarError, match=r"No dark frames found in these arrays \(5 without"
    ):
        pulsar.dark_masters(cube.drop_vars("kind"))


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "i2", "u2", "i4", "u4", "f2", "f4", ">f4", "f8"]
)
def test_any_type(dtype):
    values = (np.arange(3 * 5 * 4).reshape(3, 5, 4) * 7 % 113).astype(dtype)
    cube = xr.DataArray(values, dims=("frame", "y", "x"))
    found = pulsar.median(cube)
    assert found.dtype == ("f8" if dtype in ("i4", "u4", "f8") else "f4")
    same(found.values, np.median(values.astype("f8"), 0))
    planes = xr.DataArray(np.stack([values, values[::-1]], 1), dims=("frame", "plane", "y", "x"))
    same(pulsar.median(planes).values, np.median(planes.values.astype("f8"), 0))


def test_flats_with_arrays(night, here):
    darks = pulsar.dark_masters("darks", 300)
    tool("makedark", "darks", 300, "--hot-pixels", 20, cwd=here)
    tool(
        "makeflat", "flats", "--dark", "dark120s.fit", "--bias", 300, "--mix", "exposure", cwd=here
    )
    search = pulsar.Search(mix="exposure")
    cube = pulsar.open_frames("flats", kind="flat")
    for flats in (cube, cube * 1.0, cube.isel(frame=slice(None, None, -1))):
        made = pulsar.flat_masters(flats, dark=darks.dark120s, bias=300, search=search)
        for name in ("flat_l", "flat_r"):
            same(made[name].values, pixels(here / f"{name}.fit"))
    part = cube.sel(frame=cube["filter"] == "R").isel(y=slice(4, 20))
    (here / "cosme120s.lst").unlink()
    truth = flat64(night.flats["R"][:, 4:20], 250, (), 1000).astype("f4")
    for dark in (250.0, xr.full_like(part[0], 250.0, float).drop_attrs()):
        made = pulsar.flat_masters(part, 1000, bias=0, dark=dark)
        same(made.flat_r.values, truth)


def test_the_colours_of_a_window(here):
    """A pattern of 6 x 6 begins elsewhere; from the bottom it is counted from the last row."""
    images = (stack(3, 4, 9000, shape=(30, 33)) * np.linspace(1, 1.3, 30)[:, None]).astype("u2")
    for order in ("TOP-DOWN", "BOTTOM-UP"):
        write_stack(here / order, "f", images, "Flat", 2.0, "V", BAYERPAT=XTRANS, ROWORDER=order)
        cube = pulsar.open_frames(order)
        side = [XTRANS[6 * i : 6 * i + 6] for i in range(6)]
        if order == "BOTTOM-UP":
            side = [side[(30 - 1 - y) % 6] for y in range(6)]
        for y, x in ((0, 0), (4, 3), (7, 1)):
            part = cube.isel(y=slice(y, y + 20), x=slice(x, x + 19))
            made = pulsar.flat_masters(part, dark=0).flat_v
            moved = "".join(side[(y + i) % 6][(x + j) % 6] for i in range(6) for j in range(6))
            truth = flat_by_colours(images[:, y : y + 20, x : x + 19], moved)
            np.testing.assert_allclose(made.values, truth, rtol=1e-6)


def test_lights(night, here):
    lights = pulsar.open_frames("darks", kind="light")
    dark, bias = pulsar.dark_masters("darks", 300).dark120s, 300
    tool("makedark", "darks", 300, cwd=here)
    right = pulsar.calibrate("darks/m31_0001.fit", dark="dark120s.fit", bias=bias)
    for cube in (lights, lights * 1.0):
        found = pulsar.calibrate(cube, dark=dark, bias=bias)
        same(found.values, right.values)
    part = {"y": slice(2, 9), "x": slice(3, 30)}
    found = pulsar.calibrate(lights.isel(part), dark=dark.isel(part), bias=bias)
    same(found.values, right.isel(part).values)
    assert list(found.y.values) == list(range(2, 9))
    with pytest.raises(pulsar.PulsarError, match="`dark` has the dims"):
        pulsar.calibrate(lights, dark=pulsar.open_frames("darks", kind="dark"))


def test_they_travel_and_any_scheduler_computes_them(night):
    cube = pulsar.open_frames("darks/d120_0001.fit") * 1.0
    lazy = pulsar.dark_masters(cube, xr.DataArray(np.full(cube.shape[1:], 5.0), dims=("y", "x")))
    right = (median64(night.darks[120]) - 5).astype("f4")
    same(pickle.loads(pickle.dumps(lazy)).dark120s.values, right)
    with dask.config.set(scheduler="processes", num_workers=2):
        same(lazy.dark120s[3:5].values, right[3:5])
    both = dask.compute(lazy.dark120s, pulsar.median(cube), pulsar.median(cube + 1))
    same(both[0].values, right)
    same(both[1].values + 1, both[2].values)


def test_levels_of_a_choice(here):
    images = stack(3, 12, 500, 8, shape=(64, 72))
    images[4] += 60
    write_stack(here / "d", "d", images, "Dark", 60.0)
    cube = pulsar.open_frames("d")
    assert [p[-9:] for p in pulsar.check_frames(cube)] == ["d0005.fit"]
    assert [p[-9:] for p in pulsar.check_frames(cube + 10)] == ["d0005.fit"]
    odd = pulsar.check_frames(cube)
    assert pulsar.check_frames(cube.sel(frame=~cube.file.isin(list(odd)))) == {}


IMAGE = xr.DataArray(np.ones((2, 3)), dims=("y", "x"))
CUBE = IMAGE.expand_dims("frame")
WRONG = {
    r"`spec` has the dims \(y, x\); give \(frame, y, x\) or": IMAGE,
    r"`spec` has the dims \(band, y, x\)": IMAGE.expand_dims("band"),
    r"`spec` has the dims \(frame, row, x\)": CUBE.rename(y="row"),
    r"`spec` has the dims \(\)": IMAGE[0, 0],
    r"`spec` is empty \(3 x 2 x 0 pixels\); give frames": CUBE[:0],
    r"`spec` is a Dataset of several arrays; give one of them \(a\)": CUBE.to_dataset(name="a"),
    r"`spec` is of type Variable; give an xarray.DataArray": CUBE.variable,
    r"`spec` is of type ndarray; give an xarray.DataArray": CUBE.values,
    r"`spec` is of type Array": da.ones((2, 2, 2)),
    r"`spec` has values of type complex128; give real numbers": CUBE * 1j,
    r"`spec` has values of type <U": CUBE.astype(str),
    r"`spec` has values of type object": CUBE.astype(object),
}


@pytest.mark.parametrize(
    "function", ["median", "master", "dark_masters", "flat_masters", "check_frames"]
)
def test_cubes_that_are_none(function):
    for says, value in WRONG.items():
        with pytest.raises(pulsar.PulsarError, match=says):
            getattr(pulsar, function)(value)


@pytest.mark.parametrize("function", ["dark_masters", "flat_masters", "calibrate"])
def test_masters_that_are_none(night, function):
    specs = {"dark_masters": "darks", "flat_masters": "flats", "calibrate": "darks/m31_0001.fit"}
    roles = {"dark_masters": ["bias"], "flat_masters": ["bias", "dark"]}
    for role in roles.get(function, ["bias", "dark", "flat"]):
        for says, value in WRONG.items():
            says = re.sub("; give .*| .3 x.*", "", says.replace("`spec`", f"`{role}`"))
            if "values of" in says:
                value = value.isel(frame=0, drop=True)
            if value is not IMAGE and "empty" not in says:
                with pytest.raises(pulsar.PulsarError, match=says):
                    getattr(pulsar, function)(specs[function], **{role: value})


# --- what is computed once -----------------------------------------------------------------------


def test_lazy_masters_are_computed_once(night, here, tmp_path):
    """Whatever takes them, and however often: of a master that shares something among its tiles,
    such as the levels of flats, each tile would make all of that again."""
    flats = pulsar.flat_masters("flats", dark=100, threads=8)
    assert flats.flat_r.data.npartitions > 7
    counted = []
    counting = flats.flat_r.data.map_blocks(lambda b: (counted.append(1), b)[1], dtype="f4")
    flat = flats.flat_r.copy(data=counting)
    lights = pulsar.open_frames("darks", kind="light")
    done = pulsar.calibrate(lights, flat=flat)
    same(done.values, pulsar.calibrate(lights, flat=flats.flat_r.compute()).values)
    done.compute()
    assert len(counted) <= flats.flat_r.data.npartitions + 1  # dask asks once what they are


def test_a_cube_whose_frames_share_something(night):
    """A mean of all its pixels is not made again for each tile."""
    cube = pulsar.open_frames("darks/d120_0001.fit", threads=8)
    assert not shares(cube.data)
    assert not shares((cube * 2).data)
    assert not shares(cube.isel(frame=[1, 0]).chunk({"y": 3, "x": 4}).data)
    scaled = cube.chunk({"y": 1}) / cube.chunk({"y": 1}).mean(("y", "x"))
    assert shares(scaled.data)
    same(pulsar.median(scaled).values, np.median(scaled.values, 0))


def test_scratch_files_go_with_their_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    values = np.arange(60.0).reshape(3, 4, 5)
    lazy = kept(da.from_array(values, chunks=(3, 2, 5)))
    same(pickle.loads(pickle.dumps(lazy))[1:, 1:].compute(), values[1:, 1:])
    assert len(list(tmp_path.iterdir())) == 1
    del lazy
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_an_array_is_computed_once_for_a_file(night, here):
    """Its files are not counted as its own pixels, else all would be made again for their sums."""
    cube = pulsar.open_frames("darks/d120_0001.fit", threads=8)
    counted = []
    data = (cube.data + 1).map_blocks(lambda b: (counted.append(1), b)[1], dtype=cube.dtype)
    pulsar.to_fits(pulsar.median(cube.copy(data=data)), "m.fit", threads=2)
    same(pixels(here / "m.fit"), median64(night.darks[120]) + 1)
    assert len(counted) <= 2 * data.npartitions
