"""Lights: a synthetic night against the truth, other programs, and kills."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from astropy.io import fits
from few import also
from helpers import same
from night import pixels, tool, write
from server import forked

SHAPE = (200, 260)
GAIN, READ, BIAS = 1.2, 4.0, 500.0


class Sky:
    """A sensor under a flat sky: vignetting, dust, hot pixels; and what it exposes."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        y, x = np.indices(SHAPE)
        far = ((y / SHAPE[0] - 0.5) ** 2 + (x / SHAPE[1] - 0.5) ** 2) / 0.5
        self.throughput = 1 - 0.35 * far
        for _ in range(6):
            at, to = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1])
            self.throughput *= 1 - 0.1 * np.exp(-((y - at) ** 2 + (x - to) ** 2) / 50)
        self.current = np.full(SHAPE, 0.05)
        hot = rng.choice(y.size, 500, replace=False)
        self.current.ravel()[hot] = rng.exponential(4, 500)

    def frame(self, light, seconds):
        electrons = (light * self.throughput + self.current * seconds) * GAIN
        adu = BIAS + (self.rng.poisson(electrons) + self.rng.normal(0, READ, SHAPE)) / GAIN
        return np.rint(adu).clip(0, 65535).astype("u2")

    def write(self, folder):
        for i in range(15):
            when = {"DATE_OBS": f"2026-01-01T20:00:{i:02}"}
            write(folder / f"bias/b{i}.fit", self.frame(0, 0), "Bias Frame", 0.0, **when)
            write(folder / f"darks/d{i}.fit", self.frame(0, 120), "Dark Frame", 120.0, **when)
            write(folder / f"flats/f{i}.fit", self.frame(25000, 1), "Flat Field", 1.0, "R", **when)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    sky = Sky(7)
    sky.write(folder)
    for i, level in enumerate((5, 800, 20000)):
        frame = sky.frame(level, 120)
        cards = {"EGAIN": GAIN, "RDNOISE": READ, "DATE_OBS": f"2026-01-01T22:00:{i:02}"}
        write(folder / f"lights/sky{level}.fit", frame, "Light Frame", 120.0, "R", **cards)
    tool("med", "bias/", "master_bias.fit", cwd=folder)
    tool("makedark", "darks/", "master_bias.fit", "--hot-pixels", 50, cwd=folder)
    tool("makeflat", "flats/", "--dark", "master_bias.fit", cwd=folder)
    tool("calibrate", "lights/", "out/", "-d", "dark120s.fit", "-f", "flat_r.fit", "--uncertainty",
         cwd=folder)  # fmt: skip
    return folder, sky


@pytest.mark.parametrize("level", [5, 800, 20000])
def test_the_background_is_flat_and_its_errors_are_right(night, level):
    folder, sky = night
    with fits.open(folder / f"out/sky{level}.fit") as hdus:
        image, sigma = hdus[0].data.astype("f8"), hdus["UNCERT"].data.astype("f8")
    middle = np.median(sky.throughput)
    truth = level * middle  # what the flat makes of the vignetted sky
    difference = image - truth
    good = np.abs(difference) < 6 * sigma
    assert good.mean() > 0.995
    mean, error = np.mean(difference[good]), np.mean(sigma[good]) / np.sqrt(good.sum())
    # the level of the flat has its own error, and a median dark lies low by its skewness
    assert abs(mean) < 3 * error + 1 / (6 * GAIN) + 0.001 * level
    pulls = difference[good] / sigma[good]
    assert abs(np.std(pulls) - 1) < 0.03
    assert abs(np.std(difference[good]) / np.sqrt(np.mean(sigma[good] ** 2)) - 1) < 0.03
    if level == 20000:  # what is left of vignetting and dust
        blocks = (difference / truth).reshape(10, 20, 10, 26).mean(axis=(1, 3))
        assert np.std(blocks) < 0.001


def test_k_of_a_missing_dark(night):
    folder, sky = night
    frame = sky.frame(200, 60)
    write(folder / "short.fit", frame, "Light Frame", 60.0, "R", EGAIN=GAIN, RDNOISE=READ)
    tool("calibrate", "short.fit", "k.fit", "-d", "dark120s.fit", "-o", cwd=folder)
    header = fits.getheader(folder / "k.fit")
    assert abs(header["OPTIMIZ"] - 0.5) < 0.02
    assert "error" in " ".join(header["HISTORY"])


def test_ccdproc_takes_the_same_steps(night):
    ccdproc = pytest.importorskip("ccdproc")
    from astropy import units
    from astropy.nddata import CCDData

    folder, _ = night

    def read(name):
        return CCDData(pixels(folder / name).astype("f8"), unit="adu")

    seconds = {"dark_exposure": 120 * units.s, "data_exposure": 120 * units.s}
    done = ccdproc.subtract_bias(read("lights/sky800.fit"), read("master_bias.fit"))
    done = ccdproc.subtract_dark(done, read("dark120s.fit"), scale=True, **seconds)
    flat = read("flat_r.fit")
    done = ccdproc.flat_correct(done, flat, norm_value=np.median(flat.data))
    ours = pixels(folder / "out/sky800.fit")
    np.testing.assert_array_max_ulp(ours, done.data.astype("f4"), 1)


@pytest.mark.skipif(shutil.which("siril-cli") is None, reason="Siril is not installed")
def test_siril_takes_the_same_steps(night, tmp_path):
    folder, _ = night
    home = tmp_path / "siril"
    (home / "raw").mkdir(parents=True)
    dark = pixels(folder / "dark120s.fit") + pixels(folder / "master_bias.fit")
    for name, image in (("dark", dark), ("flat", pixels(folder / "flat_r.fit"))):
        fits.writeto(home / f"{name}.fit", (image / 65535).astype("f4"))
    for n in (1, 2):  # one is no sequence
        shutil.copy(folder / "lights/sky800.fit", home / f"raw/l{n}.fit")
    script = (
        "requires 1.0.0\nset32bits\ncd raw\nconvert light -out=..\ncd ..\n"
        "preprocess light_ -dark=dark -flat=flat\nclose\n"
    )
    done = subprocess.run(
        ["siril-cli", "-d", str(home), "-s", "-"], input=script, capture_output=True, text=True,
        timeout=120, env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip
    there = sorted(home.glob("pp_light_*1.fit"))
    assert there, done.stdout[-2000:]
    theirs = pixels(there[0]).astype("f8") * 65535
    ours = pixels(folder / "out/sky800.fit").astype("f8")
    # Siril's level is another one, the mean of the central third
    level = np.median(ours / theirs)
    good = dark < np.median(dark) + 5 * 1.4826 * np.median(np.abs(dark - np.median(dark)))
    assert good.mean() > 0.9  # the others are hot pixels, which it replaces on its own
    np.testing.assert_allclose(ours[good], level * theirs[good], rtol=0, atol=0.005)


BY_HAND = ("calibrate", "many/", "{}/", "-d", "dark120s.fit", "-f", "flat_r.fit")
BY_HEADERS = ("autocalibrate", "many/", "{}/", ".", ".")


#: Loaded before a run that is killed, so that all of it is the work.
LOADED = ["pulsar_dask.tools.calibrate", "pulsar_dask.tools.autocalibrate", "dask.threaded"]


def kill(folder, line, moments):
    """Kill a run at shares of the time that it takes: only whole lights, and the next run goes on;
    where all lights are there, from the beginning. In how many moments some lights were there."""
    raw = pixels(folder / "lights/sky800.fit")
    for i in range(6):
        write(folder / f"many/l{i}.fit", raw + np.uint16(i), "Light Frame", 120.0, "R",
              DATE_OBS=f"2026-01-01T23:00:{i:02}")  # fmt: skip
    whole, killed = folder / f"{line[0]}_whole", folder / f"{line[0]}_killed"

    def calibrate(to, kill=None):
        words = [word.format(to.name) for word in line]
        started = time.monotonic()
        status, out, err, _ = forked([*words, "--threads", "2"], folder, load=LOADED, kill=kill)
        assert status == 0 or (kill is not None and status < 0), err
        return out, time.monotonic() - started

    calibrate(whole)
    right = {name: pixels(whole / name) for name in os.listdir(whole)}
    assert len(right) == 6
    took, some = [], 0
    for moment in moments:
        if len(took) < 5 or not killed.exists():  # a busy machine takes now more, now less
            took.append(calibrate(folder / f"{line[0]}_timed")[1])
            shutil.rmtree(folder / f"{line[0]}_timed")
        calibrate(killed, np.median(took[-5:]) * moment)
        there = os.listdir(killed) if killed.exists() else []
        for name in there:
            if name.endswith(".fit") and not name.startswith("."):
                same(pixels(killed / name), right[name])
        some += 0 < len(right.keys() & set(there)) < len(right)
        if right.keys() <= set(there):
            shutil.rmtree(killed)
    assert "calibrated" in calibrate(killed)[0]
    assert sorted(os.listdir(killed)) == sorted(right)
    for name, image in right.items():
        same(pixels(killed / name), image)
    return some


@pytest.mark.parametrize("line", [BY_HAND, *also(BY_HEADERS)], ids=lambda line: line[0])
def test_killed_it_leaves_whole_lights_only(night, line):
    kill(night[0], line, np.linspace(0.3, 1, 5))


@pytest.mark.soak
@pytest.mark.parametrize("line", [BY_HAND, BY_HEADERS], ids=lambda line: line[0])
def test_killed_at_200_moments(night, line):
    moments = np.random.default_rng(1).permutation(np.linspace(0.01, 1.1, 200))
    assert kill(night[0], line, moments) > 50
