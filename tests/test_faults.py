"""Faults while it runs: whatever happens, an output is the old one or the whole new one, and
nothing else is left. Here each fault comes once; `make soak` runs `soak_faults` at length."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import command, names, run
from night import write_stack

from pulsar_dask import outputs
from pulsar_dask.checksum import fold, word_sum
from pulsar_dask.errors import PulsarError
from pulsar_dask.hotpixels import sealed_list
from pulsar_dask.master import FitsMaster
from pulsar_dask.outputs import AtomicFile, AtomicFolder, remove_stale
from pulsar_dask.tiles import Grid
from pulsar_dask.zarrstore import ZarrMaster

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such thing")
HEADER = fits.Header({"CREATOR": "pulsar-dask 0"})


def sum_of(data: bytes) -> int:
    return fold(word_sum(np.frombuffer(data, np.uint8), 0))


# --- what is written is read back --------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4, 5, 1000, (4 << 20) - 1, (4 << 20) + 3, (9 << 20) + 2])
def test_what_reads_back_the_same_is_sealed(tmp_path, size):
    data = np.random.default_rng(size).bytes(size)
    with AtomicFile(str(tmp_path / "m.fit")) as file:
        file.write_at(data, 0)
        file.seal(sum_of(data))
        assert names(tmp_path) == []
        file.commit()
    assert (tmp_path / "m.fit").read_bytes() == data


@pytest.mark.parametrize("place", [0, 2**20, 9 * 2**20 - 1])
def test_a_byte_that_reads_back_otherwise_is_an_error(tmp_path, place):
    (tmp_path / "m.fit").write_bytes(b"old")
    data = np.random.default_rng(0).bytes(9 << 20)
    with AtomicFile(str(tmp_path / "m.fit")) as file:
        file.write_at(data, 0)
        file.write_at(bytes([data[place] ^ 1]), place)
        with pytest.raises(PulsarError, match=r"does not read back the same.*nothing was replaced"):
            file.seal(sum_of(data))
    assert (tmp_path / "m.fit").read_bytes() == b"old"
    assert names(tmp_path) == ["m.fit"]


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_a_damaged_master_is_an_error(tmp_path, dtype, verify):
    grid = Grid((50, 60), 20, 25)
    with FitsMaster(str(tmp_path / "m.fit"), grid.shape, dtype, HEADER) as master:
        for _, tile in grid:
            master.write(tile, np.full(tile.shape, 1234.0))
        master._file.write_at(b"\1", master._data_start + 1000)
        if verify:
            with pytest.raises(PulsarError, match="does not read back"):
                master.seal()
        else:
            master.seal(verify=False)
            master.commit()
    assert names(tmp_path) == [] if verify else ["m.fit"]


@pytest.mark.parametrize("how", ["flipped", "short", "gone"])
def test_a_damaged_chunk_is_an_error(tmp_path, how):
    grid = Grid((50, 60), 20, 25)
    rng = np.random.default_rng(0)
    with ZarrMaster(str(tmp_path / "m.zarr"), grid, "float32", HEADER) as master:
        for _, tile in grid:
            master.write(tile, rng.normal(size=tile.shape))
        chunk = Path(master._store, "master", "c", "1", "2")
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 255
        if how == "gone":
            chunk.unlink()
        else:
            chunk.write_bytes(data if how == "flipped" else data[: len(data) // 2])
        with pytest.raises(PulsarError, match="does not read back"):
            master.seal()
    assert names(tmp_path) == []


def test_a_list_is_read_back(tmp_path):
    x, y = np.arange(10), np.arange(10)
    with sealed_list(str(tmp_path / "a.lst"), x, y) as file:
        assert names(tmp_path) == []
        file.commit()
    assert (tmp_path / "a.lst").read_bytes() == b"".join(b"P %d %d\r\n" % (i, i) for i in x)


def test_no_verify(tmp_path):
    write_stack(tmp_path, "d", np.full((3, 5, 6), 7, "u2"), "Dark", 2)
    run("makedark", "d*.fit", "--no-verify", cwd=tmp_path)
    run("med", "d*.fit", "m.zarr", "--no-verify", cwd=tmp_path)
    run("make_cosme", "dark2s.fit", "h.lst", "--no-verify", cwd=tmp_path)
    assert {"dark2s.fit", "cosme2s.lst", "m.zarr", "h.lst"} < set(names(tmp_path))


# --- the name is taken last --------------------------------------------------------------------


def refuse():
    raise PulsarError("the name is the user's")


@pytest.mark.parametrize("old", [b"old", None])
def test_the_name_is_looked_at_again(tmp_path, old):
    if old:
        (tmp_path / "m.fit").write_bytes(old)
    with AtomicFile(str(tmp_path / "m.fit"), 100) as file, pytest.raises(PulsarError, match="use"):
        file.commit(refuse)
    assert names(tmp_path) == (["m.fit"] if old else [])


def test_a_file_that_comes_at_the_last_moment_is_looked_at(tmp_path):
    """It comes after the first look: the naming fails, and the second look finds it."""
    looks = []

    def check():
        looks.append(names(tmp_path))
        if len(looks) == 2:
            refuse()

    class File(AtomicFile):
        def _take_name(self, check):
            if not looks:
                check()
                (tmp_path / "m.fit").write_bytes(b"of the user")
                return False
            return super()._take_name(check)

    with File(str(tmp_path / "m.fit"), 100) as file, pytest.raises(PulsarError):
        file.commit(check)
    assert looks == [[], ["m.fit"]]
    assert (tmp_path / "m.fit").read_bytes() == b"of the user"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_store_takes_the_place_of_what_is_there(tmp_path, kind):
    path = tmp_path / "m.zarr"
    if kind == "file":
        path.write_bytes(b"old")
    else:
        path.mkdir()
        (path / "old").write_bytes(b"old")
    with AtomicFolder(str(path)) as folder:
        os.mkdir(folder.store)
        Path(folder.store, "new").write_bytes(b"new")
        folder.seal()
        folder.commit()
    assert names(tmp_path) == ["m.zarr"]
    assert names(path) == ["new"]


def test_a_folder_is_no_output(tmp_path):
    write_stack(tmp_path, "d", np.full((3, 5, 6), 7, "u2"), "Dark", 2)
    (tmp_path / "m.fit").mkdir()
    for more in ([], ["--overwrite"]):
        done = run("med", "d*.fit", "m.fit", *more, cwd=tmp_path, status=1)
        assert "m.fit is a folder" in done.stderr
    assert names(tmp_path / "m.fit") == []


# --- what a killed run has left ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder", "empty", "moved"])
def test_what_a_killed_run_left_is_removed(tmp_path, kind):
    part = tmp_path / ".m.zarr.pulsar-0123456789ab.part"
    if kind == "file":
        part.write_bytes(b"x" * 100)
    else:
        part.mkdir()
    if kind in ("folder", "moved"):
        (part / "lock").write_bytes(b"")
        (part / "m.zarr").mkdir()
        (part / "m.zarr" / "zarr.json").write_text("{}")
    if kind == "moved":
        (part / "old" / "m.zarr").mkdir(parents=True)
    others = [".m.part", "m.pulsar-0123456789ab.part", ".m.pulsar-0123456789ab.part.fit"]
    for name in others:
        (tmp_path / name).write_bytes(b"of the user")
    remove_stale(str(tmp_path))
    assert names(tmp_path) == sorted(others + ["m.zarr"] * (kind == "moved"))


def test_what_another_run_holds_stays(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)  # as on another system
    outputs._nameless_files.cache_clear()
    holder = (
        "import os, sys; vars(os).pop('O_TMPFILE', 0)\n"
        "from pulsar_dask.outputs import AtomicFile, AtomicFolder\n"
        "a, b = AtomicFile('m.fit', 100), AtomicFolder('m.zarr')\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"ready"
    there = names(tmp_path)
    assert len(there) == 2
    remove_stale(str(tmp_path))
    assert names(tmp_path) == there
    process.kill()
    process.communicate()
    assert names(tmp_path) == there
    remove_stale(str(tmp_path))
    assert names(tmp_path) == []
    outputs._nameless_files.cache_clear()


@POSIX
def test_permissions_follow_the_umask(tmp_path):
    write_stack(tmp_path, "d", np.full((3, 5, 6), 7, "u2"), "Dark", 2)
    line = command("med", "d*.fit", "m.fit")
    for mask, mode in ((0o077, 0o600), (0o022, 0o644)):
        subprocess.run(line, cwd=tmp_path, umask=mask, check=True, capture_output=True)
        assert (tmp_path / "m.fit").stat().st_mode & 0o777 == mode


def test_long_names_in_any_writing(tmp_path):
    name = "測" * 83 + ".fit"
    with AtomicFile(str(tmp_path / name), 10) as file:
        file.commit()
    assert names(tmp_path) == [name]
