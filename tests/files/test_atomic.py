"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from helpers import names, write_frame

from pulsar_dask.errors import PulsarError
from pulsar_dask.files import nameless
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.output.ours import check_output
from pulsar_dask.output.zarrstore import ZarrMaster


@pytest.fixture(params=["nameless", "named"])
def temporary(request, monkeypatch):
    """With temporary files that have no name, and as where the system cannot do so."""
    monkeypatch.delattr(os, "O_TMPFILE", raising=request.param == "nameless" and LINUX)
    if request.param == "nameless":
        monkeypatch.undo()
        if not LINUX:
            pytest.skip("this system has no files without a name")
    nameless.nameless_files.cache_clear()
    yield request.param
    nameless.nameless_files.cache_clear()


LINUX = sys.platform == "linux"


def test_a_new_file_is_there_on_commit_and_not_before(tmp_path, temporary):
    path = tmp_path / "m.fit"
    with AtomicFile(str(path), 10) as file:
        file.write_at(b"hello", 5)
        assert not path.exists()
        file.commit()
        assert path.read_bytes() == bytes(5) + b"hello"
    assert names(tmp_path) == ["m.fit"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_the_old_file_stays_when_the_work_fails(tmp_path, error, temporary):
    path = tmp_path / "m.fit"
    path.write_bytes(b"old")

    def fail():
        with AtomicFile(str(path), 100_000) as file:
            file.write_at(b"new", 0)
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["m.fit"]


@pytest.mark.parametrize("kind", ["fits", "zarr"])
def test_nothing_is_left_of_a_master_that_failed(tmp_path, kind, temporary):
    header = fits.Header({"CREATOR": "pulsar-dask 0"})
    grid = Grid((8, 8), 4, 8)
    make = {
        "fits": lambda: FitsMaster(str(tmp_path / "m.fit"), (8, 8), "float32", header),
        "zarr": lambda: ZarrMaster(str(tmp_path / "m.zarr"), grid, "float32", header),
    }[kind]

    def fail():
        with make() as master:
            master.write(next(iter(grid))[1], np.zeros((4, 8)))
            assert len(names(tmp_path)) == (kind == "zarr" or temporary == "named")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["fits", "zarr"])
def test_nothing_is_left_of_a_master_that_was_never_entered(tmp_path, kind, temporary):
    """As after an interrupt between the making of a master and the `with` around it."""
    header = fits.Header({"CREATOR": "pulsar-dask 0"})
    if kind == "fits":
        master = FitsMaster(str(tmp_path / "m.fit"), (8, 8), "float32", header)
    else:
        master = ZarrMaster(str(tmp_path / "m.zarr"), Grid((8, 8), 4, 8), "float32", header)
    assert len(names(tmp_path)) == (kind == "zarr" or temporary == "named")
    del master
    assert names(tmp_path) == []


def test_space_is_claimed_before_the_work(tmp_path, temporary):
    with AtomicFile(str(tmp_path / "m.fit"), 3_000_000) as file:
        status = os.fstat(file._held.fd)
        assert status.st_size == 3_000_000
        if hasattr(os, "posix_fallocate"):
            assert status.st_blocks * 512 >= 3_000_000


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
from pulsar_dask.errors import PulsarError
from pulsar_dask.files.atomic import AtomicFile
try:
    AtomicFile(sys.argv[1], 3_000_000)
except PulsarError as error:
    print(error)
"""


def test_no_space_is_an_error_that_leaves_nothing(tmp_path):
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "m.fit")], capture_output=True, text=True
    )
    assert os.strerror(errno.EFBIG) in done.stdout
    assert "m.fit: cannot be written" in done.stdout
    assert names(tmp_path) == []


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(PulsarError, match=r"gone.m\.fit: cannot be written"):
        AtomicFile(str(tmp_path / "gone" / "m.fit"), 10)


def test_a_long_name_is_no_problem(tmp_path):
    path = tmp_path / ("x" * 250 + ".fit")
    with AtomicFile(str(path), 1) as file:
        file.commit()
    assert names(tmp_path) == [path.name]


def test_a_link_is_replaced_not_followed_into_an_input(tmp_path):
    target = write_frame(tmp_path / "raw.fit", np.zeros((2, 2), "i2"))
    before = target.read_bytes()
    (tmp_path / "out.fit").symlink_to("raw.fit")
    with pytest.raises(PulsarError, match="is an input"):
        check_output(str(tmp_path / "out.fit"), [str(target)], overwrite=True)
    assert target.read_bytes() == before
