"""Files with several images: none is taken in silence, and what was chosen stays known."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from helpers import exact_median, run, same

IMAGES = np.random.default_rng(5).integers(0, 999, (2, 3, 20, 30)).astype("i2")


@pytest.fixture
def ccds(tmp_path):
    for i in range(3):
        hdus = [fits.ImageHDU(IMAGES[k, i], name=name) for k, name in enumerate(("blue", "red"))]
        primary = fits.PrimaryHDU(header=fits.Header({"IMAGETYP": "Bias", "OBSERVER": "x"}))
        fits.HDUList([primary, *hdus]).writeto(tmp_path / f"b{i}.fits")
    return tmp_path


@pytest.mark.parametrize("wanted", ["red", 2, "RED,1"])
def test_one_of_two_images(ccds, wanted):
    for line in (["med", "b*.fits", "m.fit"], ["cube", "b*.fits", "c.zarr"]):
        said = run(*line, cwd=ccds, status=1).stderr
        assert "2 images in this file (HDU 1 BLUE, 2 RED); --hdu" in said
        run(*line, "--hdu", wanted, cwd=ccds)
        run("verify", line[-1], cwd=ccds)
    same(fits.getdata(ccds / "m.fit"), exact_median(IMAGES[1]).astype("f4"))
    history = list(map(str, fits.getheader(ccds / "m.fit")["HISTORY"]))
    assert sum(text.endswith(f" HDU {wanted}") for text in history) == 3
    with fits.open(ccds / "b1.fits", "update") as hdus:  # the other one does not matter
        hdus["blue"].data[0, 0] += 1
    run("verify", "m.fit", cwd=ccds)
    with fits.open(ccds / "b1.fits", "update") as hdus:
        hdus["red"].data[0, 0] += 1
    run("verify", "m.fit", cwd=ccds, status=1)
    run("verify", "c.zarr", cwd=ccds, status=1)


def test_an_image_that_is_not_there(ccds):
    for wanted in ("green", 0, 3):
        said = run("med", "b*.fits", "m.fit", "--hdu", wanted, cwd=ccds, status=1).stderr
        assert "it holds 2 images (HDU 1 BLUE, 2 RED)" in said
    run("med", "b*.fits", "m.fit", "--hdu", " ", cwd=ccds, status=2)
