"""Tools on a real cluster: a scheduler and workers as processes, over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from astropy.io import fits
from clusters import LIMIT, cluster_in, ended, tile_tasks, under_way, until
from distributed import Client, Security
from distributed.comm import connect
from few import also
from helpers import command, names, one_line, run, same, write_frame
from night import Night, hottest, noted, pixels, points, write

import pulsar_dask
from pulsar_dask.errors import PulsarError


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night and its masters, made by threads."""
    folder = tmp_path_factory.mktemp("night")
    Night(folder)
    workflow(folder)
    return folder


def workflow(folder: Path, *options: Any) -> None:
    """All tools that make files of frames."""
    where = {"cwd": folder}
    run("med", "bias*.fit", "master_bias.fit", *options, **where)
    run("makedark", "darks/", "bias*.fit", *options, **where)
    run("makedark", "darks/", "0", "--output-dir", "flatdarks", *options, **where)
    run("makeflat", "flats/", "--dark", "300", "--cosme", "cosme120s.lst", *options, **where)
    run("make_cosme", "dark300s.fit", "hottest.lst", *options, **where)
    light, masters = "darks/m31_0001.fit", ("-d", "dark120s.fit", "-f", "flat_r.fit")
    more = ("-b", "master_bias.fit", "-c", "hottest.lst", *options)
    noise = ("--uncertainty", "--egain", 1, "--read-noise", 3)
    run("calibrate", light, "light.fit", *masters, *more, **where)
    run("calibrate", light, "noisy.fit", *masters, *noise, *more, **where)


def copy_of(night: Path, folder: Path) -> Path:
    """The frames of a night alone."""
    for part in ("darks", "flats"):
        shutil.copytree(night / part, folder / part)
    for path in night.glob("bias0*.fit"):
        shutil.copy2(path, folder)
    return folder


def same_outputs(made: Path, truth: Path) -> None:
    """Every list and the pixels of every master."""
    assert names(made) == names(truth)
    for path in sorted(truth.rglob("*.lst")):
        assert (made / path.relative_to(truth)).read_bytes() == path.read_bytes()
    for path in [*truth.glob("*.fit"), *truth.glob("flatdarks/*.fit")]:
        ours = pixels(made / path.relative_to(truth))
        assert ours.tobytes() == pixels(path).tobytes()
        assert ours.dtype == pixels(path).dtype
    for plane in (1, 2):
        ours = fits.getdata(made / "noisy.fit", plane)
        assert ours.tobytes() == fits.getdata(truth / "noisy.fit", plane).tobytes()


# --- the same bits ---------------------------------------------------------------------------


def test_all_tools_give_the_same_bits(cluster, night, tmp_path):
    folder = copy_of(night, tmp_path)
    workflow(folder, "--scheduler", cluster.address)
    same_outputs(folder, night)


def test_processes_here(night, tmp_path):
    folder = copy_of(night, tmp_path)
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    words = ("makedark", "darks/", "bias*.fit", "--scheduler", "local:2", "--threads", 2)
    run(*words, cwd=folder, alone=True)
    for path in folder.glob("dark*.fit"):
        assert pixels(path).tobytes() == pixels(night / path.name).tobytes()
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before


async def answers(address: str, **credentials: Any) -> bool:
    """Whether what listens at an address does what a client of dask asks."""

    async def ask() -> bool:
        comm = await connect(address, timeout=2, **credentials)
        await comm.write({"op": "identity", "reply": True})
        found = await comm.read()
        comm.abort()
        return bool(found)

    try:
        return await asyncio.wait_for(ask(), 5)
    except (OSError, TimeoutError):
        return False


def ports_of(process: psutil.Process) -> list[int]:
    with contextlib.suppress(psutil.Error):  # it has not begun, or has ended
        # Before psutil 6.0 it was called `connections`.
        connections = getattr(process, "net_connections", None) or process.connections
        return [c.laddr.port for c in connections("tcp") if c.status == "LISTEN"]
    return []


@pytest.mark.more
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no TMPDIR")
def test_nobody_else_reaches_processes_here(cluster, slow, tmp_path):
    """Another user of the machine, who can open each port of loopback."""
    (scratch := tmp_path / "scratch").mkdir()
    process = subprocess.Popen(
        command("med", slow / "f*.fz", "m.fit", "--scheduler", "local:2"), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    here = psutil.Process(process.pid)
    workers = until(lambda: len(w := [c for c in here.children(True) if ports_of(c)]) > 1 and w)
    workers[0].suspend()  # so that the run waits for what follows
    ports = [port for p in (here, workers[1]) for port in ports_of(p)]
    assert len(ports) > 3  # scheduler, nannies, a worker
    stranger = Security.temporary().get_connection_args("client")

    async def reached() -> list[bool]:
        tries = [answers(f"tcp://127.0.0.1:{port}") for port in ports]
        tries += [answers(f"tls://127.0.0.1:{port}", **stranger) for port in ports]
        return await asyncio.gather(*tries, answers(cluster.address))

    try:
        assert asyncio.run(reached()) == [False] * 2 * len(ports) + [True]
        for one in [here, *here.children(True)]:
            assert "PRIVATE KEY" not in str([one.cmdline(), one.environ()])
        (key,) = scratch.rglob("credentials.pem")
        assert key.stat().st_mode & 0o077 == 0
    finally:
        workers[0].resume()
    ended(process)
    assert names(scratch) == []
    same(pixels(tmp_path / "m.fit"), pixels(slow / "truth.fit"))


@pytest.mark.more
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_while_workers_begin(slow, tmp_path, number):
    """Nothing stays of half a cluster, of which Python would tell."""
    (scratch := tmp_path / "scratch").mkdir()
    process = subprocess.Popen(
        command("med", slow / "f*.fz", "m.fit", "--scheduler", "local:2"), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    here = psutil.Process(process.pid)

    def beginning():
        with contextlib.suppress(psutil.Error):
            return [c for c in here.children(True) if "spawn_main" in str(c.cmdline())]

    workers = until(beginning)
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == -number
    assert err.strip() in ("", "pulsar-dask: interrupted; nothing was written")
    assert psutil.wait_procs(workers, timeout=LIMIT)[1] == []
    assert names(scratch) == []
    assert names(tmp_path) == ["scratch"]


@pytest.mark.more
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no TMPDIR")
def test_what_a_killed_run_leaves_goes_with_the_next(slow, night, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = {**os.environ, "TMPDIR": str(scratch)}
    words = ("med", night / "bias0*.fit", "m.fit", "--scheduler", "local:1")
    process = subprocess.Popen(
        command("med", slow / "f*.fz", "m.fit", "--scheduler", "local:2"), cwd=tmp_path, env=env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: list(scratch.rglob("worker-*")))
    psutil.Process(process.pid).suspend()
    (left,) = names(scratch)
    run(*words, cwd=tmp_path, env=env)
    assert names(scratch) == [left]  # of a process that lives
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert psutil.wait_procs(workers, timeout=LIMIT)[1] == []
    assert names(scratch) == [left]
    run(*words, cwd=tmp_path, env=env)
    assert names(scratch) == []


def test_a_scheduler_file(cluster, night, tmp_path):
    run("med", night / "bias0*.fit", "m.fit", "--scheduler", cluster.file, cwd=tmp_path)
    assert pixels(tmp_path / "m.fit").tobytes() == pixels(night / "master_bias.fit").tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_types_of_the_output(cluster, night, tmp_path, dtype):
    said = [
        run("med", night / "bias0*.fit", name, "--dtype", dtype, *options, cwd=tmp_path).stderr
        for name, options in (("t.fit", ()), ("c.fit", ("--scheduler", cluster.address)))
    ]
    same(pixels(tmp_path / "t.fit"), pixels(tmp_path / "c.fit"))
    assert said[0].replace("t.fit", "c.fit") == said[1]


def test_a_gzipped_and_a_tiled_stack(cluster, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        image = rng.normal(100, 10, (2, 90, 70)).astype("f4")
        image[rng.random(image.shape) < 0.1] = np.nan
        write_frame(tmp_path / f"z{i}.fits.gz", image)
        write_frame(tmp_path / f"f{i}.fits.fz", image, place="tiled", compression="GZIP_1")
    for mask in ("z*.gz", "f*.fz"):
        run("med", mask, "threads.fit", cwd=tmp_path)
        run("med", mask, "cluster.fit", "--scheduler", cluster.address, cwd=tmp_path)
        bits = [pixels(tmp_path / f"{n}.fit").tobytes() for n in ("threads", "cluster")]
        assert bits[0] == bits[1]


def test_tiles_in_which_no_pixel_is_hot(cluster, tmp_path):
    frames = np.random.default_rng(3).integers(400, 600, (4, 400, 600)).astype("u2")
    frames[:, :100] += 5000
    for i, frame in enumerate(frames):
        write(tmp_path / f"d{i}.fit", frame, "Dark", 10.0)
    more = ("--hot-pixels", "20", "--verbose", "--scheduler", cluster.address)
    said = run("makedark", "d*.fit", "0", *more, cwd=tmp_path).stdout
    assert "8 tiles" in said
    truth = np.median(frames, axis=0).astype("f4")
    same(pixels(tmp_path / "dark10s.fit"), truth)
    assert points(tmp_path / "cosme10s.lst") == hottest(truth, 20)


def test_python_functions_follow_the_client(cluster, night):
    with noted():
        darks = pulsar_dask.dark_masters(night / "darks", bias=night / "bias0*.fit")
        flats = pulsar_dask.flat_masters(
            night / "flats", dark=300, hot_pixels=night / "cosme120s.lst"
        )
    with Client(cluster.address):
        for name, values in {**darks, **flats}.items():
            path = night / f"{name}.fit"
            same(values.compute().values, pixels(path))


# --- errors --------------------------------------------------------------------------------------


def test_a_workers_error_is_told_as_here(cluster, night, tmp_path):
    (tmp_path / "flats").mkdir()
    shutil.copy2(night / "flats" / "fL_0001.fit", tmp_path / "flats")
    said = [
        run("makeflat", "flats/", "--dark", 60_000, *options, cwd=tmp_path, status=1).stderr
        for options in ((), ("--scheduler", cluster.address))
    ]
    assert said[0] == said[1]
    assert "not positive" in said[1]
    assert names(tmp_path) == ["flats"]


def test_memory_too_small(cluster, night, tmp_path):
    options = ("--scheduler", cluster.address, "--memory", "0.01")
    said = run("med", night / "bias0*.fit", "m.fit", *options, cwd=tmp_path, status=1).stderr
    least = float(re.search(r"this needs at least ([\d.]+) GB", said)[1])
    more = f"{least + 0.01:.2f}"  # a worker is not the same size each time
    run("med", night / "bias0*.fit", "m.fit", *options[:3], more, cwd=tmp_path)


@pytest.mark.parametrize("address", ["x", "local:0", "local:two", "tcp://"])
def test_an_address_that_is_none(night, tmp_path, address):
    run("med", night / "bias0*.fit", "m.fit", "--scheduler", address, cwd=tmp_path, status=2)


@pytest.mark.parametrize("content", [None, "{}", *also("]", '{"address": 3}')])
def test_a_scheduler_file_that_is_none(night, tmp_path, content):
    if content:
        (tmp_path / "s.json").write_text(content)
    said = run(
        "med", night / "bias0*.fit", "m.fit", "--scheduler", "s.json", cwd=tmp_path, status=1,
        env=os.environ | {"DASK_PULSAR_DASK__PATIENCE": "1"},
    )  # fmt: skip
    assert "s.json" in said.stderr


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("nanny", [False, *also(True)])
def test_a_worker_killed(slow, tmp_path, nanny):
    with (
        cluster_in(tmp_path / "cluster", 2, nanny=nanny) as made,
        under_way(slow, tmp_path, made.address) as (process, _),
    ):
        victim = psutil.Process(made.processes[1].pid)
        if nanny:
            victim = next(c for c in victim.children(recursive=True) if "spawn" in str(c.cmdline()))
        victim.send_signal(signal.SIGKILL)
        ended(process)
        same(pixels(tmp_path / "m.fit"), pixels(slow / "truth.fit"))


@pytest.mark.more
@pytest.mark.slow
def test_a_slow_client_slows_the_workers(slow, tmp_path):
    def held(dask_scheduler: Any) -> int:
        return len(dask_scheduler.tasks)

    with (
        cluster_in(tmp_path / "cluster") as made,
        under_way(slow, tmp_path, made.address) as (process, _),
        Client(made.address, set_as_default=False) as client,
    ):
        process.send_signal(signal.SIGSTOP)
        until(lambda: not tile_tasks(client))
        assert client.run_on_scheduler(held) <= 3 + 1  # three tiles for a thread, and the job
        process.send_signal(signal.SIGCONT)
        ended(process)
        same(pixels(tmp_path / "m.fit"), pixels(slow / "truth.fit"))


@pytest.mark.parametrize("output", ["m.fit", *also("m.zarr")])
def test_the_scheduler_killed(slow, tmp_path, output):
    (tmp_path / "out").mkdir()
    with (
        cluster_in(tmp_path / "cluster") as made,
        under_way(slow, tmp_path / "out", made.address, output) as (process, _),
    ):
        made.scheduler.kill()
        assert "scheduler" in one_line(ended(process, 1))
        assert names(tmp_path / "out") == []


@pytest.mark.more
def test_all_workers_killed(slow, tmp_path):
    patience = {"DASK_PULSAR_DASK__PATIENCE": "2"}
    (tmp_path / "out").mkdir()
    with (
        cluster_in(tmp_path / "cluster") as made,
        under_way(slow, tmp_path / "out", made.address, env=os.environ | patience) as (process, _),
    ):
        made.processes[1].kill()
        assert "no worker" in one_line(ended(process, 1))
        assert names(tmp_path / "out") == []
        # a scheduler to which no worker ever comes
        said = run(
            "med", slow / "f*.fz", "m.fit", "--scheduler", made.address,
            cwd=tmp_path / "out", status=1, env=os.environ | patience,
        )  # fmt: skip
        assert "no worker" in one_line(said.stderr)


@pytest.mark.more
def test_interrupted(slow, tmp_path, cluster):
    (tmp_path / "out").mkdir()
    with under_way(slow, tmp_path / "out", cluster.address) as (process, _):
        process.send_signal(signal.SIGINT)
        ended(process, -signal.SIGINT)
    assert names(tmp_path / "out") == []
    with Client(cluster.address, set_as_default=False) as client:
        until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


@pytest.mark.more
@pytest.mark.skipif(not os.path.isdir("/proc/self/cwd"), reason="no /proc/self/cwd")
def test_frames_that_a_worker_does_not_see(night, tmp_path):
    """A path that leads to another place in each process: the worker's has no frames."""
    for path in night.glob("bias0*.fit"):
        shutil.copy2(path, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with cluster_in(tmp_path / "cluster", cwd=tmp_path) as made:
        here = ("med", "/proc/self/cwd/bias0*.fit", "m.fit", "--scheduler", made.address)
        run(*here, cwd=tmp_path)
        stranger = made.worker("--name", "stranger", cwd=tmp_path / "elsewhere")
        made.wait(2)
        said = one_line(run(*here, cwd=tmp_path, status=1).stderr)
        with Client(made.address, set_as_default=False) as client:
            workers = client.scheduler_info()["workers"]
        (address,) = [a for a, w in workers.items() if w["name"] == "stranger"]
        assert address in said
        assert "/proc/self/cwd/bias0001.fit" in said
        assert stranger.poll() is None


@pytest.mark.parametrize("there", ["another version", *also("nothing")])
def test_another_version_on_a_worker(night, tmp_path, there):
    (tmp_path / "other").mkdir()
    if there == "nothing":
        (tmp_path / "other" / "pulsar_dask.py").write_text("raise ImportError")
    else:
        package = Path(pulsar_dask.__file__).parent
        shutil.copytree(package, tmp_path / "other" / "pulsar_dask")
        (tmp_path / "other" / "pulsar_dask" / "_version.py").write_text('__version__ = "0.0.7"\n')
    env = os.environ | {"PYTHONPATH": str(tmp_path / "other")}
    with cluster_in(tmp_path / "cluster", env=env) as made:
        said = run(
            "med", night / "bias0*.fit", "m.fit", "--scheduler", made.address,
            cwd=tmp_path, status=1,
        )  # fmt: skip
        assert ("has no pulsar-dask" if there == "nothing" else "0.0.7") in one_line(said.stderr)
        assert pulsar_dask.__version__ in said.stderr


@pytest.mark.more
def test_a_worker_killed_between_the_passes_of_a_flat(slow, tmp_path):
    """What the first pass has found outlives the worker that found it."""
    for path in slow.glob("f*.fz"):
        shutil.copy2(path, tmp_path)
    words = ["f*.fz", "--dark", "-3000", "--assume-type"]
    run("makeflat", *words, "--output-dir", "here", cwd=tmp_path)
    with cluster_in(tmp_path / "cluster", 2) as made:
        more = ("--output-dir", "there", "--scheduler", made.address)
        process = subprocess.Popen(
            command("makeflat", *words, *more), cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with Client(made.address, set_as_default=False) as client:
            until(lambda: tile_tasks(client))
        made.processes[1].kill()
        ended(process)
    same(pixels(tmp_path / "here" / "flat_l.fit"), pixels(tmp_path / "there" / "flat_l.fit"))


def test_a_limit_of_the_worker(night, tmp_path):
    with cluster_in(tmp_path / "cluster", 0) as made:
        made.worker("--memory-limit", "400MB")
        made.wait(1)
        words = ("med", night / "bias0*.fit", "m.fit", "--scheduler", made.address)
        run(*words, cwd=tmp_path)
        said = run(*words, "--memory", 1, cwd=tmp_path, status=1).stderr
        assert "0.28 GB" in one_line(said)
        assert made.address is not None


def test_an_error_travels():
    import pickle

    error = PulsarError("a file: what is wrong")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
