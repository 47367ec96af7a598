"""Workers of a cluster write their parts of an output where it lies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from clusters import Cluster, cluster_in, ended, under_way, until
from distributed import Client
from helpers import names, run, same, write_frame
from night import pixels, write

from pulsar_dask.combine import method
from pulsar_dask.engine import groups
from pulsar_dask.engine.cluster import PATIENCE
from pulsar_dask.engine.cluster import Cluster as Workers
from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.inputs.find import find_inputs
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.output.fits_sink import FitsSink

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
TROUBLED = Path(__file__).parents[1] / "support" / "troubled.py"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames, and what threads make of them."""
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(7)
    for i in range(4):
        image = rng.normal(1000, 30, (2, 301, 203)).astype("f4")
        image[rng.random(image.shape) < 0.02] = np.nan
        write_frame(folder / f"b{i}.fit", image)
    run("med", "b*.fit", "truth.fit", "--planes", "count", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path]]:
    """Two workers whose outputs can be troubled, and the folder where that is said."""
    there = tmp_path_factory.mktemp("there")
    with cluster_in(tmp_path_factory.mktemp("cluster"), 0) as made:
        for _ in range(2):
            made.worker("--preload", TROUBLED, cwd=there)
        made.wait(2)
        yield made, there


def made_by(address: str, frames: Path, output: str) -> list[Any]:
    """What came to the client of each tile of a median, its file written."""
    found: list[Any] = []

    class Watched(FitsSink):
        def here(self, tile: Any, result: Any) -> None:
            found.append(result)
            super().here(tile, result)

    stack = scan_frames(find_inputs(str(frames / "b*.fit")).paths)
    product = stack_product("median", None, stack, method("median"), rounds=False)
    sink = Watched(product, output, tolerance=None, verify=True)
    with Client(address, set_as_default=False) as client:
        executor = Workers(client, PATIENCE)
        executor.check_workers()
        make(Recipe([product]), [sink], executor, commit=lambda files: sink.file.commit())
    sink.close()
    return found


def in_place(found: list[Any]) -> list[bool]:
    return [isinstance(put[0], Sums) for planes in found for put in planes.values()]


def test_no_pixel_comes_to_the_client(workers, frames, tmp_path):
    cluster, _ = workers
    output = str(tmp_path / "m.fit")
    found = made_by(cluster.address, frames, output)
    assert len(found) > 3
    assert all(in_place(found))
    assert names(tmp_path) == ["m.fit"]
    same(pixels(Path(output)), pixels(frames / "truth.fit"))
    run("verify", output, cwd=tmp_path)


def test_planes_and_types(workers, frames, tmp_path):
    cluster, _ = workers
    words = ("med", frames / "b*.fit", "truth.fit", "--planes", "count")
    run(*words, "--scheduler", cluster.address, cwd=tmp_path)
    run("verify", "truth.fit", "--scheduler", cluster.address, cwd=tmp_path)
    assert names(tmp_path) == ["truth.fit", "truth.planes.fit"]
    for name in names(tmp_path):
        ours, theirs = (data_of(folder / name) for folder in (tmp_path, frames))
        assert ours == theirs


def test_lights(workers, tmp_path):
    cluster, _ = workers
    rng = np.random.default_rng(9)
    for i in (1, 2):
        frame = rng.integers(900, 4000, (301, 203)).astype("u2")
        write(tmp_path / f"lights/light_{i:04}.fit", frame, "Light Frame", 60.0, "R", EGAIN=1.5)
    dark = rng.integers(400, 500, (301, 203)).astype("f4")
    write(tmp_path / "dark.fit", dark, "Master Dark", 60.0, BIASSUB=False)
    words = (
        "calibrate",
        "lights/",
        "-d",
        "dark.fit",
        "--uncertainty",
        "--read-noise",
        "5",
        "-b",
        "300",
    )
    for name, more in (("here", ()), ("there", ("--scheduler", cluster.address))):
        (tmp_path / name).mkdir()
        run(*words[:2], f"{name}/", *words[2:], *more, cwd=tmp_path)
    assert names(tmp_path / "there") == ["light_0001.fit", "light_0002.fit"]
    for name in names(tmp_path / "here"):
        assert data_of(tmp_path / "there" / name) == data_of(tmp_path / "here" / name)
        run("verify", f"there/{name}", cwd=tmp_path)


def data_of(path: Path) -> list[bytes]:
    from astropy.io import fits

    with fits.open(path, checksum=True) as hdus:
        return [b"" if hdu.data is None else hdu.data.tobytes() for hdu in hdus]


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_worker_that_cannot_write_leaves_it_to_the_client(workers, frames, tmp_path, trouble):
    cluster, there = workers
    output = str(tmp_path / "m.fit")
    (there / "trouble").write_text(trouble)
    try:
        found = made_by(cluster.address, frames, output)
    finally:
        (there / "trouble").unlink()
    assert not any(in_place(found))
    same(pixels(Path(output)), pixels(frames / "truth.fit"))
    run("verify", output, cwd=tmp_path)


def test_groups_of_tiles_that_go_to_the_client(workers, tmp_path, monkeypatch):
    """A worker that does not write them makes one at a time of the tiles that a task asks for."""
    cluster, there = workers
    monkeypatch.setattr(groups, "SHARE", 0.5)
    rng = np.random.default_rng(3)
    stack = [rng.integers(0, 4000, (1500, 1500)).astype("i2") for _ in range(3)]
    for i, image in enumerate(stack):
        write_frame(tmp_path / f"b{i}.fit", image)
    asked: list[int] = []
    step = groups.Groups.__next__

    def counted(self: Any) -> Any:
        group = step(self)
        asked.append(len(group[0]))
        return group

    monkeypatch.setattr(groups.Groups, "__next__", counted)
    for trouble in ("read-only", ""):
        (there / "trouble").write_text(trouble)
        output = tmp_path / f"m{trouble}.fit"
        found = made_by(cluster.address, tmp_path, str(output))
        assert all(in_place(found)) == (not trouble)
        assert (max(asked) > 1, sum(asked) > len(found)) == (True, bool(trouble))
        asked.clear()
        assert np.array_equal(pixels(output), np.median(stack, axis=0))
    (there / "trouble").unlink()


@pytest.mark.more
@pytest.mark.skipif(not os.path.isdir("/proc/self/cwd"), reason="no /proc/self/cwd")
def test_a_folder_that_is_not_shared(frames, tmp_path):
    """The path of the output leads to another folder in each process; one worker's has a link
    to the right one."""
    for name in ("here", "there"):
        (tmp_path / name / "out").mkdir(parents=True)
    (tmp_path / "too").mkdir()
    (tmp_path / "too" / "out").symlink_to(tmp_path / "here" / "out")
    with cluster_in(tmp_path / "cluster", cwd=tmp_path / "there") as made:
        words = ("med", frames / "b*.fit", "/proc/self/cwd/out/m.fit", "--scheduler", made.address)
        run(*words, cwd=tmp_path / "here")
        same(pixels(tmp_path / "here" / "out" / "m.fit"), pixels(frames / "truth.fit"))
        made.worker(cwd=tmp_path / "too")
        made.wait(2)
        run(*words, "--overwrite", cwd=tmp_path / "here")
    same(pixels(tmp_path / "here" / "out" / "m.fit"), pixels(frames / "truth.fit"))
    assert names(tmp_path / "there" / "out") == []
    run("verify", "m.fit", "--inputs", frames, cwd=tmp_path / "here" / "out")


@pytest.mark.more
def test_a_worker_killed_while_it_writes(slow, tmp_path):
    (out := tmp_path / "out").mkdir()
    (there := tmp_path / "there").mkdir()
    (there / "trouble").write_text("killed")
    with cluster_in(tmp_path / "cluster", 0) as made:
        victim = made.worker("--preload", TROUBLED, cwd=there)
        made.wait(1)
        with under_way(slow, out, made.address) as (process, _):
            until(lambda: victim.poll() is not None)
            made.worker(cwd=there)
            ended(process)
    assert not (there / "trouble").exists()
    same(pixels(out / "m.fit"), pixels(slow / "truth.fit"))
    assert names(out) == ["m.fit"]
    run("verify", "m.fit", cwd=out)


@pytest.mark.more
def test_a_task_that_was_given_up_ends_after_the_run(slow, tmp_path, monkeypatch):
    """A worker that stops in the middle of writing and is taken for dead; its tile is made by
    another, the file gets its name, and then it goes on."""
    (out := tmp_path / "out").mkdir()
    (there := tmp_path / "there").mkdir()
    (there / "trouble").write_text("stopped")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "2s")
    with cluster_in(tmp_path / "cluster", 0) as made:
        zombie = psutil.Process(made.worker("--preload", TROUBLED, cwd=there).pid)
        made.wait(1)
        with under_way(slow, out, made.address) as (process, _):
            until(lambda: zombie.status() == psutil.STATUS_STOPPED)
            made.worker(cwd=there)
            ended(process)
            before = (out / "m.fit").read_bytes()
            assert zombie.status() == psutil.STATUS_STOPPED
            zombie.send_signal(signal.SIGCONT)
            until(lambda: (there / "late").exists() and (there / "late").read_text())
            assert int((there / "late").read_text()) > 1000
            until(lambda: zombie.is_running() is False or zombie.status() != "running")
            assert (out / "m.fit").read_bytes() == before
    same(pixels(out / "m.fit"), pixels(slow / "truth.fit"))
    assert names(out) == ["m.fit"]
    run("verify", "m.fit", cwd=out)
