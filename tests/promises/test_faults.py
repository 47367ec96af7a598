"""Faults while it runs: whatever happens, an output is the old one or the whole new one, and
nothing else is left. Here each fault comes once; `make soak` runs them at length."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from few import also
from harm import disturb, mounted
from helpers import clone, command, names, one_line, run, same, write_frame, write_old_master
from night import stack, write_stack

from pulsar_dask.engine.memory import LEAST_ADDRESSES
from pulsar_dask.errors import PulsarError
from pulsar_dask.files import nameless
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.files.atomicfolder import AtomicFolder
from pulsar_dask.files.leftovers import remove_stale
from pulsar_dask.kernels.checksum import word_sum
from pulsar_dask.kernels.ordersum import fold
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.output.fits import FitsFile, FitsMaster
from pulsar_dask.output.lists import sealed_list
from pulsar_dask.output.zarrstore import ZarrMaster

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
    path = str(tmp_path / "m.fit")
    with FitsMaster(path, grid.shape, dtype, HEADER, verify=verify) as master:
        for _, tile in grid:
            master.write(tile, np.full(tile.shape, 1234.0))
        master.file.write_at(b"\1", master._hdus["image"].data_start + 1000)
        if verify:
            with pytest.raises(PulsarError, match="does not read back"):
                master.seal()
        else:
            master.seal()
            master.commit()
    assert names(tmp_path) == [] if verify else ["m.fit"]


@pytest.mark.few
@pytest.mark.parametrize("passing", [False, True])
@pytest.mark.parametrize("damage", [None, "early", "late", "padding", "short", "verify=False"])
def test_parts_of_a_large_file_are_read_back_while_others_are_written(tmp_path, damage, passing):
    grid = Grid((2500, 3001), 40, 3001)
    values = np.random.default_rng(1).normal(1000, 10, grid.shape)
    path = tmp_path / "m.fit"
    verify = damage != "verify=False"
    planes = {"image": "float32"}
    with FitsFile(str(path), grid.shape, planes, HEADER, verify=verify, passing=passing) as master:
        for index, tile in sorted(grid, key=lambda entry: entry[0][0] % 7):
            part = values[tile.y : tile.y + tile.height].astype(">f4")
            master.put("image", tile, part, 0, 0)
            if damage in ("early", "late") and index == ((30, 0) if damage == "early" else (62, 0)):
                place = master._hdus["image"].data_start + 4 * 3001 * tile.y + 5
                master.file.write_at(b"\0", place)
        if damage == "padding":
            master.file.write_at(b"\1", master._hdus["image"].data_start + 4 * values.size)
        if damage == "short":
            os.ftruncate(master.file._held.fd, 9_000_000)
        parts = len(master.file._held.parts)
        assert parts == (2 if verify and hasattr(os, "posix_fadvise") else 0)
        if damage and verify:
            with pytest.raises(PulsarError, match="does not read back"):
                master.seal()
        else:
            master.commit()
    if damage and verify:
        assert names(tmp_path) == []
    else:
        with fits.open(path, checksum=True) as hdus:  # a warning is an error
            same(hdus[0].data, values.astype("float32"))


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
        part.mkdir(0o700)
    if kind in ("folder", "moved"):
        record = {"made by": "pulsar-dask", "as": "0123456789ab", "names": {"m.zarr": None}}
        (part / "lock").write_text(json.dumps(record))
        (part / "m.zarr").mkdir()
        (part / "m.zarr" / "zarr.json").write_text("{}")
    if kind == "moved":
        (part / "old").mkdir(0o700)
        (part / "old" / "m.zarr").mkdir()
    others = [".m.part", "m.pulsar-0123456789ab.part", ".m.pulsar-0123456789ab.part.fit"]
    for name in others:
        (tmp_path / name).write_bytes(b"of the user")
    remove_stale(str(tmp_path))
    assert names(tmp_path) == sorted(others + ["m.zarr"] * (kind == "moved"))


def test_what_another_run_holds_stays(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)  # as on another system
    nameless.nameless_files.cache_clear()
    holder = (
        "import os, sys; vars(os).pop('O_TMPFILE', 0)\n"
        "from pulsar_dask.files.atomic import AtomicFile\n"
        "from pulsar_dask.files.atomicfolder import AtomicFolder\n"
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
    nameless.nameless_files.cache_clear()


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


# --- signals -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    faults = pytest.importorskip("faults", exc_type=ImportError)  # needs POSIX's resource
    return faults.make_scene(tmp_path_factory.mktemp("makedark"), "makedark", (300, 400), 6)


@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT", *also("SIGTERM")])
def test_a_signal_leaves_the_old_or_the_new(scene, number):
    from faults import strike

    for share in (0.3, 0.9):
        assert strike(scene, getattr(signal, number), share)["tried"] == 1


@POSIX
@pytest.mark.parametrize("call", ["replace", "link"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_a_master_takes_its_name(tmp_path, call, after):
    """Before or after the step, over an old master: one of the two has the name, and the next
    run leaves nothing else."""
    (tmp_path / "m.fit").write_bytes(b"old")
    code = (
        "import os, signal\n"
        f"step = os.{call}\n"
        "def struck(a, b, **kwargs):\n"
        f"    if {after} or 'probe' in b:\n"
        "        step(a, b, **kwargs)\n"
        "    if 'probe' not in b:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        f"os.{call} = struck\n"
        "from pulsar_dask.files.atomic import AtomicFile\n"
        "with AtomicFile('m.fit') as file:\n"
        "    file.write_at(b'new', 0)\n"
        "    file.commit()\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    struck = call == "replace" or sys.platform == "linux"  # elsewhere nothing is linked
    assert process.returncode == (-signal.SIGKILL if struck else 0)
    done = not struck or (call == "replace" and after)
    assert (tmp_path / "m.fit").read_bytes() == (b"new" if done else b"old")
    assert len(names(tmp_path)) <= 2
    remove_stale(str(tmp_path))
    assert names(tmp_path) == ["m.fit"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells which signals are handled")
@pytest.mark.parametrize("wait", [0, 0.05, 0.2])
def test_an_interrupt_while_libraries_load_is_quiet(tmp_path, wait):
    """From the moment on at which the first line of the command is run."""
    write_stack(tmp_path, "b", stack(0, 3, 1000), "Bias")
    process = subprocess.Popen(
        command("med", "b*.fit", "m.fit"), cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    status = Path("/proc", str(process.pid), "status")
    while not caught(status) >> (signal.SIGTERM - 1) & 1 and process.poll() is None:
        time.sleep(0.001)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == -signal.SIGINT
    assert "interrupted; nothing was written" in errors
    assert len(errors.strip().splitlines()) == 1, errors  # a terminal has ^C before it
    assert names(tmp_path) == ["b0001.fit", "b0002.fit", "b0003.fit"]


def caught(status):
    """Signals that a process handles, as bits."""
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    return int(line.split()[1], 16)


# --- disks -------------------------------------------------------------------------------------

RESOURCE = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


@RESOURCE
@pytest.mark.parametrize("share", [0.0, 0.01, 0.9])
def test_a_limit_of_the_size_of_files(scene, share):
    import resource

    from faults import limit

    largest = max(map(len, scene.old.values()))
    place = scene.place()
    process = scene.start(place, preexec_fn=limit(resource.RLIMIT_FSIZE, int(largest * share)))
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert ": error: " in one_line(errors)
    assert os.strerror(errno.EFBIG) in errors
    assert scene.states(place)["new"] == 0
    assert scene.left(place) == []


@RESOURCE
def test_a_limit_reached_by_the_last_list_leaves_all_as_they_were(tmp_path):
    """The masters are smaller than the list of their hot pixels."""
    import resource

    from faults import limit

    write_stack(tmp_path, "d", np.arange(90000, dtype="u2").reshape(1, 300, 300) // 2, "Dark", 2)
    run("makedark", "d0001.fit", cwd=tmp_path)
    before = {n: (tmp_path / n).read_bytes() for n in names(tmp_path)}
    done = subprocess.run(
        command("makedark", "d0001.fit", "--hot-pixels", 90000), cwd=tmp_path, text=True,
        capture_output=True, preexec_fn=limit(resource.RLIMIT_FSIZE, 400_000),
    )  # fmt: skip
    assert done.returncode == 1
    assert "cosme2s.lst: cannot be written" in done.stderr
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == before


@pytest.mark.parametrize("output", ["m.fit", "m.zarr"])
def test_a_full_disk(tmp_path, output):
    write_stack(tmp_path, "b", stack(0, 5, 1000, shape=(300, 400)), "Bias")
    place = tmp_path / "out"
    place.mkdir()
    with mounted(place, "-o", "size=100k"):
        write_old_master(place / "m.fit")
        old = (place / "m.fit").read_bytes()
        done = run("med", tmp_path, f"out/{output}", cwd=tmp_path, status=1)
        assert ": error: " in one_line(done.stderr)
        assert os.strerror(errno.ENOSPC) in done.stderr
        assert names(place) == ["m.fit"]
        assert (place / "m.fit").read_bytes() == old


def test_a_folder_of_scratch_files_that_is_full(tmp_path):
    for i in range(3):
        write_frame(tmp_path / f"b{i}.fit.gz", stack(i, 1, 900, shape=(300, 400))[0].astype("i2"))
    place = tmp_path / "scratch"
    place.mkdir()
    with mounted(place, "-o", "size=300k"):
        environment = os.environ | {"TMPDIR": str(place)}
        done = run("med", "b*.fit.gz", "m.fit", cwd=tmp_path, status=1, env=environment)
        assert ": error: " in one_line(done.stderr)
        assert "TMPDIR" in done.stderr
        assert names(place) == []
    assert "m.fit" not in names(tmp_path)


@pytest.mark.parametrize("output", ["m.fit", "m.zarr"])
def test_a_folder_that_cannot_be_written(tmp_path, output):
    write_stack(tmp_path, "b", stack(0, 3, 1000), "Bias")
    place = tmp_path / "out"
    place.mkdir()
    with mounted(place, "-o", "ro"):
        done = run("med", tmp_path, f"out/{output}", cwd=tmp_path, status=1)
        assert ": error: " in one_line(done.stderr)
        assert os.strerror(errno.EROFS) in done.stderr


# --- a folder or an input that changes while a run is at work ----------------------------------


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """Frames that take seconds to combine."""
    folder = tmp_path_factory.mktemp("slow")
    images = stack(0, 2, 1000, shape=(1500, 2000))
    for i in range(60):
        if i < 2:
            write_frame(folder / f"f{i:02}.fit", images[i].astype("i2"))
        else:
            clone(folder / f"f{i % 2:02}.fit", folder / f"f{i:02}.fit", i)
    return folder


def begin(*args, cwd):
    process = subprocess.Popen(
        command(*args), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert any(" pixels, " in line for line in process.stdout), process.stderr.read()
    return process


@POSIX
@pytest.mark.parametrize("output", ["m.fit", "m.zarr"])
def test_a_folder_that_goes_away(slow, tmp_path, output):
    place = tmp_path / "out"
    place.mkdir()
    process = begin("med", slow, f"out/{output}", "--threads", 1, cwd=tmp_path)
    shutil.rmtree(place)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert ": error: " in one_line(errors)
    assert "out" in errors
    assert names(tmp_path) == []


@pytest.mark.parametrize("how", ["truncated", "removed", "replaced", "rewritten"])
def test_an_input_that_changes(slow, tmp_path, how):
    for path in slow.iterdir():
        (shutil.copy2 if path.name in ("f30.fit", "f59.fit") else os.link)(
            path, tmp_path / path.name
        )
    process = begin("med", "f*.fit", "m.fit", "--threads", 1, cwd=tmp_path)
    disturb(tmp_path / "f30.fit", how)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert ": error: " in one_line(errors)
    assert "f30.fit" in errors
    assert "m.fit" not in names(tmp_path)


@pytest.mark.parametrize("what", ["bias", *also("dark")])
def test_a_calibration_frame_that_changes(slow, tmp_path, what):
    """It is read all the time, too, but is no frame of the stack."""
    kind = {"bias": "Dark", "dark": "Flat"}[what]
    write_stack(tmp_path, "f", stack(0, 12, 20000, shape=(1500, 2000)), kind, 1, "L")
    (other,) = write_stack(tmp_path, "c", stack(1, 1, 1000, shape=(1500, 2000)), what)
    line = {
        "bias": ["makedark", "f0001.fit", "c0001.fit"],
        "dark": ["makeflat", "f0001.fit", "--dark", "c0001.fit"],
    }[what]
    process = begin(*line, "--threads", 1, cwd=tmp_path)
    disturb(other, "replaced")
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1, errors
    assert ": error: " in one_line(errors)
    assert "c0001.fit" in errors
    assert len(names(tmp_path)) == 13


@pytest.mark.parametrize(
    ("output", "old"),
    [
        pytest.param("m.fit", False, marks=pytest.mark.more),
        ("m.fit", True),
        pytest.param("m.zarr", True, marks=pytest.mark.more),
    ],
)
def test_two_runs_write_the_same_output(tmp_path, output, old):
    write_stack(tmp_path, "b", stack(0, 5, 1000, shape=(300, 400)), "Bias")
    if old:
        run("med", "b*.fit", output, cwd=tmp_path)
    there = names(tmp_path)
    line = command("med", "b*.fit", output)
    both = [
        subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        assert process.communicate(timeout=100)[1] == b""
        assert process.returncode == 0
    assert names(tmp_path) == sorted({*there, output})
    run("med", output, "again.fit", cwd=tmp_path)
    run("med", "b*.fit", "alone.fit", cwd=tmp_path)
    same(fits.getdata(tmp_path / "again.fit"), fits.getdata(tmp_path / "alone.fit"))


# --- limits of the system ----------------------------------------------------------------------


@RESOURCE
@pytest.mark.parametrize("megabytes", [400, 660, 800])
def test_little_memory_of_the_system(scene, megabytes):
    import resource

    from faults import limit

    place = scene.place()
    process = scene.start(place, preexec_fn=limit(resource.RLIMIT_AS, megabytes << 20))
    _, errors = process.communicate(timeout=100)
    found = scene.states(place)
    assert scene.left(place) == []
    if process.returncode == 0:
        assert found["old"] == 0
        assert megabytes * 2**20 >= LEAST_ADDRESSES
    else:
        assert process.returncode == 1
        assert ": error: " in one_line(errors), errors
        assert "ulimit -v" in errors
        assert found["new"] == 0


@RESOURCE
@pytest.mark.parametrize("form", ["plain", *also("fz", "gz")])
def test_few_open_files(tmp_path, form):
    import resource

    from faults import limit

    for i in range(60):
        image = np.full((5, 6), i, "i2")
        if form == "fz":
            write_frame(tmp_path / f"f{i:03}.fit.fz", image, place="tiled")
        else:
            write_frame(tmp_path / f"f{i:03}.fit{'.gz' * (form == 'gz')}", image)
    done = subprocess.run(
        command("med", "f*", "m.fit"), cwd=tmp_path, text=True, capture_output=True,
        preexec_fn=limit(resource.RLIMIT_NOFILE, 32),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same(fits.getdata(tmp_path / "m.fit"), np.full((5, 6), 29.5, "f4"))
