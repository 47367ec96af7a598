"""A file that several processes write, and what of theirs comes too late."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import names

from pulsar_dask.files import place as places
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.files.place import Place, new_token
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.output.fits import FitsMaster

SIZE = 10_000
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


@pytest.fixture
def shared(tmp_path):
    with Shared(str(tmp_path / "m.fit")) as file:
        yield file


class Shared(AtomicFile):
    """A file of which others know."""

    def __init__(self, path: str) -> None:
        self.token = new_token()
        super().__init__(path, SIZE, token=self.token)

    def place(self) -> Place:
        return Place.of(*self.opened, self.token)


def elsewhere(place: Place, offset: int, data: bytes) -> bool:
    """Written by another process."""
    script = (
        "import pickle, sys; place, offset, data = pickle.load(sys.stdin.buffer)\n"
        "sys.exit(not place.write([(offset, data)]))"
    )
    given = pickle.dumps((place, offset, data))
    return subprocess.run([sys.executable, "-c", script], input=given).returncode == 0


def test_another_process_writes(shared, tmp_path):
    place = shared.place()
    assert elsewhere(place, 5000, b"there")
    assert place.write([(6000, b"and here"), (SIZE - 1, np.uint8([7]))])
    assert names(tmp_path) == [os.path.basename(place.path)]
    shared.write_at(bytes(len(shared.token)), 0)
    shared.commit()
    content = (tmp_path / "m.fit").read_bytes()
    assert len(content) == SIZE
    assert (content[5000:5005], content[6000:6008]) == (b"there", b"and here")
    assert content[-1] == 7
    assert not any(content[:5000])
    assert names(tmp_path) == ["m.fit"]


def test_a_file_with_the_permissions_of_any(shared, tmp_path):
    (tmp_path / "any").write_bytes(b"")
    shared.commit()
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("any", "m.fit")]
    assert modes[0] == modes[1]


def test_what_comes_after_the_first_bytes_are_the_headers(shared, tmp_path):
    place = shared.place()
    shared.write_at(b"SIMPLE".ljust(2880), 0)
    assert not place.write([(5000, b"late")])
    shared.commit()
    assert not place.write([(5000, b"late")])
    assert b"late" not in (tmp_path / "m.fit").read_bytes()


def test_what_comes_after_a_run_that_failed(tmp_path):
    with Shared(str(tmp_path / "m.fit")) as file:
        place = file.place()
    assert not place.write([(5000, b"late")])
    assert names(tmp_path) == []


def test_another_file_of_that_name(shared, tmp_path):
    """As on another machine, or as somebody else has put there."""
    place = shared.place()
    os.rename(place.path, tmp_path / "away")
    other = Path(place.path)
    other.write_bytes(bytes(SIZE))
    assert not place.write([(5000, b"wrong")])
    other.unlink()
    other.mkdir()
    assert not place.write([(5000, b"wrong")])
    other.rmdir()
    if hasattr(os, "O_NOFOLLOW"):
        other.symlink_to(tmp_path / "away")
        assert not place.write([(5000, b"wrong")])
        other.unlink()
        os.mkfifo(other)
        assert not place.write([(5000, b"wrong")])
        other.unlink()
    os.rename(tmp_path / "away", other)
    assert b"wrong" not in other.read_bytes()
    assert place.write([(5000, b"right")])


@POSIX
def test_a_file_that_changes_between_the_look_and_the_writing(shared, tmp_path, monkeypatch):
    place = shared.place()
    (tmp_path / "other").write_bytes(bytes(SIZE))

    def exchanged(fd: int, *rest: int) -> None:
        os.replace(tmp_path / "other", place.path)

    monkeypatch.setattr(places, "drop_cached", exchanged)
    assert not place.write([(5000, b"wrong")])
    assert b"wrong" not in Path(place.path).read_bytes()


@POSIX
def test_a_file_that_may_not_be_written_there(shared):
    place = shared.place()
    os.chmod(place.path, 0o444)
    if os.access(place.path, os.W_OK):
        pytest.skip("root may write to all files")
    assert not place.write([(5000, b"wrong")])


@POSIX
def test_a_disk_that_fails_is_for_who_made_the_file_to_tell(shared, monkeypatch):
    place = shared.place()

    def full(*rest: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(places, "write_at", full)
        assert not place.write([(5000, b"lost")])
    with monkeypatch.context() as patched:
        patched.setattr(places, "_system", lambda: "another machine")
        assert place.write([(5000, b"over there")])
        patched.setattr(places, "sync", full)
        assert not place.write([(5000, b"lost")])


def test_a_late_task_writes_what_is_there_already(tmp_path):
    """The descriptor of a task that was given up is still open when the file has its name: the
    same bytes at the same place."""
    values = np.random.default_rng(0).normal(100, 9, (40, 30))
    path = str(tmp_path / "m.fit")
    tiles = [Tile(0, 0, 0, 40, 10), Tile(0, 0, 10, 25, 20), Tile(0, 25, 10, 15, 20)]
    late = []
    with FitsMaster(path, values.shape, "float32", fits.Header(), shared=True) as master:
        there = pickle.loads(pickle.dumps(master.there))
        for tile in tiles:
            part = values[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            fd = os.open(there.target.path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
            late.append((fd, tile, part))
            master.put("image", tile, *there.encode("image", tile, part))
        if sys.platform == "win32":
            for fd, *_ in late:
                os.close(fd)
            late = []
        master.commit()
    before = Path(path).read_bytes()
    for fd, tile, part in late:
        runs, length = there.runs("image", tile)
        data = part.astype(">f4").reshape(len(runs), -1)
        for offset, piece in zip(runs, data, strict=True):
            assert piece.nbytes == length
            os.pwrite(fd, piece.tobytes(), offset)
        os.close(fd)
    assert Path(path).read_bytes() == before
    with fits.open(path, checksum=True) as hdus:
        assert np.array_equal(hdus[0].data, values.astype("f4"))
        assert hdus[0].verify_checksum() == hdus[0].verify_datasum() == 1
