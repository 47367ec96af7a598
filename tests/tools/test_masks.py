"""Masks: lists as images, written and read."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from helpers import same
from night import hottest, pixels, stack, tool, write, write_stack


@pytest.fixture
def dark(here):
    image = np.random.default_rng(1).normal(100, 3, (70, 90)).astype("f4")
    image[5, 7] += 900
    image[:, 40] += 40
    image[33, :] += 50
    write(here / "dark.fit", image, "Master Dark", 1.0)
    return image


def test_the_pixels_of_the_list(here, dark):
    out, _ = tool("make_cosme", "dark.fit", "hot.fit", "--hot-pixels", 30, cwd=here)
    assert "hot.fit: 30 hottest pixels, as a mask" in out
    x, y = np.transpose(hottest(dark, 30))
    wanted = np.zeros(dark.shape, "u1")
    wanted[y, x] = 1
    same(pixels(here / "hot.fit"), wanted)
    assert pixels(here / "hot.fit").dtype == "u1"
    tool("make_cosme", "dark.fit", "bad.fit", "--hot", 30, cwd=here)
    bad = pixels(here / "bad.fit")
    assert (bad[:, 40].all(), bad[33].all(), bad[5, 7]) == (True, True, 1)
    assert bad.sum() == 70 + 90 - 1 + 1


@pytest.mark.parametrize("how", [("--hot-pixels", 30), ("--hot", 30)])
def test_it_is_read_as_a_list(here, dark, how):
    write_stack(here / "f", "f", stack(3, 4, 20000, shape=dark.shape), "Flat", 1.0, "V")
    for name in ("bad.lst", "bad.fit"):
        tool("make_cosme", "dark.fit", name, *how, cwd=here)
        told = ("--dark", 50, "--cosme", name, "--output-dir", name[-3:])
        tool("makeflat", "f", *told, cwd=here)
        tool("cosme", "=f/f0001.fit", f"{name[-3:]}.fit", name, cwd=here)
    same(pixels(here / "fit/flat_v.fit"), pixels(here / "lst/flat_v.fit"))
    same(pixels(here / "fit.fit"), pixels(here / "lst.fit"))
    out, _ = tool("verify", "fit/flat_v.fit", cwd=here)
    assert "computed again are the same" in out
    fits.setval(here / "bad.fit", "OBSERVER", value="me")
    out, _ = tool("verify", "fit/flat_v.fit", cwd=here, status=1)
    assert "list bad.fit" in out


def test_whose_it_is(here, dark):
    tool("make_cosme", "dark.fit", "bad.fit", "--hot-pixels", 3, cwd=here)
    tool("make_cosme", "dark.fit", "bad.fit", "--hot-pixels", 4, cwd=here)
    assert pixels(here / "bad.fit").sum() == 4
    with fits.open(here / "bad.fit", mode="update") as file:
        file[0].data[0, 0] = 1
    _, err = tool("make_cosme", "dark.fit", "bad.fit", cwd=here, status=1)
    assert "bad.fit was changed after pulsar-dask wrote it" in err
    tool("make_cosme", "dark.fit", "bad.fit", "--overwrite", cwd=here)
    write_stack(here / "d", "d", stack(3, 4, 500, shape=dark.shape), "Dark", 1.0)
    (here / "bad.fit").rename(here / "d" / "dark_bad.fit")
    out, _ = tool("makedark", "d", cwd=here)
    assert "4 darks" in out
    tool("med", "d", "d/m.fit", cwd=here)
    out, _ = tool("verify", "d", cwd=here)
    assert "passed over: 4 raw frames, 1 mask\n" in out


def test_what_is_no_mask(here, dark):
    write_stack(here / "f", "f", stack(3, 4, 20000, shape=dark.shape), "Flat", 1.0, "V")
    write(here / "small.fit", np.zeros((4, 5), "u1"))
    for name, said in {
        "dark.fit": "dark.fit: no mask, which has whole numbers, 0 where pixels are good",
        "f/f0001.fit": "6300 pixels of 6300 are not 0",
        "small.fit": "small.fit: a mask of 5 x 4 pixels, and the image has 90 x 70",
    }.items():
        _, err = tool("makeflat", "f", "--dark", 50, "--cosme", name, cwd=here, status=1)
        assert said in err
    for name, more in {"bad.fit": ("--origin", "top"), "bad.fit.gz": ()}.items():
        _, err = tool("make_cosme", "dark.fit", name, *more, cwd=here, status=1)
        assert "a mask lies as its image and is not compressed" in err
