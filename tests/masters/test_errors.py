"""Standard errors of masters against the scatter of masters of planted frames, for each method;
what is counted; and through tools, stores, clusters and `verify`."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from few import also
from helpers import run, same
from night import stack, tool, write_stack

import pulsar_dask
from pulsar_dask import combine
from pulsar_dask.kernels.errors import errors
from pulsar_dask.kernels.noise import fit
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.masters.errors import asked, median_factor, needs

PLANES = ("std", "uncertainty")
PIXELS = 12_000


def planted(frames, share=0.0, level=20.0):
    rng = np.random.default_rng([frames, 7])
    truth = np.full(PIXELS, 500 + level)
    values = np.rint(rng.poisson(level, (frames, PIXELS)) + rng.normal(500, 3, (frames, PIXELS)))
    good = rng.random(values.shape) >= share
    values[~good] += np.rint(5.4 * 10 ** rng.uniform(1, 3, (~good).sum()))
    few = (~good).sum(axis=0) >= frames / 2  # there no method can know
    values[:, few], good[:, few] = truth[few], True
    return values, truth, ~few


def made_by(name, values, noise, **numbers):
    method = combine.method(name, numbers)
    if name == "ccdclip":
        method = method.knowing(noise or fit(values.copy(), 1.0), len(values))
    wanted = ("image", *needs(PLANES))
    made = method.block(values.copy(), PixelType(-64), wanted, compiled=True)
    made = (
        {"count": np.full(PIXELS, len(values), "i4")}
        | {name: np.zeros(PIXELS, "i4") for name in ("low", "high", "outlier")}
        | dict(made)
    )
    return made, errors(made, **asked(made, method, noise, PLANES))


@pytest.mark.parametrize("frames", [3, 5, 10, 20, 51])
@pytest.mark.parametrize("name", ["median", "mean", "minmax", "sigclip", "winsorized", "ccdclip"])
def test_the_error_is_the_scatter(name, frames):
    share = 0.0 if name in ("mean", "minmax", "sigclip") or frames < 4 else 0.01
    # the steps of whole numbers make a median coarser than that of normal noise
    level = 2000.0 if name == "median" else 20.0
    values, truth, there = planted(frames, share, level)
    for noise in (fit(values.copy(), 1.0), None):
        made, found = made_by(name, values, noise)
        off = (made["image"] - truth)[there]
        error = found["uncertainty"][there]
        if noise is None and (frames < 10 or (name == "minmax" and frames < 20)):
            continue  # from so few values of its own it is not held to that
        scatter = float(np.sqrt(np.mean(off**2)))
        most = 1.04 if frames < 5 else 1.03
        assert 1 / most <= scatter / float(np.mean(error)) <= most
        if noise is not None:
            assert np.std(off / error) == pytest.approx(1, abs=most - 1)
        if frames >= 10 and name not in ("median", "mean", "minmax"):
            assert np.nanmean(found["std"]) == pytest.approx(np.sqrt(29 + 1 / 12), rel=0.02)


def test_the_factor_of_a_median():
    """By the same sums on drawn values."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 4, 9, 20, 25, 50, 101):
        drawn = np.median(rng.normal(size=(n, 40_000)), axis=0).std() * np.sqrt(n)
        assert median_factor(np.array(n)) == pytest.approx(drawn, rel=0.012)


@pytest.mark.parametrize("name", ["median", "mean", "minmax", "sigclip", "winsorized", "ccdclip"])
def test_all_values_are_counted(name):
    values, _, _ = planted(12, 0.03)
    values[np.random.default_rng(1).random(values.shape) < 0.2] = np.nan
    values[:, 0] = np.nan
    made, found = made_by(name, values, fit(values.copy(), 1.0))
    missing = np.isnan(values).sum(axis=0)
    same(made["count"] + made["low"] + made["high"] + missing, np.full(PIXELS, 12))
    assert np.isnan([found["std"][0], found["uncertainty"][0], made["image"][0]]).all()
    kept = np.sort(values, axis=0)[:, 5]
    kept = kept[made["low"][5] : made["low"][5] + made["count"][5]]
    if name in ("mean", "minmax"):
        expected = np.std(kept, ddof=1) / (1 - 1 / (4 * (len(kept) - 1)))
        assert found["std"][5] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["auto", *also("ccdclip", "median", "minmax")])
def test_through_all_tools(here, cluster, name):
    """Files, stores, a cluster and a notebook hold the same, and `verify` makes it again."""
    night = {"b": stack(1, 9, 300), "d": stack(2, 12, 500), "f": stack(3, 9, 20000)}
    for kind, label, code in (("b", "Bias", None), ("d", "Dark", None), ("f", "Flat", "V")):
        write_stack(here / kind, kind, night[kind], label, 1.0, code)
    how = ("--combine", name, "--planes", "all")
    tool("makedark", "d", "b", *how, cwd=here)
    tool("makeflat", "f", *how, cwd=here)
    tool("med", "d", "m.zarr", *how, "--scheduler", cluster.address, cwd=here)
    masters = ("bias.fit", "dark1s.fit", "flat_v.fit", "m.zarr")
    more = ("bias.planes.fit", "dark1s.planes.fit", "flat_v.planes.fit")
    out = run("verify", "--all", *masters, *more, cwd=here).stdout
    assert "differ" not in out.replace("0 differ", "")
    header = fits.getheader(here / "dark1s.fit")
    chosen = "ccdclip" if name == "auto" else name
    assert header["COMBMETH"] == chosen
    assert "noise of a frame: variance " in "".join(map(str, header["HISTORY"]))
    with fits.open(here / "dark1s.planes.fit") as dark, fits.open(here / "bias.planes.fit") as bias:
        planes = {hdu.name: hdu.data for hdu in dark[1:]}
        assert list(planes) == ["COUNT", "NLOW", "NHIGH", "STD", "UNCERT", "DQ"]
        same(planes["COUNT"] + planes["NLOW"] + planes["NHIGH"], np.full(night["d"][0].shape, 12))
        assert dark["UNCERT"].header["UTYPE"] == "StdDevUncertainty"
        own = pulsar_dask.master(str(here / "d"), name, planes="all").compute()
        both = np.hypot(own["uncertainty"].values, bias["UNCERT"].data)
        same(planes["UNCERT"], both.astype("f4"))
        same(planes["STD"], own["std"].values)
    store = (
        pulsar_dask.open_master(here / "m.zarr") if hasattr(pulsar_dask, "open_master") else None
    )
    if store is not None:
        same(store["uncertainty"].values, own["uncertainty"].values)


def test_a_noise_that_is_given(here):
    write_stack(here / "d", "d", stack(2, 12, 500), "Dark", 1.0)
    how = ("--combine", "ccdclip", "--rdnoise", "8", "--gain", "1.5")
    tool("med", "d", "m.fit", *how, cwd=here)
    history = "".join(map(str, fits.getheader(here / "m.fit")["HISTORY"]))
    assert f"variance={(8 / 1.5) ** 2:.3f}"[:12] in history
    run("verify", "--all", "m.fit", cwd=here)
    out = run("med", "d", "n.fit", "--combine", "ccdclip", "--gain", "1", cwd=here, status=2)
    assert "takes rdnoise and gain together" in out.stderr


def amplifiers(sd, frames=5, shape=(80, 202)):
    """Frames of a level whose noise is `sd` of rows and columns from 0 to 1, and that noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = sd(y / shape[0], x / shape[1])
    rng = np.random.default_rng(0)
    return rng.normal(500, noise, (frames, *shape)).round().astype("u2"), noise


@pytest.mark.few
@pytest.mark.parametrize(
    "sd",
    [
        lambda y, x: np.where(x < 0.5, 6.0, 15.0),
        lambda y, x: np.where(y < 0.5, 6.0, 15.0),
        lambda y, x: 6 + 4 * (x >= 0.5) + 8 * (y >= 0.5),
        lambda y, x: np.choose((4 * x).astype(int), [6, 15, 9, 20]) + 0.0,
    ],
)
@pytest.mark.parametrize("name", ["auto", "median"])
def test_amplifiers_have_their_own_noise(here, sd, name):
    frames, noise = amplifiers(sd)
    frames[2, 7, 3], frames[1, 60, 190] = 500 + 60, 500 + 48  # 10 deviations, and about 3
    write_stack(here / "d", "d", frames, "Dark", 1.0)
    how = ("--combine", name, "--planes", "all")
    tool("med", "d", "m.fit", *how, cwd=here)
    header = fits.getheader(here / "m.fit")
    history = "".join(map(str, header["HISTORY"]))
    assert history.count("noise of a frame in [") in (2, 4)
    error = fits.getdata(here / "m.planes.fit", "UNCERT").astype(float)
    off = fits.getdata(here / "m.fit") - 500.0
    for level in np.unique(noise):
        where = noise == level
        scatter = np.sqrt(np.mean(off[where] ** 2))
        assert error[where].mean() / scatter == pytest.approx(1, abs=0.04)
    assert np.std(off / error) == pytest.approx(1, abs=0.025)
    if name == "auto":
        assert header["COMBMETH"] == "ccdclip"
        high = fits.getdata(here / "m.planes.fit", "NHIGH")
        assert high[7, 3] == 1
        assert high[60, 190] == 0
    run("verify", "--all", "m.fit", "m.planes.fit", cwd=here)


@pytest.mark.more
def test_amplifiers_of_bias_and_flats(here, cluster):
    """Through all tools, in tiles of any size, on workers; and `verify`."""
    sd = lambda y, x: np.where(x < 0.5, 6.0, 15.0)  # noqa: E731
    for kind, label, level in (("b", "Bias", -100), ("d", "Dark", 0), ("f", "Flat", 9000)):
        frames, _ = amplifiers(sd)
        write_stack(here / kind, kind, frames + np.uint16(level % 65536), label, 1.0)
    how = ("--combine", "ccdclip", "--planes", "all")
    tool("makedark", "d", "b", *how, cwd=here)
    tool("makeflat", "f", "--filter", "V", *how, cwd=here)
    tool("med", "d", "m.zarr", *how, "--scheduler", cluster.address, cwd=here)
    masters = ("bias.fit", "dark1s.fit", "flat_v.fit", "m.zarr", "bias.planes.fit")
    out = run("verify", "--all", *masters, "dark1s.planes.fit", "flat_v.planes.fit", cwd=here)
    assert "differ" not in out.stdout.replace("0 differ", "")
    own = pulsar_dask.master(str(here / "d"), "ccdclip", planes="all").compute()
    bias = fits.getdata(here / "bias.planes.fit", "UNCERT")
    both = np.hypot(own["uncertainty"].values, bias)
    same(fits.getdata(here / "dark1s.planes.fit", "UNCERT"), both.astype("f4"))


def test_noise_that_does_not_follow_the_level(here):
    """No part of the sensor has one noise: auto takes what needs no model."""
    frames, noise = amplifiers(lambda y, x: 3 + 9 * x, frames=12, shape=(64, 200))
    write_stack(here / "d", "d", frames, "Dark", 1.0)
    tool("med", "d", "m.fit", "--combine", "auto", "--planes", "uncertainty", cwd=here)
    header = fits.getheader(here / "m.fit")
    assert header["COMBMETH"] == "winsorized"
    history = "".join(map(str, header["HISTORY"]))
    assert "times the noise of the rest at the same level" in history
    error = fits.getdata(here / "m.planes.fit", "UNCERT")
    assert (error / noise).mean() == pytest.approx(1 / np.sqrt(12), rel=0.1)
    run("verify", "--all", "m.fit", "m.planes.fit", cwd=here)
    out = run("med", "d", "n.fit", "--combine", "ccdclip", cwd=here, status=1)
    assert "give it with --rdnoise and --gain, or take --combine winsorized" in out.stderr
