"""A cube that is not complete: not opened, and gone on with; what a run takes over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from clusters import until
from few import also
from harm import POSIX, snapshot
from helpers import command, names, one_line, run, same, write_frame
from stores import (
    begun,
    chunks,
    flip_chunk,
    link,
    replaced,
    swap,
    truth,
    with_datasum,
    write_frames,
)

import pulsar_dask
from pulsar_dask.errors import PulsarError, PulsarWarning
from pulsar_dask.output.ours import is_ours


def nobody_opens(path: Path) -> None:
    """No reader of Zarr takes a store, whatever it is asked for, nor changes it."""
    before = snapshot(path)
    for open_it in (
        lambda: xr.open_zarr(path),
        lambda: xr.open_zarr(path, consolidated=False),
        lambda: xr.open_dataset(path, engine="zarr"),
        lambda: xr.open_datatree(path, engine="zarr"),
        lambda: zarr.open(path),
        lambda: zarr.open(path, mode="r"),
        lambda: zarr.open_group(path),
        lambda: zarr.open_consolidated(path),
        lambda: zarr.open(path / "frames"),
        lambda: zarr.open_array(path / "frames", mode="r"),
        lambda: zarr.open_array(path, path="frames"),
        lambda: pulsar_dask.open_frames(path),
    ):
        with pytest.raises((ValueError, PulsarError), match=r"(?i)not complete"):
            open_it()
    assert snapshot(path) == before


def test_a_cube_that_is_not_complete_is_not_opened(tmp_path):
    write_frames(tmp_path)
    path = begun(tmp_path)
    nobody_opens(path)
    said = run("med", "c.zarr", "m.fit", cwd=tmp_path, status=1).stderr
    assert "c.zarr is not complete" in one_line(said)
    assert "takes it up again" in said
    assert "3 of" in run("cube", "f*.fit", "c.zarr", cwd=tmp_path).stdout
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))
    run("verify", "c.zarr", cwd=tmp_path)


SLOW = (700, 900)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Frames that take their time, since tiles in gzip are expanded by one thread."""
    folder = tmp_path_factory.mktemp("slow")
    images = np.random.default_rng(5).integers(-2000, 2000, (5, *SLOW)).astype("i2")
    for i, image in enumerate(images):
        path = folder / f"f{i}.fit.fz"
        write_frame(path, image, place="tiled", compression="GZIP_1", cards={"EXPTIME": 1.0})
    return folder, images


@pytest.mark.more
@pytest.mark.slow
def test_a_cube_that_is_killed_and_killed_again(slow, tmp_path):
    folder, images = slow
    words = command("cube", folder / "f*.fz", "c.zarr", "--threads", 1)
    for more in (0, 1, 3):
        with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            until(lambda: (tmp_path / "c.zarr").exists())
            until(lambda n=more: len(chunks(tmp_path / "c.zarr", "frames")) >= n)
            process.kill()
        nobody_opens(tmp_path / "c.zarr")
    run(*words[3:], cwd=tmp_path)
    same(xr.open_zarr(tmp_path / "c.zarr").frames, images)
    assert is_ours(str(tmp_path / "c.zarr"))
    assert names(tmp_path) == ["c.zarr"]


@pytest.mark.soak
@POSIX
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_cube_that_is_killed_at_any_moment(slow, tmp_path, name, record_property):
    folder, images = slow
    number = getattr(signal, name)
    rng = np.random.default_rng(int(number))
    open_anyway = tried = 0
    for i in range(8):
        words = command("cube", folder / "f*.fz", f"{i}.zarr", "--threads", 1)
        path = tmp_path / f"{i}.zarr"
        while not (path / "zarr.json").exists() or "(not" in (path / "zarr.json").read_text():
            tried += 1
            process = subprocess.Popen(
                words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            done = len(chunks(path, "frames"))
            until(lambda n=done: len(chunks(path, "frames")) > n or process.poll() is not None)  # noqa: B023
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, 0.4))
            process.send_signal(number)
            process.wait()
            if path.exists():
                try:
                    same(xr.open_zarr(path).frames, images)
                    open_anyway += 1
                except ValueError:
                    nobody_opens(path)
        assert is_ours(str(path))
        shutil.rmtree(path)
    assert open_anyway >= 8
    record_property("fault", (f"a cube, {name}", tried, 0, "complete, or not opened"))


STRIKE = """
import os, signal, sys
from pulsar_dask.output import cubestore
from pulsar_dask.notebook.cube import write_cube
count, before = int(sys.argv[1]), cubestore.write_whole
def write_whole(path, data):
    global count
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
    count -= 1
    before(path, data)
cubestore.write_whole = write_whole
write_cube("f*.fit", "c.zarr", threads=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@POSIX
@pytest.mark.parametrize("step", [1, *also(0, 2)])
def test_a_cube_that_is_killed_while_it_becomes_complete(tmp_path, step):
    """Before, between and behind the two files that make it one."""
    write_frames(tmp_path)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(STRIKE), str(step)], cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    path = tmp_path / "c.zarr"
    if step < 2:
        with pytest.raises(ValueError, match="not complete"):
            xr.open_zarr(path)
    times = [chunk.stat().st_mtime_ns for chunk in chunks(path, "frames")]
    run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    assert times == [chunk.stat().st_mtime_ns for chunk in chunks(path, "frames")]
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))


def in_work(store: Path, name: str, data: str = "mine") -> None:
    (store / name).parent.mkdir(exist_ok=True, parents=True)
    (store / name).write_text(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda store: in_work(store, "note.txt"),
        lambda store: in_work(store, "frames/c/0/0/note.txt"),
        lambda store: (store / "file" / "c" / "0").unlink(),
        pytest.param(lambda store: link(store, "frames"), marks=POSIX),
        *also(
            lambda store: in_work(store, "frames/note.txt"),
            lambda store: in_work(store, "mine/zarr.json"),
            lambda store: in_work(store, "exposure/zarr.json", "{}"),
        ),
        pytest.param(
            lambda store: (store / "frames/c/1").symlink_to(store.parent),
            marks=[POSIX, pytest.mark.more],
        ),
    ],
)
def test_a_cube_in_work_that_was_changed(tmp_path, change):
    write_frames(tmp_path)
    change(begun(tmp_path))
    before = snapshot(tmp_path)
    said = one_line(run("cube", "f*.fit", "c.zarr", cwd=tmp_path, status=1).stderr)
    assert "c.zarr was changed after pulsar-dask wrote it" in said
    assert snapshot(tmp_path) == before
    run("cube", "f*.fit", "c.zarr", "--overwrite", cwd=tmp_path)
    same(xr.open_zarr(tmp_path / "c.zarr").frames, truth(tmp_path))


def test_what_a_kill_cut_short_goes(tmp_path):
    write_frames(tmp_path)
    path = begun(tmp_path)
    (chunks(path, "frames")[0].parent / "5.0123456789ab.part").write_bytes(b"half")
    run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))


@pytest.mark.few
@POSIX
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("complete", [True, False])
def test_a_frame_that_was_replaced_is_seen(tmp_path, in_place, complete):
    write_frames(tmp_path)
    path = begun(tmp_path)
    if complete:
        run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    replaced(tmp_path / "f2.fit", in_place=in_place, pixel=83)
    before = snapshot(path)
    said = one_line(run("cube", "f*.fit", "c.zarr", cwd=tmp_path, status=1).stderr)
    assert "c.zarr holds other pixels than " in said
    assert "f2.fit: one of them was changed or replaced since" in said
    assert "--overwrite" in said
    assert snapshot(path) == before
    run("cube", "f*.fit", "c.zarr", "--overwrite", cwd=tmp_path)
    same(xr.open_zarr(path).frames, truth(tmp_path))


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_that_was_copied_back_goes_on(tmp_path, complete):
    """The files are others, by number and time of their status; their pixels are the same."""
    folder = tmp_path / "frames"
    folder.mkdir()
    write_frames(folder)
    path = begun(folder).rename(tmp_path / "c.zarr")
    words = ("cube", "frames/f*.fit", "c.zarr")
    if complete:
        run(*words, cwd=tmp_path)
    times = [chunk.stat().st_mtime_ns for chunk in chunks(path, "frames")]
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder)
    (tmp_path / "copy").rename(folder)
    assert "already" in run(*words, cwd=tmp_path).stdout
    assert [c.stat().st_mtime_ns for c in chunks(path, "frames")][: len(times)] == times
    same(xr.open_zarr(path).frames, truth(folder))
    assert is_ours(str(path))
    assert "complete already" in run(*words, cwd=tmp_path).stdout


def test_a_chunk_in_the_place_of_another_is_seen(tmp_path):
    write_frames(tmp_path)
    path = begun(tmp_path)
    swap(path, "frames")
    said = one_line(run("cube", "f*.fit", "c.zarr", cwd=tmp_path, status=1).stderr)
    assert "c.zarr holds other pixels than " in said


@pytest.mark.parametrize(
    "damage", [flip_chunk, lambda s, v: chunks(s, v)[1].write_bytes(b"\0" * 50)]
)
def test_a_chunk_that_is_damaged_is_written_again(tmp_path, damage):
    write_frames(tmp_path)
    path = begun(tmp_path)
    damage(path, "frames")
    run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))


@pytest.mark.parametrize("kind", ["fresh", *also("gone on with", "compared")])
def test_a_flipped_bit_of_an_input_is_warned_about(tmp_path, kind):
    write_frames(tmp_path)
    with_datasum(tmp_path)
    run("cube", "f*.fit", "good.zarr", cwd=tmp_path)
    data = bytearray((tmp_path / "f1.fit").read_bytes())
    data[-2881] ^= 1
    (tmp_path / "f1.fit").write_bytes(data)
    if kind != "fresh":
        begun(tmp_path)
    if kind == "compared":  # which changes the time of its status
        os.link(tmp_path / "f1.fit", tmp_path / "another")
    done = run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert "f1.fit: the data do not match their DATASUM; they were changed or damaged" in line
    same(xr.open_zarr(tmp_path / "c.zarr").frames, truth(tmp_path))
    if kind == "fresh":
        with pytest.warns(PulsarWarning, match=r"f1\.fit: the data do not match their DATASUM"):
            pulsar_dask.write_cube(tmp_path / "f*.fit", tmp_path / "d.zarr")


def test_good_inputs_are_not_warned_about(tmp_path):
    write_frames(tmp_path)
    with_datasum(tmp_path)
    assert run("cube", "f*.fit", "c.zarr", cwd=tmp_path).stderr == ""
