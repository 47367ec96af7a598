"""Errors of pixels by what they are expected to count: right on the whole and in weighted means,
and the same however the image is cut."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import same
from night import write

from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.colour import colours_of
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.expected import expected
from pulsar_dask.masters.light import light_tile
from pulsar_dask.masters.lightband import Light
from pulsar_dask.masters.lightfit import fit
from pulsar_dask.masters.lightnoise import Noise

GAIN, READ = 1.2, 4.0


@pytest.mark.parametrize("sky", [0, 5, 30, 800])
def test_pulls_and_weighted_means(sky):
    rng = np.random.default_rng(sky)
    dark = rng.exponential(5.0, (300, 400))
    electrons = rng.poisson((sky + dark) * GAIN) + rng.normal(0, READ, dark.shape)
    net, read = np.rint(electrons / GAIN), (READ / GAIN) ** 2 + 1 / 12
    found = np.maximum(expected(net, dark, 1, GAIN, read), 0) / GAIN + read
    off = net - dark - sky
    assert abs(np.std(off / np.sqrt(found)) - 1) < 0.015
    assert abs(np.sqrt(np.mean(off**2) / np.mean(found)) - 1) < 0.015
    assert abs(np.average(off, weights=1 / found)) < 0.3  # by its own counts: up to 0.7


def test_a_star_has_its_own_noise():
    net = np.full((9, 9), 100.0)
    net[4, 4], net[2, 2] = 3000, np.nan
    found = expected(net, 0.0, 1, GAIN, 1.0)
    same(found, net)
    net[4, 4], net[6, 6] = 100, 109
    assert expected(net, 0.0, 1, GAIN, 1.0)[6, 6] == 101


@pytest.mark.parametrize("pattern", [None, "RGGB"])
def test_the_cut_does_not_show(tmp_path, pattern):
    image = np.random.default_rng(1).poisson(20, (23, 31)).astype("i2")
    image[3:6, 4:9] = 300
    cards = {} if pattern is None else {"BAYERPAT": pattern}
    write(tmp_path / "a.fit", image, "Light Frame", 1.0, **cards)
    (tmp_path / "bad.lst").write_text("P 5 5\nP 6 5\nP 10 11\n")
    frame = scan_frame(str(tmp_path / "a.fit"))
    c = Calibration(bias=3.0, lists=(str(tmp_path / "bad.lst"),), errors=True)
    light = Light(frame, c, fit(c, frame.shape, colours_of(frame), gigabytes=None),
                  noise=Noise(GAIN, READ))  # fmt: skip
    whole = light_tile(next(iter(Grid(frame.shape, *frame.shape)))[1], light)["uncert"]
    for _, tile in Grid(frame.shape, 4, 7):
        part = slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)
        same(light_tile(tile, light)["uncert"], whole[part])
    assert np.isfinite(whole).all()
