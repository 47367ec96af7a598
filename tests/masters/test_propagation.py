"""Errors of what is subtracted, from the files that it lies in: darks minus a bias, flats minus a
dark, against the scatter about what was planted; and `verify`."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from helpers import run, same
from night import tool, write_stack

SHAPE = (160, 200)
UNCERT = ("--planes", "uncertainty")


def frames(n, level, noise, seed):
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(level, noise, (n, *SHAPE))).astype("u2")


def uncertainty(path):
    return fits.getdata(path, "UNCERT").astype(float)


def history(path):
    return "".join(map(str, fits.getheader(path)["HISTORY"]))


@pytest.mark.parametrize("method", ["mean", "median"])
def test_what_is_subtracted_has_its_part(here, method):
    n = 5
    how = ("--combine", method, *UNCERT)
    write_stack(here / "b", "b", frames(n, 500, 30, 1), "Bias", 0.0)
    write_stack(here / "d", "d", frames(n, 800, 40, 2), "Dark", 1.0)
    write_stack(here / "f", "f", frames(n, 4300, 60, 3), "Flat", 1.0, "V")
    tool("med", "b", "bias.fit", *how, cwd=here)
    tool("makedark", "d", "bias.fit", *how, cwd=here)
    run("verify", "--all", "dark1s.fit", "dark1s.planes.fit", cwd=here)
    (here / "cosme1s.lst").unlink()  # what is corrected has no dark subtracted
    tool("makeflat", "f", "4000", "--dark", "dark1s.fit", "--bias", "bias.fit", *how, cwd=here)
    bias, dark = uncertainty("bias.planes.fit"), uncertainty("dark1s.planes.fit")
    flat = uncertainty("flat_v.planes.fit")
    for path, truth, error in (("dark1s.fit", 300, dark), ("flat_v.fit", 4000, flat)):
        off = fits.getdata(path).astype(float) - truth
        off -= off.mean()  # what all pixels share is not in it
        assert 0.97 < error.mean() / off.std() < 1.03
    tool("med", "d", "d.fit", *how, cwd=here)
    same(dark.astype("f4"), np.hypot(uncertainty("d.planes.fit"), bias).astype("f4"))
    run("verify", "--all", "flat_v.planes.fit", cwd=here)


def test_planes_of_another_master_are_not_taken(here):
    write_stack(here / "b", "b", frames(5, 500, 30, 1), "Bias", 0.0)
    write_stack(here / "d", "d", frames(5, 800, 40, 2), "Dark", 1.0)
    tool("med", "b", "bias.fit", *UNCERT, cwd=here)
    said = fits.getheader("bias.fit")
    fits.setval("bias.planes.fit", "HISTORY", value="and more")
    done = run("makedark", "d", "bias.fit", *UNCERT, cwd=here)
    assert "bias.planes.fit is of another bias.fit" in done.stderr
    # the noise of a frame is said by the header
    expected = 1.1976 * np.sqrt(float(str(said["HISTORY"]).split("variance ")[1].split()[0]) / 5)
    assert f"error of bias.fit: {expected:.4f}"[:25] in history("dark1s.fit")
    run("verify", "--all", "dark1s.fit", "dark1s.planes.fit", cwd=here)
    tool("med", "d", "d.fit", *UNCERT, cwd=here)
    both = np.hypot(uncertainty("d.planes.fit"), expected)
    np.testing.assert_allclose(uncertainty("dark1s.planes.fit"), both, rtol=1e-4)


def test_what_is_not_known_is_told(here):
    write_stack(here / "d", "d", frames(5, 800, 40, 2), "Dark", 1.0)
    write_stack(here / "f", "f", frames(5, 4300, 60, 3), "Flat", 1.0, "V")
    tool("med", "d", "dark.fit", cwd=here)
    done = run("makeflat", "f", "--dark", "dark.fit", *UNCERT, cwd=here)
    assert "errors are without that of dark.fit, which is not known" in done.stderr
    assert "errors are without that of dark.fit" in history("flat_v.fit")
    run("verify", "--all", "flat_v.fit", "flat_v.planes.fit", cwd=here)
