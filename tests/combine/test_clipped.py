"""Means of what is kept: against masks in NumPy, whole numbers in Python, astropy and IRAF; through
tools, `verify` and a cluster; and what is gained on planted sensors."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import warnings
from fractions import Fraction

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import sigma_clip
from few import also
from helpers import OTHER_SIGN, STORED, images, run, same, scalings, values
from hypothesis import given
from hypothesis import strategies as st
from night import stack, tool, write_stack

import pulsar_dask
from pulsar_dask import combine
from pulsar_dask.errors import PulsarError, PulsarWarning
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.masters.fitted import grain

METHODS = ("minmax", "sigclip", "winsorized", "ccdclip")
#: A noise for values about 110.
NOISE = {"variance": 16.0, "slope": 0.5, "square": 0.001, "level": 110.0, "floor": 9.0}


def deviation(kept):
    """Sample standard deviation; of whole numbers exact but for the last division and root."""
    n = len(kept)
    if all(v == int(v) for v in kept) and max(kept) - min(kept) < 2**31 / n:
        whole = [int(v - kept[0]) for v in kept]
        square = n * sum(v * v for v in whole) - sum(whole) ** 2
        return math.sqrt(float(square) / float(n * (n - 1)))
    return float(np.std(np.array(kept) - kept[0], ddof=1))


def winsor(kept, centre):
    s = deviation(kept)
    for _ in range(25):
        pulled = np.clip(kept, centre - 1.5 * s, centre + 1.5 * s)
        new = 1.134 * float(np.std(pulled - centre, ddof=1))
        if abs(new - s) <= 0.0005 * s:
            return new
        s = new
    return s


def left_by_noise(kept, method):
    every, near, n = kept, False, len(kept)
    least = math.ceil(n / 2)
    if method.nkeep is not None:
        least = int(method.nkeep) if method.nkeep >= 0 else n + int(method.nkeep)
    for _ in range(int(method.maxiters)):
        if len(kept) < 3:
            break
        centre = float(np.median(kept))
        s = math.sqrt(float(method.noise.at(centre)))
        if method.maxiters == 1 and len(kept) >= 10:
            s = max(s, 0.7 * 1.482602218505602 * float(np.median(np.abs(np.array(kept) - centre))))
        q = method.grain or 0.0
        s = max(s, q / math.sqrt(12))
        low = min(centre - method.low * s, centre - q)
        high = max(centre + (method.high or 3.5) * s, centre + q)
        near |= any(abs(v - limit) < 1e-9 * (s + abs(v)) for v in kept for limit in (low, high))
        within = [v for v in kept if low <= v <= high]
        if len(within) < min(least, n):
            return [float(np.median(every))] * n, near  # the median of all
        if len(within) == len(kept):
            break
        kept = within
    return kept, near


def left(column, method):
    """What a method keeps of values, by comparing each with limits; and whether one lies so near to
    a limit that rounding decides."""
    kept, near = sorted(v for v in column if np.isfinite(v)), False
    n = len(kept)
    if method.name == "ccdclip":
        return left_by_noise(kept, method)
    if method.name == "minmax":
        low, high = (int(k * n / len(column) + 0.001) for k in (method.nlow, method.nhigh))
        return (kept[low : n - high] if n > 2 else kept), False
    if n < (4 if method.name == "winsorized" else 3):
        return kept, False
    least = max(3, math.ceil(n / 2))
    if method.nkeep is not None:
        least = int(method.nkeep) if method.nkeep >= 0 else n + int(method.nkeep)
    q = method.grain or 0.0
    for _ in range(int(method.maxiters)):
        if len(kept) < 3:
            break
        centre = float(np.median(kept))
        if method.name == "winsorized":
            s = winsor(kept, centre)
        else:
            s = deviation(kept)
            if method.center:
                centre = float(sum(map(Fraction, kept)) / len(kept))
        s = max(s, q / math.sqrt(12))
        low, high = (
            min(centre - method.low * s, centre - q),
            max(centre + method.high * s, centre + q),
        )
        near |= any(abs(v - limit) < 1e-9 * (s + abs(v)) for v in kept for limit in (low, high))
        within = [v for v in kept if low <= v <= high]
        if len(within) < min(least, n):
            far = sorted(abs(v - centre) for v in kept)[min(least, n) - 1] if least > 0 else -1
            return [v for v in kept if abs(v - centre) <= far], near
        if len(within) == len(kept):
            break
        kept = within
    return kept, near


def check(stored, pixels, truth, method):
    """One block against the oracle."""
    made = method.block(stored, pixels, ("image", "count"), compiled=True)
    for j, column in enumerate(truth.T):
        kept, near = left([float(v) for v in column], method)
        if near:
            continue
        assert made["count"][j] == len(kept), (column, method)
        if not kept:
            assert np.isnan(made["image"][j])
            continue
        exact = float(sum(map(Fraction, kept)) / len(kept))
        if pixels.bitpix > 0 and max(map(abs, kept)) < 2**31 and not pixels.scaled:
            assert made["image"][j] == exact
        else:
            scale = max(map(abs, kept)) * 1e-12
            assert abs(made["image"][j] - exact) <= scale


def methods(data):
    name = data.draw(st.sampled_from(METHODS))
    if name == "minmax":
        return combine.method(name, {"nlow": data.draw(st.integers(0, 1)), "nhigh": 1})
    more = {"center": data.draw(st.sampled_from([0, 1]))} if name == "sigclip" else {}
    more |= NOISE if name == "ccdclip" else {}
    more["low"], more["high"] = (data.draw(st.sampled_from([1.0, 1.5, 2.5, 3.0])) for _ in "lh")
    if data.draw(st.booleans()):
        more["nkeep"] = data.draw(st.integers(-3, 6))
    more["grain"] = data.draw(st.sampled_from([0.0, 1.0]))
    return combine.method(name, more | {"maxiters": data.draw(st.integers(1, 5))})


@given(st.data())
def test_any_stack(data):
    bitpix = data.draw(st.sampled_from(sorted(STORED)))
    cards = data.draw(scalings(bitpix))
    frames, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 20))
    stored = data.draw(images(STORED[bitpix], (frames, width)))
    truth = values(stored, **cards)
    spread = np.abs(truth[np.isfinite(truth)])
    if bitpix == 64 or (spread.size and spread.max() > 1e12):
        return  # squares of those are the business of the test below
    with np.errstate(all="ignore"):
        check(stored, PixelType(bitpix, **cards), truth, methods(data))


@pytest.mark.parametrize("bitpix", sorted(STORED))
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 10, 17, 64, 65, 150, 300])
def test_noise_with_hits(bitpix, frames):
    rng = np.random.default_rng([frames, bitpix + 100])
    truth = rng.normal(110, 4, (frames, 24))
    truth[rng.random(truth.shape) < 0.05] += rng.uniform(20, 130)
    truth[:, 3] = np.where(np.arange(frames) % 2, 90, 125)  # two levels: of none are there many
    stored = truth.astype(STORED[bitpix])
    pixels = PixelType(bitpix)
    if bitpix < 0:
        stored[rng.random(stored.shape) < 0.05] = np.nan
    else:
        pixels = PixelType(bitpix, 1.0, OTHER_SIGN.get(bitpix, 0.0), blank=113)
    kept = values(stored, bzero=pixels.bzero, blank=pixels.blank)
    for name in METHODS:
        if name == "minmax" or bitpix != 64:
            more = NOISE if name == "ccdclip" else {}
            check(stored.astype(pixels.stored), pixels, kept, combine.method(name, more))


def test_values_beyond_all_bounds():
    """No overflow may reject a value, or make the mean of some infinite."""
    big = np.array([[1.7e308, -1.7e308, 1e200], [1.6e308, 1.7e308, 2e200], [1.7e308, 0, 1e200]] * 4)
    for name in METHODS:
        made = combine.method(name).block(big, PixelType(-64), ("image", "count"), compiled=True)
        assert np.isfinite(made["image"]).all(), name


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_frames_does_not_matter(name):
    rng = np.random.default_rng(3)
    for dtype, bitpix in (("i2", 16), ("f4", -32)):
        frames = rng.normal(500, 9, (23, 400)).astype(dtype)
        made = [
            combine.method(name).block(f.copy(), PixelType(bitpix), ("image",), compiled=True)
            for f in (frames, frames[::-1], frames[rng.permutation(23)])
        ]
        for other in made[1:]:
            same(made[0]["image"], other["image"])


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("frames", [5, 10, 20, 50])
def test_sigclip_is_astropys(frames, sigma):
    rng = np.random.default_rng(frames)
    stored = np.rint(rng.normal(500, 6, (frames, 3000)))
    stored[rng.random(stored.shape) < 0.02] += 200
    method = combine.method(
        "sigclip", {"low": sigma, "high": sigma, "maxiters": 20, "nkeep": 0, "grain": 0}
    )
    made = method.block(stored.astype("i2"), PixelType(16), ("image", "count"), compiled=True)
    clipped = sigma_clip(
        stored, sigma=sigma, maxiters=20, axis=0, cenfunc=np.nanmedian,
        stdfunc=lambda a, axis: np.nanstd(a, axis=axis, ddof=1),
    )  # fmt: skip
    same(made["count"], (~clipped.mask).sum(axis=0))
    np.testing.assert_allclose(made["image"], clipped.mean(axis=0).data, rtol=1e-14)


def imcombine(tmp_path, frames, words):
    """What IRAF makes of them."""
    if shutil.which("irafcl") is None:
        pytest.skip("IRAF is not installed")
    for i, frame in enumerate(frames):
        fits.PrimaryHDU(frame).writeto(tmp_path / f"f{i:02d}.fits")
    script = (
        f"images\nimmatch\nimcombine f??.fits o.fits combine=average {words} "
        "outtype=double\nlogout\n"
    )
    (tmp_path / "login.cl").write_text("")
    subprocess.run(
        ["irafcl"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=120
    )
    if not (tmp_path / "o.fits").exists():
        pytest.skip("IRAF does not run here")
    return fits.getdata(tmp_path / "o.fits").ravel()


def test_minmax_is_irafs(tmp_path):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 1000, (9, 40, 50)).astype("i2")
    truth = imcombine(tmp_path, frames, "reject=minmax nlow=1 nhigh=2")
    method = combine.method("minmax", {"nlow": 1, "nhigh": 2})
    made = method.block(frames.reshape(9, -1), PixelType(16), ("image",), compiled=True)
    np.testing.assert_allclose(made["image"], truth, rtol=1e-6)


def test_ccdclip_is_irafs(tmp_path):
    """Again and again until nothing goes; in IRAF the noise is that of the level above 0."""
    rng = np.random.default_rng(2)
    frames = rng.poisson(300, (15, 40, 50)) + rng.normal(0, 4, (15, 40, 50))
    frames[rng.random(frames.shape) < 0.04] += 400
    frames = frames.round().astype("i2")
    words = "reject=ccdclip mclip=yes lsigma=5 hsigma=3.5 rdnoise=6. gain=1.5 snoise=0. nkeep=1"
    truth = imcombine(tmp_path, frames, words)
    noise = {"variance": 16.0, "slope": 1 / 1.5, "square": 0, "level": 0, "floor": 16.0}
    method = combine.method("ccdclip", {"maxiters": 100, "nkeep": 1, "grain": 0, **noise})
    made = method.block(frames.reshape(15, -1), PixelType(16), ("image", "count"), compiled=True)
    np.testing.assert_allclose(made["image"], truth, rtol=1e-6)
    assert (made["count"] < 15).mean() > 0.3


@pytest.mark.parametrize("frames", [10, 20])
def test_winsorized_is_sirils(tmp_path, frames):
    """But where Siril rounds limits, and the scale, of 16-bit numbers."""
    if shutil.which("siril-cli") is None:
        pytest.skip("Siril is not installed")
    rng = np.random.default_rng(frames)
    values = rng.normal(2000, 30, (frames, 60, 80))
    values[rng.random(values.shape) < 0.01] += 800
    values = values.round().astype("u2")
    for i, frame in enumerate(values):
        fits.PrimaryHDU(frame).writeto(tmp_path / f"f_{i + 1:05d}.fit")
    script = "requires 0.99.0\nset32bits\nstack f_ rej w 3 3 -nonorm -out=o\nclose\n"
    (tmp_path / "s.ssf").write_text(script)
    subprocess.run(
        ["siril-cli", "-d", str(tmp_path), "-s", str(tmp_path / "s.ssf")],
        capture_output=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    if not (tmp_path / "o.fit").exists():
        pytest.skip("Siril does not run here")
    theirs = fits.getdata(tmp_path / "o.fit").astype("f8").ravel()
    method = combine.method("winsorized", {"low": 3, "high": 3, "nkeep": 4, "grain": 0})
    made = method.block(values.reshape(frames, -1), PixelType(16, bzero=0.0), ("image",),
                        compiled=True)["image"]  # fmt: skip
    scale = 65535 if theirs.max() <= 1 else 1
    assert np.mean(np.abs(theirs * scale - made) < 0.01) >= 0.985


# --- what is gained --------------------------------------------------------------------------


@pytest.mark.parametrize(("q", "sd", "most"), [(0, 5.4, 1.02), (16, 19.2, 1.07), (1, 1.2, 1.07)])
def test_less_noise_than_a_median(q, sd, most):
    """Against the mean of the values that were not hit (20 frames, 1 % hits)."""
    rng = np.random.default_rng(5)
    truth = rng.uniform(480, 520, 20_000)
    frames = truth + rng.normal(0, sd, (20, truth.size))
    if q:
        frames = np.rint(frames / q) * q
    hit = rng.random(frames.shape) < 0.01
    best = np.where(hit, np.nan, frames)
    frames[hit] += sd * 10 ** rng.uniform(1, 3, hit.sum())

    def noise(image):
        return float(np.sqrt(np.mean((image - truth) ** 2)))

    ideal = noise(np.nanmean(best, axis=0))
    made = {
        name: noise(
            combine.method(name, {"grain": q} if name == "winsorized" else {}).block(
                frames.copy(), PixelType(-64), ("image",), compiled=True
            )["image"]
        )
        for name in ("median", "winsorized")
    }
    assert made["winsorized"] <= most * ideal
    assert made["winsorized"] < 0.87 * made["median"]


# --- in the tools ----------------------------------------------------------------------------


def test_the_grain_of_a_camera_is_measured(here):
    frames = (stack(1, 12, 300) // 16 * 16).astype("u2")
    write_stack(here / "d", "d", frames, "Dark", 1.0)
    first = [scan_frame(str(path)) for path in sorted((here / "d").iterdir())]
    assert grain(first) == 16
    tool("makedark", "d", "--combine", "winsorized", cwd=here)
    history = "".join(map(str, fits.getheader(here / "dark1s.fit")["HISTORY"]))
    assert "winsorized low=5 high=4 maxiters=10 grain=16 of 12 frames" in history


@pytest.mark.parametrize("name", [METHODS[0], *also(*METHODS[1:])])
def test_through_all_tools(here, cluster, name):
    night = {"b": stack(1, 7, 300), "d": stack(2, 12, 500), "f": stack(3, 11, 20000)}
    for kind, label, code in (("b", "Bias", None), ("d", "Dark", None), ("f", "Flat", "V")):
        write_stack(here / kind, kind, night[kind], label, 1.0, code)
    how = ("--combine", name)
    tool("makedark", "d", "b", *how, "--planes", "count", cwd=here)
    tool("makeflat", "f", *how, cwd=here)
    tool("med", "d", "m.zarr", *how, "--scheduler", cluster.address, cwd=here)
    for kind in "bd":
        tool("med", kind, f"{kind}.fit", *how, cwd=here)
    masters = ("bias.fit", "dark1s.fit", "flat_v.fit", "m.zarr")
    run("verify", "--all", *masters, cwd=here)
    header = fits.getheader(here / "dark1s.fit")
    assert header["COMBMETH"] == name
    for kind, master in (("b", "bias.fit"), ("d", "m.zarr")):
        method = method_of(here / f"{kind}.fit")
        flat = night[kind].reshape(len(night[kind]), -1)
        truth = values(flat)
        kept = [left(list(map(float, column)), method)[0] for column in truth.T]
        mean = np.array([float(sum(map(Fraction, k)) / len(k)) for k in kept], "f4")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PulsarWarning)  # of few frames
            found = pulsar_dask.master(str(here / kind), name).master.values
        same(found.ravel(), mean)
        if master.endswith("fit"):
            same(fits.getdata(here / master).ravel(), mean)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PulsarWarning)
        lazy = pulsar_dask.dark_masters(str(here / "d"), bias=str(here / "b"), combine=name)
    same(lazy.dark1s.values, fits.getdata(here / "dark1s.fit"))


def method_of(master):
    """By which numbers a master says that it was made."""
    trace = read_trace(fits.getheader(master)["HISTORY"], str(master.parent))
    (step,) = (s for s in trace.steps if isinstance(s, Step) and s.verb == "combine")
    return combine.method(*step.args[0])


def test_what_cannot_be(here):
    write_stack(here / "d", "d", stack(2, 6, 500), "Dark", 1.0)
    out = run("med", "d", "m.fit", "--combine", "minmax", "--nhigh", "5", cwd=here, status=1)
    assert "leaves nothing of 6 frames; give fewer with --nlow and --nhigh" in out.stderr
    out = run("med", "d", "m.fit", "--combine", "median", "--high", "5", cwd=here, status=2)
    assert "--combine median has no high" in out.stderr
    out = run("med", "d", "m.fit", "--combine", "sigclip", cwd=here)
    assert "sigclip at 3 sigma cannot reject anything from 6 frames" in out.stderr
    out = run("med", "d", "n.fit", "--combine", "winsorized", "--nkeep", "6", cwd=here)
    assert "--nkeep 6 keeps all of 6 frames" in out.stderr
    for name in ("sigclip", "winsorized"):  # of three frames both are the mean: not in silence
        said = combine.method(name).check(3)
        assert "cannot reject anything from 3 frames" in said
        assert said.endswith("⟦combine⟧ median can")
        assert combine.method(name).check(20) is None
    assert combine.method("winsorized").check(4) is None
    for wrong in ({"low": 0}, {"maxiters": 0}, {"sigma": 3}, {"high": math.nan}):
        with pytest.raises(ValueError, match=r"sigclip|give a number"):
            combine.method("sigclip", wrong)
    with pytest.raises(PulsarError, match="'nlow' is not a way to combine"):
        pulsar_dask.master(str(here / "d"), "nlow")
