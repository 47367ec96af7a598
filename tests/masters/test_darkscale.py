"""k of a dark by its hot pixels, against the k that the light was made with."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from helpers import same, write_frame

from pulsar_dask.errors import PulsarError, PulsarWarning
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.colour import colours_of
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.darkscale import fitted, hot_pixels

SHAPE, GAIN, READ = (260, 300), 0.8, 3.0


def night(folder, seed, *, hot=1000, mean=2000, sky=200, k=0.7, stars=100, cards=None):
    """A light, and the calibration whose k it was made with."""
    rng = np.random.default_rng(seed)
    image = np.zeros(SHAPE)
    image.ravel()[rng.choice(image.size, hot, replace=False)] = rng.exponential(mean, hot)
    frames = [
        rng.poisson((image + 5) * GAIN) / GAIN + rng.normal(0, READ / GAIN, SHAPE)
        for _ in range(15)
    ]
    lit = np.full(SHAPE, float(sky))
    y, x = np.indices(SHAPE)
    for _ in range(stars):
        at, up = rng.uniform(0, SHAPE[0], 2)
        box = np.s_[max(0, int(at) - 9) : int(at) + 10, max(0, int(up) - 9) : int(up) + 10]
        lit[box] += rng.exponential(3000) * np.exp(-((y[box] - at) ** 2 + (x[box] - up) ** 2) / 4.5)
    raw = (
        500 + rng.poisson((lit + k * (image + 5)) * GAIN) / GAIN + rng.normal(0, READ / GAIN, SHAPE)
    )
    raw = np.round(raw).clip(0, 65535)
    cards = {"EGAIN": GAIN, "RDNOISE": READ} | (cards or {})
    light = write_frame(folder / "l.fit", (raw - 32768).astype("i2"), bzero=32768, cards=cards)
    dark = write_frame(
        folder / "d.fit", np.median(frames, axis=0).astype("f4"), cards={"NCOMBINE": 15}
    )
    return scan_frame(light), Calibration(bias=500.0, dark=scan_frame(dark))


@pytest.mark.parametrize("cards", [{}, {"BAYERPAT": "RGGB"}])
def test_k_is_found_among_stars(tmp_path, cards):
    pulls = []
    for seed in range(8):
        light, c = night(tmp_path, seed, cards=cards)
        found = fitted(light, c, hot_pixels(c, colours_of(light)))
        assert abs(found.k / 0.7 - 1) < 0.005
        pulls.append((found.k - 0.7) / found.error)
    assert abs(np.mean(pulls)) < 1.5
    assert 0.4 < np.std(pulls) < 1.8


def test_hot_pixels_are_those_that_stand_out(tmp_path):
    _, c = night(tmp_path, 3)
    image = fits.getdata(c.dark.path).astype("f8")
    wide = np.pad(image, 1, constant_values=np.nan)
    rows, columns = SHAPE
    near = [
        wide[a : a + rows, b : b + columns] for a in range(3) for b in range(3) if (a, b) != (1, 1)
    ]
    h = image - np.nanmedian(near, axis=0)
    limit = 10 * 1.4826 * np.median(np.abs(h - np.median(h)))
    right = np.flatnonzero((h > limit) & (image < 0.9 * 65535))
    found = hot_pixels(c, None)
    same(found.places, right)
    same(found.contrast, h.ravel()[right])


def test_what_gives_no_k_is_refused(tmp_path):
    _, c = night(tmp_path, 1, hot=3)
    with pytest.raises(PulsarError, match="too few"):
        hot_pixels(c, None)
    light, c = night(tmp_path, 1, hot=30, k=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PulsarWarning)
        hot = hot_pixels(c, None)
    with pytest.raises(PulsarError, match="not to be believed"):
        fitted(light, c, hot)
