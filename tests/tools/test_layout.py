"""A master in one file with what CCDData has beside its image: the planes of a run without that,
and a master to everything that reads one."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from few import also
from helpers import run, same
from night import noted, pixels, stack, tool, write_stack

import pulsar_dask as pulsar

ALL = ("--planes", "all")
ONE = ("--layout", "ccddata")
SHAPE = (40, 50)


def native(data):
    return np.asarray(data, data.dtype.newbyteorder("="))


@pytest.fixture
def night(here):
    write_stack(here / "b", "b", stack(1, 6, 300, shape=SHAPE), "Bias")
    write_stack(here / "d", "d", stack(2, 6, 500, shape=SHAPE), "Dark", 1.0)
    write_stack(here / "f", "f", stack(3, 6, 20000, shape=SHAPE), "Flat", 1.0, "V")


@pytest.mark.parametrize("dtype", ["float32", "uint16", *also("float64", "int16")])
def test_it_holds_the_same_planes(here, night, dtype, executing):
    how = ("--dtype", dtype, "--combine", "winsorized", *ALL)
    tool("med", "d", "two.fit", *how, cwd=here)
    tool("med", "d", "one.fit", *ONE, *how, *executing, cwd=here)
    assert not (here / "one.planes.fit").exists()
    image, planes = pixels(here / "two.fit"), here / "two.planes.fit"
    ccd = CCDData.read(here / "one.fit")
    same(native(ccd.data), image)
    assert isinstance(ccd.uncertainty, StdDevUncertainty)
    same(native(ccd.uncertainty.array).astype("f4"), native(fits.getdata(planes, "UNCERT")))
    same(ccd.mask, (fits.getdata(planes, "DQ") & 1).astype(bool))
    with fits.open(here / "one.fit") as one, fits.open(planes) as two:
        assert [hdu.name for hdu in one[1:3]] == ["UNCERT", "MASK"]
        for hdu in two[1:]:
            same(native(one[hdu.name].data).astype(hdu.data.dtype.name), native(hdu.data))
        # Siril takes a file for a sequence, where an extension has the bits of its image
        assert one[0].header["BITPIX"] not in [hdu.header["BITPIX"] for hdu in one[1:]]
    out, _ = tool("verify", "--all", "one.fit", cwd=here)
    for plane in ("uncertainty", "quality", "mask", "std"):
        assert f"one.fit: {image.size} pixels of its {plane} computed again are the same" in out


def test_a_night(here, night):
    """Errors are taken from it, and it is what is called a master."""
    how = ("--planes", "uncertainty", "--output-dir", "two")
    tool("makedark", "d", "b", *how, cwd=here)
    tool("makeflat", "f", "--cosme", "two/cosme1s.lst", "--dark", "two/dark1s.fit", *how, cwd=here)
    how = (*ONE, "--output-dir", "one")
    tool("makedark", "d", "b", *how, cwd=here)
    # a bias of a file: its pixels are not taken for those of its error, nor is the sum of them
    tool("makedark", "d", "one/bias.fit", *ONE, "--output-dir", "more", cwd=here)
    tool("makeflat", "f", "--cosme", "one/cosme1s.lst", "--dark", "one/dark1s.fit", *how, cwd=here)
    assert not list((here / "one").glob("*.planes.fit"))
    for name in ("bias", "dark1s", "flat_v"):
        same(pixels(here / f"one/{name}.fit"), pixels(here / f"two/{name}.fit"))
        error = fits.getdata(here / f"one/{name}.fit", "UNCERT").astype("f4")
        same(error, native(fits.getdata(here / f"two/{name}.planes.fit", "UNCERT")))
    same(
        native(fits.getdata(here / "more/dark1s.fit", "UNCERT")),
        native(fits.getdata(here / "one/dark1s.fit", "UNCERT")),
    )
    out, _ = tool("verify", "--all", "one", "more", cwd=here)
    assert "4 files: 4 good" in out
    shutil.copy2(here / "one" / "dark1s.fit", here / "d")
    out, _ = tool("med", "d", "m.fit", cwd=here)
    assert "passed over: 1 master" in out
    out, _ = tool("med", "one/dark1s.fit", "more/dark1s.fit", "m.fit", cwd=here)
    same(pixels(here / "m.fit"), pixels(here / "one/dark1s.fit"))
    said = run("library", "one", cwd=here).stdout
    assert all(name in said for name in ("bias.fit", "dark1s.fit", "flat_v.fit"))
    write_stack(here / "l", "l", stack(4, 1, 900, shape=SHAPE), "Light", 1.0)
    for at in ("one", "two"):
        tool("calibrate", "=l/l0001.fit", f"{at}.fit", "-d", f"{at}/dark1s.fit", cwd=here)
    same(pixels(here / "one.fit"), pixels(here / "two.fit"))


def test_whose_it_is(here, night):
    tool("med", "d", "m.fit", *ALL, cwd=here)
    tool("med", "d", "m.fit", *ONE, cwd=here)  # what was beside the one before goes
    assert not (here / "m.planes.fit").exists()
    whole = (here / "m.fit").read_bytes()
    with fits.open(here / "m.fit", mode="update", checksum=True) as file:
        file["MASK"].data[2, 3] ^= 1
    out, _ = tool("verify", "--all", "m.fit", cwd=here, status=1)
    assert "what is beside its image in the file is not what was written" in out
    assert f"1 of {SHAPE[0] * SHAPE[1]} pixels of its mask that were computed again differ" in out
    _, err = tool("med", "d", "m.fit", cwd=here, status=1)
    assert (
        "m.fit was changed after pulsar-dask wrote it; name another output or add --overwrite"
        in err
    )
    (here / "m.fit").write_bytes(whole)
    tool("med", "d", "m.fit", cwd=here)
    assert len(fits.open(here / "m.fit")) == 1


def test_an_archive_of_it(here, night):
    """Packed, its image lies behind an empty one."""
    tool("med", "d", "m.fit", *ONE, *ALL, cwd=here)
    with fits.open(here / "m.fit") as file:
        packed = [fits.PrimaryHDU()]
        for hdu in file:
            packed.append(
                fits.CompImageHDU(hdu.data, hdu.header, compression_type="GZIP_2", quantize_level=0)
            )
        packed[1].header.remove("EXTNAME", ignore_missing=True)
        fits.HDUList(packed).writeto(here / "p.fit.fz")
    tool("med", "p.fit.fz", "again.fit", cwd=here)
    same(pixels(here / "again.fit"), pixels(here / "m.fit"))


def test_what_cannot_be(here, night):
    _, err = tool("med", "d", "m.fit", "--dtype", "int32", *ONE, cwd=here, status=1)
    assert "int32 has the bits of its quality" in err
    _, err = tool("med", "d", "m.zarr", *ONE, cwd=here, status=1)
    assert "m.zarr: a Zarr store has its planes as variables, whatever --layout is" in err


def test_a_plane_that_is_no_error(here, night):
    """Where the file beside a master has one plane alone, it is not taken for another."""
    tool("med", "b", "bias.fit", "--planes", "count", cwd=here)
    tool("makedark", "d", "bias.fit", "--planes", "uncertainty", cwd=here)
    tool("med", "b", "bias.fit", "--overwrite", cwd=here)
    tool("makedark", "d", "bias.fit", "--planes", "uncertainty", "--output-dir", "new", cwd=here)
    error = [
        native(fits.getdata(here / at, "UNCERT"))
        for at in ("dark1s.planes.fit", "new/dark1s.planes.fit")
    ]
    same(*error)


def test_in_python(here, night):
    with noted():
        darks = pulsar.dark_masters("d", "b")
        darks.pulsar.to_fits("python", layout="ccddata")
        pulsar.to_fits(darks.dark1s, "alone.fit", layout="ccddata")
        for wrong in ({"layout": "jwst"}, {"layout": "ccddata"}):
            with pytest.raises(pulsar.PulsarError, match="layout"):
                pulsar.to_fits(darks.dark1s + 1, "x.fit", **wrong)
    tool("makedark", "d", "b", *ONE, cwd=here)
    for path in ("python/dark1s.fit", "alone.fit"):
        for hdu in ("PRIMARY", "UNCERT", "MASK", "DQ"):
            same(native(fits.getdata(here / path, hdu)), native(fits.getdata("dark1s.fit", hdu)))


@pytest.mark.skipif(not shutil.which("siril-cli"), reason="Siril is not here")
def test_siril_opens_it(here, night):
    tool("med", "d", "m.fit", *ONE, *ALL, cwd=here)
    (here / "look.ssf").write_text("requires 1.0.0\nload m.fit\nstat\n")
    said = subprocess.run(
        ["siril-cli", "-d", ".", "-s", "look.ssf"], cwd=here, capture_output=True, text=True
    ).stdout
    assert f"Reading FITS: file m.fit, 1 layer(s), {SHAPE[1]}x{SHAPE[0]} pixels" in said
    assert f"Mean: {pixels(here / 'm.fit').mean():.1f}" in said
