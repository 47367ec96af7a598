"""What commands say: of the method that was chosen, and of one thing as of one."""

from __future__ import annotations

import re
import shlex
import shutil

import numpy as np
import pytest
from astropy.io import fits
from helpers import run
from night import Night, noted, stack, tool, write, write_stack

import pulsar_dask
from pulsar_dask.cli.examples import EXAMPLES
from pulsar_dask.tools.commands import tools


@pytest.fixture
def night(here):
    for kind, code in (("Bias", None), ("Dark", None), ("Flat", "V")):
        write(here / kind[0].lower() / "one.fit", stack(ord(kind[0]), 1, 900)[0], kind, 2.0, code)
    return here


def warned(text):
    return [line for line in text.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("method", ["mean", "median"])
def test_one_frame_is_named_for_its_method(night, method):
    how = ("--combine", method)
    for words in (
        ("med", "d", "m.fit"),
        ("makedark", "d", "--hot-pixels", "1"),
        ("makeflat", "f", "--dark", "0"),
    ):
        _, err = tool(*words, *how, cwd=night)
        (line,) = [line for line in warned(err) if "one frame" in line]
        assert f"one frame is its own {method}" in line
    for function in (
        lambda: pulsar_dask.dark_masters("d", combine=method),
        lambda: pulsar_dask.flat_masters("f", dark=0, combine=method),
    ):
        with noted() as notes:
            function()
        assert len([n for n in notes if f"one frame is its own {method}" in n]) == 1


@pytest.mark.parametrize("method", ["mean", "median"])
def test_odd_frames_are_asked_for_their_method(night, method):
    _, err = tool("med", "d/one.fit", "b/one.fit", "m.fit", "--combine", method, cwd=night)
    assert f"Do they belong into one {method}?" in err


def flat(text):
    return re.sub(r"\s+", " ", text)


def test_the_help_says_median_only_as_the_default(night):
    for tool_name in ("med", "makedark", "makeflat"):
        text = flat(run(tool_name, "--help", cwd=night).stdout)
        text = re.sub(r"--combine \[.*?\[default: median\]|--center \[.*?\. ", "", text)
        text = text.replace("by their median unless --combine says otherwise", "")
        assert "median" not in text
    assert "the median" not in run("--help", cwd=night).stdout


def test_the_help_of_planes(night):
    for tool_name, store in (("med", True), ("makedark", False), ("makeflat", False)):
        text = flat(run(tool_name, "--help", cwd=night).stdout)
        (of_planes,) = re.findall(r"--planes NAME,… (.*?all takes each of them\.)", text)
        assert "NAME.planes.fit" in of_planes
        assert "count (how many values were used)" in of_planes
        assert (".zarr" in of_planes) == store


@pytest.mark.parametrize(
    ("missing", "dtype", "says"),
    [
        (1, "float32", "1 pixel has no value in any frame and is NaN"),
        (2, "float32", "2 pixels have no value in any frame and are NaN"),
        (1, "int16", "1 pixel has no value in any frame and is 0"),
        (2, "int16", "2 pixels have no value in any frame and are 0"),
    ],
)
def test_missing_pixels(here, missing, dtype, says):
    images = stack(0, 3, 500).astype("f4")
    images[:, 3, :missing] = np.nan
    write_stack(here / "d", "d", images, "Dark", 1.0)
    _, err = tool("med", "d", "m.fit", "--dtype", dtype, cwd=here)
    assert f"m.fit: {says}\n" in err


@pytest.mark.parametrize(
    ("n", "says"),
    [
        (1, "1 pixel did not fit uint8 and was clipped"),
        (3, "3 pixels did not fit uint8 and were clipped"),
    ],
)
def test_clipped_pixels(here, n, says):
    images = np.full((3, 4, 5), 7, "i2")
    images[:, 1, :n] = 999
    write_stack(here / "d", "d", images, "Dark", 1.0)
    _, err = tool("med", "d", "m.fit", "--dtype", "uint8", cwd=here)
    assert f"m.fit: {says}\n" in err


def test_pixels_without_a_good_neighbour(here):
    (here / "c.lst").write_bytes(b"P 0 0\r\nP 1 0\r\n")
    for images, says in (
        (np.full((1, 1, 2), 900, "i2"), "2 values of listed pixels have no good neighbour"),
        (np.full((1, 1, 1), 900, "i2"), "1 value of listed pixels has no good neighbour"),
    ):
        if images.size == 1:
            (here / "c.lst").write_bytes(b"P 0 0\r\n")
        write_stack(here / "f", "f", images, "Flat", 1.0, "V")
        _, err = tool("makeflat", "f", "--dark", 0, "--cosme", "c.lst", "--overwrite", cwd=here)
        assert f"{says} in the frame and stay" in err


def test_one_of_each(here):
    write(here / "x" / "m.fit", stack(0, 1, 500)[0], "Light", 1.0)
    _, err = tool("makedark", "x", cwd=here, status=1)
    assert "No dark frames found in x (1 with IMAGETYP 'Light'); raw dark frames" in err
    out, _ = tool("make_cosme", "x/m.fit", "c.lst", "--hot-pixels", 1, cwd=here)
    assert "c.lst: 1 hottest pixel\n" in out


def test_paths_are_named_as_they_were_typed(here):
    (here / "d").mkdir()
    (here / "d" / "bad.fit").write_text("no image")
    there = str(here / "d")
    for spec, named, folder in (
        ("d/", "d/bad.fit", here),
        (there, f"{there}/bad.fit", here),
        ("../d", f"{there}/bad.fit", here / "e"),
    ):
        folder.mkdir(exist_ok=True)
        err = run("med", spec, "o.fit", cwd=folder, status=1).stderr
        assert f"error: {named}: not a FITS file" in err


def test_each_tool_has_examples():
    names = {command.name for command in tools.commands.values()}
    assert not names - set(EXAMPLES)


def test_examples_of_the_help_run(here):
    """Each as it stands there, in a night."""
    Night(here)
    (here / "list.txt").write_text("bias0001.fit\nbias0002.fit\n")
    light = stack(3, 1, 1000)[0]
    hot = np.random.default_rng(1).choice(light.size, 40, replace=False)
    for path in (here / "darks").glob("d300*"):  # enough hot pixels for darkopt
        with fits.open(path, mode="update") as (hdu,):
            hdu.data.flat[hot] += 3000
    light.flat[hot] += 1200
    write(here / "lights" / "m31_0001.fit", light, "Light Frame", 120.0, "L")
    (here / "calibrated").mkdir()
    for name, examples in EXAMPLES.items():
        text = flat(run(name, "--help", cwd=here).stdout)
        if name == "autocalibrate":
            shutil.copy(here / "flat_l.fit", here / "masters")
        for line, words in examples:
            assert f"{line} {words}" in text
            arguments = shlex.split(line.removeprefix("pulsar-dask "))
            run(*arguments, cwd=here, status=0)
