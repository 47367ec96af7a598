"""What a cube says of its frames, a coordinate for each setting; and what is said where frames
mix."""

from __future__ import annotations

import astropy.units
import numpy as np
import pytest
import xarray as xr
from helpers import same, write_frame
from night import noted, pixels, stack, tool, write, write_stack

import pulsar_dask as pulsar
from pulsar_dask.frames.table import own_table

SETTINGS = {
    "INSTRUME": "ASI 2600", "XBINNING": 2, "YBINNING": 2, "GAIN": 100, "OFFSET": 50,
    "READOUTM": "Low", "ROWORDER": "TOP-DOWN", "BAYERPAT": "RGGB", "EGAIN": 0.25,
    "SET-TEMP": -10.0, "CCD-TEMP": -9.8, "XORGSUBF": 8, "YORGSUBF": 16,
}  # fmt: skip


def test_a_coordinate_for_each_setting(tmp_path):
    image = np.zeros((2, 3), "i2")
    write_frame(tmp_path / "a.fit", image, cards=SETTINGS | {"IMAGETYP": "Dark", "EXPTIME": 1.0})
    write_frame(tmp_path / "b.fit", image + 1, cards={"IMAGETYP": "Dark", "EXPTIME": 1.0})
    cube = pulsar.open_frames(tmp_path)
    known = {name: list(cube[name].values) for name in cube.coords}
    for name, value in {
        "camera": "ASI 2600", "binning": "2x2", "gain": 100.0, "offset": 50.0, "readout": "Low",
        "roworder": "TOP-DOWN", "bayer": "RGGB", "egain": 0.25, "set_temperature": -10.0,
        "temperature": -9.8, "place": "8x16",
    }.items():  # fmt: skip
        missing = "" if isinstance(value, str) else pytest.approx(np.nan, nan_ok=True)
        assert known[name] == [value, missing], name
    # the table is the one list: each of its words is there, stated or not; the size is the array's
    words = {s.word for s in own_table().settings} - {"size"}
    assert words <= set(cube.coords)
    assert cube.gain.attrs["keyword"] == "GAIN"
    assert cube.sel(frame=cube.gain == 100).sizes["frame"] == 1
    # of keywords that say one thing the first has the word, and others are there where stated
    assert "isospeed" not in cube.coords
    (tmp_path / "iso").mkdir()
    camera = write_frame(tmp_path / "iso" / "c.fit", image, cards={"ISOSPEED": 800})
    camera = pulsar.open_frames(camera)
    same(camera.isospeed.values, [800.0])
    same(camera.gain.values, [np.nan])


def test_a_setting_of_a_users_table(tmp_path):
    table = tmp_path / "mine.toml"
    table.write_text('[settings.focus]\nFOCUSPOS = { name = "at{}" }\n')
    write_frame(tmp_path / "a.fit", np.zeros((2, 3), "i2"), cards={"FOCUSPOS": 7100})
    cube = pulsar.open_frames(tmp_path / "a.fit", search=pulsar.Search(keywords=table))
    same(cube.focus.values, [7100.0])


def test_a_store_has_them_too(here):
    write_stack(here / "d", "d", stack(1, 3, 500), "Dark", 60.0, GAIN=5, SET_TEMP=-10)
    pulsar.write_cube("d", "c.zarr")
    for cube in (pulsar.open_frames("c.zarr"), xr.open_zarr("c.zarr").frames):
        assert list(cube.gain.values) == [5.0] * 3
        assert list(cube.set_temperature.values) == [-10.0] * 3


@pytest.mark.parametrize(
    ("written", "units"),
    [(None, "adu"), ("ADU", "adu"), ("counts", "adu"), ("electron", "electron"), ("e-/s", None),
     ("electron/s", "electron / s")],
)  # fmt: skip
def test_units_that_astropy_takes(tmp_path, written, units):
    write_frame(
        tmp_path / "a.fit", np.zeros((2, 2), "i2"), cards={"BUNIT": written} if written else {}
    )
    cube = pulsar.open_frames(tmp_path / "a.fit")
    assert cube.attrs.get("units") == units
    for array in (cube, *cube.coords.values()):
        if "units" in array.attrs:
            astropy.units.Unit(array.attrs["units"])
    assert written is None or written in cube.attrs["header"]


# --- frames that do not go together ------------------------------------------------------------


@pytest.fixture
def mixed(here):
    """Darks of one gain and of another, a light, and a master of darks."""
    for i in range(3):
        write(here / "n" / f"d{i}.fit", stack(i, 1, 500)[0], "Dark", 60.0, GAIN=100)
    write(here / "n" / "e.fit", stack(5, 1, 500)[0], "Dark", 60.0, GAIN=200)
    write(here / "n" / "l.fit", stack(6, 1, 900)[0], "Light", 60.0, "R", GAIN=100)
    write(here / "n" / "m.fit", stack(7, 1, 500)[0].astype("f4"), "Master Dark", 60.0, GAIN=100)
    return here


def told(function, *args, **more):
    with noted() as texts:
        found = function(*args, **more)
    return found, texts


def test_kinds_that_mix_in_a_cube(mixed):
    cube, texts = told(pulsar.open_frames, "n")
    assert cube.sizes["frame"] == 6
    said = "the frames differ in IMAGETYP (dark and light); the first odd one is l.fit."
    assert texts == [f"the cube: {said} Do they belong into one cube?"]
    _, err = tool("cube", "n", "c.zarr", cwd=mixed)
    assert said in err
    cube, texts = told(pulsar.open_frames, "n", kind="dark")
    assert [str(f)[-6:] for f in cube.file.values] == ["d0.fit", "d1.fit", "d2.fit", "/e.fit"]
    assert (cube.sizes["frame"], texts) == (4, [])  # no master where there are raw frames
    assert pulsar.open_frames("n/m.fit", kind="dark").sizes["frame"] == 1
    with pytest.raises(pulsar.PulsarError, match=r"^No bias frames found in n \("):
        pulsar.open_frames("n", kind="bias")


def test_kinds_and_settings_that_mix_in_a_median(mixed):
    """What `med` says and takes."""
    _, err = tool("med", "n", "all.fit", cwd=mixed)
    master, texts = told(pulsar.median, "n")
    said = [line for line in err.splitlines() if "the frames differ in" in line]
    differ = [text for text in texts if "the frames differ in" in text]
    assert len(said) == len(differ) == 1
    assert differ[0].partition(": ")[2] in said[0].replace("\n", " ")
    for what in ("IMAGETYP (dark and light)", "GAIN (100 and 200)"):
        assert what in differ[0]
    assert any("passed over: m.fit, as masters among raw frames" in text for text in texts)
    same(master.values, pixels(mixed / "all.fit"))
    _, texts = told(pulsar.median, "n", kind="dark")
    assert [text for text in texts if "IMAGETYP" in text or "passed over" in text] == []
    _, texts = told(pulsar.median, "n", kind="dark", search=pulsar.Search(mix="gain"))
    assert texts == []
    with pytest.warns(pulsar.PulsarWarning) as caught:
        pulsar.master("n", "mean")
    assert sorted(w.message.code for w in caught) == ["frames-differ", "passed-over"]
