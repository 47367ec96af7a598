"""Values that BSCALE takes beyond float64 are missing, whatever is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import STORED, exact_median, run, same, write_frame
from night import pixels

import pulsar_dask
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.kernels.pixels import PixelType

SHAPE = (6, 40)
SCALES = {8: 1e307, 16: 1e304, 32: -1e300, 64: 1e290, -32: 1e272, -64: 3.0}


def stored_pixels(bitpix: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(abs(bitpix))
    dtype = np.dtype(STORED[bitpix])
    if dtype.kind == "f":
        largest = np.finfo(dtype).max
        some = rng.uniform(-1, 1, (count, *SHAPE)) * largest
        some[rng.random(some.shape) < 0.1] = np.inf
    else:
        info = np.iinfo(dtype)
        some = rng.integers(info.min, info.max, (count, *SHAPE), dtype, endpoint=True)
    some[:, 0] = 1
    return some.astype(dtype)


def truth(stored: np.ndarray, bscale: float, bzero: float = 0.0) -> np.ndarray:
    with np.errstate(all="ignore"):
        scaled = stored.astype("f8") * bscale + bzero
    return np.where(np.isfinite(scaled), scaled, np.nan)


@pytest.mark.few
@pytest.mark.parametrize("count", [3, 4, 150])
@pytest.mark.parametrize("bitpix", SCALES)
def test_one_answer_alone_and_mixed(tmp_path, bitpix, count):
    stored = stored_pixels(bitpix, count)
    scale, zero = SCALES[bitpix], 1e306
    for i, image in enumerate(stored):
        write_frame(tmp_path / f"a{i}.fit", image, bscale=scale, bzero=zero)
    images = truth(stored, scale, zero)
    assert 0 < np.isnan(images).mean() < 0.9
    run("med", "a*.fit", "m.fit", "--dtype", "float64", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), exact_median(images))
    # beside a frame of another type
    other = stored_pixels(-64, 1)[0] / 2
    write_frame(tmp_path / "b.fit", other)
    run("med", "a*.fit", "b.fit", "n.fit", "--dtype", "float64", cwd=tmp_path)
    mixed = np.concatenate([images, truth(other[None], 1.0)])
    same(pixels(tmp_path / "n.fit"), exact_median(mixed))


def test_cubes_lazy_arrays_and_verify(tmp_path):
    stored = stored_pixels(16, 5)
    for i, image in enumerate(stored):
        write_frame(tmp_path / f"a{i}.fit", image, bscale=1e304)
    images = truth(stored, 1e304)
    cube = pulsar_dask.open_frames(tmp_path / "a*.fit")
    same(cube.values, images)
    with np.errstate(over="ignore"):
        single = exact_median(images).astype("f4")
        same(pulsar_dask.median(tmp_path / "a*.fit").values, single)
    run("cube", "a*.fit", "c.zarr", cwd=tmp_path)
    same(pulsar_dask.open_frames(tmp_path / "c.zarr").values, images)
    run("med", "c.zarr", "m.fit", "--dtype", "float64", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), exact_median(images))
    for name in ("c.zarr", "m.fit"):
        run("verify", name, cwd=tmp_path)


def test_flats(tmp_path):
    """What overflows has no part in a flat; its neighbours are as without it."""
    rng = np.random.default_rng(2)
    stored = rng.integers(9000, 11000, (5, *SHAPE)).astype("i2")
    stored[:3, 2, 7] = 32767
    cards = {"IMAGETYP": "Flat", "EXPTIME": 1.0, "FILTER": "L"}
    for i, image in enumerate(stored):
        write_frame(tmp_path / f"f{i}.fit", image, bscale=1e304, cards=cards)
    images = truth(stored, 1e304)
    assert np.isnan(images).sum() == 3
    run("makeflat", "f*.fit", "--dark", "0", cwd=tmp_path)
    scaled = [image * (5000 / exact_median(image.ravel())) for image in images]
    same(pixels(tmp_path / "flat_l.fit"), exact_median(np.array(scaled)).astype("f4"))


def test_a_usual_stack_is_taken_as_it_is_stored(tmp_path):
    """The way through float64 costs memory and time; real scalings do not need it."""
    for bitpix in STORED:
        for scale in (1.0, -0.5, 1e-3, 1.0 if bitpix == -64 else 1e9):
            assert not PixelType(bitpix, scale, 32768.0).overflows
    path = write_frame(tmp_path / "a.fit", np.ones((2, 2), "i2"), bscale=1e308)
    assert scan_frame(path).pixels.overflows
