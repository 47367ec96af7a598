"""Masters as FITS files: their pixels and checksums, and what an interrupt leaves."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits
from helpers import fitsverify_clean, names, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from masters import DTYPES, as_type, read, write_master

from pulsar_dask.errors import PulsarError
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.output.encoding import OUTPUT_TYPES, encode, to_dtype
from pulsar_dask.output.fits import FitsMaster

sizes = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(1, 19)),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9)),
)
numbers = st.one_of(
    st.floats(-1e5, 1e5),
    st.integers(-600, 600).map(lambda n: n / 2),
    st.sampled_from([np.nan, 2.0**31 - 0.5, 2.0**32, -(2.0**31), 65535.5, -0.5, 0.5, 1e20, -1e20]),
)


# --- pixels --------------------------------------------------------------------------------


@given(st.sampled_from(DTYPES), sizes, st.data())
def test_pixels_and_checksums(tmp_path, dtype, shape, data):
    values = data.draw(hnp.arrays("f8", shape, elements=numbers))
    tile = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 19))
    path = tmp_path / "m.fit"
    master = write_master(path, values, dtype, tile=tile, order=data.draw(st.sampled_from([1, -1])))
    pixels, header = read(path)
    same(pixels, as_type(values, dtype))
    assert pixels.dtype.newbyteorder("=") == np.dtype(dtype)
    assert header["BITPIX"] == OUTPUT_TYPES[dtype][0]
    assert master.missing == np.isnan(values).sum()
    assert path.stat().st_size % 2880 == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_that_were_pickled(tmp_path, dtype):
    """Which some protocols turn into the order of bytes of this machine."""
    values = np.random.default_rng(1).normal(100, 50, (4, 6))
    header = fits.Header({"CREATOR": "pulsar-dask 0"})
    with FitsMaster(str(tmp_path / "m.fit"), values.shape, dtype, header) as master:
        for _, tile in Grid(values.shape, 2, 4):
            part = values[tile.y : tile.y + 2, tile.x : tile.x + 4]
            master.put("image", tile, *pickle.loads(pickle.dumps(encode(part, dtype), 4)))
        master.commit()
    same(read(tmp_path / "m.fit")[0], as_type(values, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (1, 1), (36, 40)])
@pytest.mark.usefixtures("fitsverify")
def test_fitsverify_has_no_complaint(tmp_path, dtype, shape):
    values = np.random.default_rng(0).normal(100, 50, shape)
    values.flat[0] = np.nan
    write_master(tmp_path / "m.fit", values, dtype, tile=(2, 3))
    fitsverify_clean(tmp_path / "m.fit")


@given(hnp.arrays("f8", st.integers(1, 30), elements=numbers), st.sampled_from(DTYPES))
def test_rounding_half_to_even_and_clipping(values, dtype):
    before = values.copy()
    result, clipped, missing = to_dtype(values, dtype)
    same(result, as_type(values, dtype))
    same(values, before)
    assert missing == np.isnan(values).sum()
    if dtype[0] == "f":
        assert clipped == 0
    else:
        info = np.iinfo(dtype)
        rounded = [round(v) for v in values.tolist() if v == v]
        assert clipped == sum(not info.min <= r <= info.max for r in rounded)


def test_halves_go_to_the_even_neighbour():
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 254.5, 255.5])
    assert to_dtype(halves, "int16")[0].tolist() == [0, 2, 2, 0, -2, -2, 254, 256]
    assert to_dtype(halves, "uint8")[0].tolist() == [0, 2, 2, 0, 0, 0, 254, 255]
    assert to_dtype(halves, "uint8")[1] == 3


def test_unknown_type_is_refused(tmp_path):
    with pytest.raises(PulsarError, match="complex64"):
        FitsMaster(str(tmp_path / "m.fit"), (2, 2), "complex64", fits.Header())
    assert names(tmp_path) == []


# --- interrupted ----------------------------------------------------------------------------------

WORK = """
import sys, time
import numpy as np
from astropy.io import fits
from pulsar_dask.cli import program
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.kernels.pixels import Tile

def work():
    with FitsMaster(sys.argv[1], (100, 100), "float32", fits.Header()) as master:
        master.write(Tile(0, 0, 0, 50, 100), np.ones((50, 100)))
        print("ready", flush=True)
        time.sleep(60)
        master.commit()

class Job(program.Running):
    name = "job"
    def main(self, **kwargs):
        work()

Job().run("job")
"""


@pytest.mark.few
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.slow
def test_an_interrupt_leaves_what_was_there(tmp_path, number, old):
    path = tmp_path / "m.fit"
    if old:
        path.write_bytes(old)
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -number
    assert b"Traceback" not in errors
    assert names(tmp_path) == (["m.fit"] if old else [])
    assert not old or path.read_bytes() == old


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.fit"
    path.write_bytes(b"old")
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait(30)
    process.stdout.close()
    time.sleep(0.05)
    assert path.read_bytes() == b"old"
