"""The quality of pixels: planted ones are found, others are not; the same bits everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from astropy.io import fits
from night import noted, pixels, tool, verify, write_stack

import pulsar_dask
from pulsar_dask.frames import quality as q

SHAPE, FRAMES = (180, 230), 20


def whole(values):
    return np.clip(np.rint(values), 0, 65535).astype("u2")


class Sensor:
    """Bias, darks and flats of a sensor with planted pixels, which stand in the dict `planted`."""

    def __init__(self, seed, n=FRAMES, drift=0.0, shape=SHAPE):
        rng = np.random.default_rng(seed)
        self.shape = shape
        size = shape[0] * shape[1]
        places = rng.permutation(size)
        self.planted = {
            "hot": places[:40],
            "telegraph": places[40:80],
            "dead": places[80:95],
            "low": places[95:120],
        }
        current = np.full(size, 20.0)
        current[self.planted["hot"]] = 20 + rng.uniform(200, 3000, 40)
        column = np.zeros(shape)
        column[:, 150] += 12
        column[: shape[0] // 2, 60] -= 12
        column[90] += 12
        level = 500 + rng.normal(0, 0.2, shape)
        self.bias = whole([level + rng.normal(0, 3, shape) for _ in range(n)])
        darks = []
        warm = 2 ** (np.linspace(-drift / 2, drift / 2, n) / 6)
        for times in warm:
            electrons = rng.poisson(current * times).reshape(shape).astype("f8")
            electrons += level + column + rng.normal(0, 3, shape)
            on = rng.random(40) < 0.5
            electrons.ravel()[self.planted["telegraph"]] += 60.0 * on
            hit = rng.random(shape) < 1e-3
            electrons[hit] += 6 * 10 ** rng.uniform(1, 3, hit.sum())
            darks.append(electrons)
        self.darks = whole(darks)
        y, x = np.mgrid[: shape[0], : shape[1]]
        response = 1 - 0.4 * ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2)
        response = response.ravel() * rng.normal(1, 0.01, size)
        response[self.planted["dead"]] *= 0.02
        response[self.planted["low"]] *= rng.uniform(0.1, 0.45, 25)
        light = [rng.poisson(20000 * response).reshape(shape) for _ in range(6)]
        self.flats = whole([level + electrons + rng.normal(0, 3, shape) for electrons in light])

    def write(self, folder):
        write_stack(folder / "b", "b", self.bias, "Bias")
        write_stack(folder / "d", "d", self.darks, "Dark", 60.0)
        write_stack(folder / "f", "f", self.flats, "Flat", 1.0, "V")
        return self

    def found(self, bits, bit, planted):
        """The share of planted pixels that are found, and how many others are told."""
        told = (bits.ravel() & bit) != 0
        others = np.delete(told, np.concatenate(list(self.planted.values())))
        return told[self.planted[planted]].mean(), int(others.sum())


def dq(path):
    with fits.open(path) as hdus:
        return np.array(hdus["DQ"].data, "i4")


@pytest.fixture(scope="module")
def sensor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sensor")
    made = Sensor(1).write(folder)
    made.folder = folder
    made.said, _ = tool("makedark", "d", "b", "--combine", "auto", "--planes", "all", cwd=folder)
    tool("makeflat", "f", "--dark", "bias.fit", "--planes", "quality", cwd=folder)
    return made


def test_figures_are_for_programs(sensor):
    (line,) = (x for x in sensor.said.splitlines() if x.startswith("dark60s.fit: "))
    assert "noise of a frame" not in line
    assert "quality of a" not in line
    with fits.open(sensor.folder / "dark60s.fit") as hdus:
        history = "\n".join(hdus[0].header["HISTORY"]).replace("&\n", "")
    assert "noise of a frame: variance" in history
    assert "quality of a dark current saturated" in history


def test_darks(sensor):
    bits = dq(sensor.folder / "dark60s.planes.fit")
    assert sensor.found(bits, q.HOT, "hot") == (1.0, 0)
    share, others = sensor.found(bits, q.TELEGRAPH, "telegraph")
    assert share >= 0.94
    assert others == 0
    assert sensor.found(bits, q.UNRELIABLE_DARK, "hot")[1] <= 1
    assert sensor.found(bits, q.DO_NOT_USE, "hot") == (1.0, 0)
    warm = bits & (q.WARM | q.HOT) == q.WARM | q.HOT
    assert not warm.any()
    for other in (q.UNRELIABLE_BIAS, q.UNRELIABLE_FLAT, q.DEAD, q.LOW_QE, q.SATURATED):
        assert not (bits & other).any()
    lines = (bits & q.OTHER_BAD_PIXEL) != 0
    right = np.zeros(sensor.shape, bool)
    right[:, 150], right[90] = True, True
    half = sensor.shape[0] // 2
    assert lines[: half - 16, 60].all()
    assert not lines[half + 16 :, 60][np.arange(half + 16, sensor.shape[0]) != 90].any()
    right[:, 60] = lines[:, 60]
    np.testing.assert_array_equal(lines, right)


def test_biases_and_flats(sensor):
    bits = dq(sensor.folder / "bias.planes.fit")
    assert not (bits & ~(q.OUTLIER | q.UNRELIABLE_BIAS)).any()
    assert np.count_nonzero(bits) <= 1
    bits = dq(sensor.folder / "flat_v.planes.fit")
    assert sensor.found(bits, q.DEAD, "dead") == (1.0, 0)
    assert sensor.found(bits, q.LOW_QE, "low") == (1.0, 0)
    assert sensor.found(bits, q.DO_NOT_USE, "dead") == (1.0, 0)
    assert not (bits.ravel()[sensor.planted["low"]] & q.DO_NOT_USE).any()
    assert not (bits & (q.HOT | q.WARM | q.NO_FLAT_FIELD | q.OTHER_BAD_PIXEL)).any()


@pytest.mark.parametrize("method", ["median", "winsorized", "mean"])
def test_under_a_drift_of_the_temperature(method, here):
    """8 degrees: the current changes by a factor of 2.5, and hot pixels with it."""
    sensor = Sensor(2, drift=8.0).write(here)
    tool("makedark", "d", "b", "--combine", method, "--planes", "quality", cwd=here)
    bits = dq("dark60s.planes.fit")
    share, others = sensor.found(bits, q.HOT, "hot")
    assert share == 1.0
    if method != "mean":  # which hits go into
        assert others == 0
        assert sensor.found(bits, q.UNRELIABLE_DARK, "telegraph")[1] <= 2
    share, others = sensor.found(bits, q.TELEGRAPH, "telegraph")
    assert share >= 0.9
    assert others <= 1


def test_verify_makes_it_again(sensor, executing):
    size = sensor.shape[0] * sensor.shape[1]
    for name in ("bias", "dark60s", "flat_v"):
        out = verify(sensor.folder, f"{name}.planes.fit", "--all", *executing)
        assert f"{size} pixels {'of its quality ' * (name != 'flat_v')}computed again are" in out


def test_verify_sees_a_bit_of_each_kind(sensor, here):
    for name in ("dark60s.fit", "dark60s.planes.fit"):
        (here / name).write_bytes((sensor.folder / name).read_bytes())
    for bit in (q.TELEGRAPH, q.HOT, q.OTHER_BAD_PIXEL, q.DO_NOT_USE):
        (here / "dark60s.planes.fit").write_bytes(
            (sensor.folder / "dark60s.planes.fit").read_bytes()
        )
        with fits.open("dark60s.planes.fit", mode="update") as hdus:
            hdus["DQ"].data[5, 7] ^= bit
        where = [word for name in "bd" for word in ("--inputs", sensor.folder / name)]
        out = verify(here, "dark60s.planes.fit", "--all", *where, status=1)
        assert "1 of 41400 pixels of its quality that were computed again differ" in out


def test_the_same_bits_everywhere(sensor, executing, here):
    """In a file whatever the tiles, in a store, on a cluster, in Python."""
    right = dq(sensor.folder / "dark60s.planes.fit")
    how = ("--combine", "auto", "--planes", "quality")
    folder = sensor.folder
    tool("makedark", folder / "d", folder / "b", *how, *executing, "--memory", 0.4, cwd=here)
    np.testing.assert_array_equal(dq("dark60s.planes.fit"), right)
    tool("med", folder / "d", "d.fit", *how, *executing, cwd=here)
    tool("med", folder / "d", "d.zarr", *how, *executing, cwd=here)
    right_of_med = dq("d.planes.fit")
    assert (right_of_med & q.HOT).any()
    np.testing.assert_array_equal(zarr.open_group("d.zarr")["quality"][:], right_of_med)
    assert "of its quality computed again are the same" in verify(here, "d.zarr", "--all")
    if executing:
        return
    with noted():
        darks = pulsar_dask.dark_masters(
            folder / "d", folder / "b", combine="auto", planes="quality"
        )
        made = pulsar_dask.master(folder / "d", combine="auto", planes=["quality"])
        np.testing.assert_array_equal(darks.dark60s_quality.values, right)
        np.testing.assert_array_equal(darks.dark60s_quality[20:90, 5:].values, right[20:90, 5:])
        np.testing.assert_array_equal(made.quality.values, right_of_med)
        pulsar_dask.to_fits(darks, here / "p")
    np.testing.assert_array_equal(dq("p/dark60s.planes.fit"), right)


def test_saturated_pixels(here):
    frames = np.full((6, 40, 50), 30000, "u2") + np.arange(50, dtype="u2")
    frames[:3, 5, 5] = 65000  # half of them
    frames[:2, 6, 6] = 65000
    frames[:, 7, 7] = 59000
    write_stack(here / "f", "f", frames, "Flat", 1.0, "V")
    for options, right in (((), [(5, 5)]), (("--saturation", 58000), [(5, 5), (7, 7)])):
        for name in ("flat_v", "m"):
            command = ("med", "f", "m.fit") if name == "m" else ("makeflat", "f", "--dark", 0)
            tool(*command, "--planes", "quality", *options, cwd=here)
            bits = dq(f"{name}.planes.fit")
            assert [*zip(*np.nonzero(bits & q.SATURATED), strict=True)] == right
            assert (bits[5, 5] & q.DO_NOT_USE) != 0
            verify(here, f"{name}.planes.fit", "--all")


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_types_and_missing_values(dtype, here):
    rng = np.random.default_rng(3)
    frames = np.rint(rng.normal(500, 5, (12, 3, 30, 41)) * 4)
    frames[:, 1, 12, 30] += 90 * np.arange(12)  # three planes: each on its own
    frames = frames.astype(dtype)
    if dtype[0] == "f":
        frames[:, 0, 3, 4] = np.nan
    write_stack(here / "d", "d", frames, "Dark", 1.0)
    tool("med", "d", "m.fit", "--planes", "quality", cwd=here)
    bits = dq("m.planes.fit")
    assert bits.shape == (3, 30, 41)
    assert bits[1, 12, 30] & q.HOT
    if dtype[0] == "f":
        assert np.isnan(pixels("m.fit")[0, 3, 4])
        assert bits[0, 3, 4] == q.DO_NOT_USE
    assert np.count_nonzero(bits) == 1 + (dtype[0] == "f")
    verify(here, "m.planes.fit", "--all")


def test_the_hdu_and_the_steps(sensor, fitsverify):
    with fits.open(sensor.folder / "dark60s.planes.fit", checksum=True) as hdus:
        assert hdus["DQ"].header["BITPIX"] == 32
        history = "\n".join(hdus[0].header["HISTORY"])
    assert "quality of a dark current saturated from 64224, in steps of 1" in history
    from helpers import fitsverify_clean

    fitsverify_clean(sensor.folder / "dark60s.planes.fit")
