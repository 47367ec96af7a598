"""Slow storage: reads side by side and ahead, and the same masters to the bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from geometry import least_of, measured
from helpers import command, exact_median, names, run
from night import pixels, stack, write_stack

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats import readers
from pulsar_dask.formats.readers import Readers, waiting

pytestmark = pytest.mark.usefixtures("here")
slow = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="no way to make storage slow"
)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("slow") / "slow.so"
    source = Path(__file__).parents[1] / "support" / "slowdisk.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source, "-ldl"], check=True)
    return path


@pytest.fixture
def disk(library, tmp_path, monkeypatch):
    """Storage of 5 ms a read, and how many reads it saw at once."""
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("SLOW_FILE", str(tmp_path / "most"))
    monkeypatch.setenv("SLOW_US", "5000")
    return lambda: int((tmp_path / "most").read_text() or 0)


def frames(folder: Path, count: int = 12, size: int = 700) -> np.ndarray:
    images = stack(1, count, 300, shape=(size, size))
    write_stack(folder, "b", images, "Bias")
    return images


@slow
def test_reads_are_made_side_by_side(here, disk):
    images = frames(here / "in")
    run("med", "in", "m.fit", "--threads", "2", cwd=here, alone=True)
    assert disk() > 4, "more than the threads that compute, and the tiles ahead"
    assert (pixels(here / "m.fit") == exact_median(images)).all()
    run("verify", "m.fit", cwd=here)


@slow
def test_the_same_bits(here, disk, monkeypatch):
    images = stack(2, 9, 20000, shape=(300, 401))
    write_stack(here / "in", "a", images, "Flat", 1.0, "V")
    (here / "c.lst").write_text("P 3 4\nP 200 299\n")
    line = ["makeflat", "in", "--dark", "10", "--cosme", "c.lst", "--threads", "2", "--output-dir"]
    run(*line, "slow", cwd=here, alone=True)
    assert disk() > 2
    monkeypatch.delenv("LD_PRELOAD")
    run(*line, "fast", cwd=here, alone=True)
    made = [name for name in names(here / "fast") if name.endswith(".fit")]
    assert made
    for name in made:
        slowly, fast = (pixels(here / folder / name) for folder in ("slow", "fast"))
        assert slowly.tobytes() == fast.tobytes()


@slow
def test_memory_holds(here, disk):
    frames(here, 30)
    words = ["med", "b0001.fit", "o.fit"]
    least = least_of(measured(here, words, 0.01, 2))
    took = measured(here, words, least + 0.01, 2)
    assert took.status == 0, took.said
    assert took.peak <= (least + 0.01) * 1e9, took.plans
    assert disk() > 2


@slow
def test_a_read_that_fails_names_its_file(here, disk, monkeypatch):
    frames(here / "in")
    monkeypatch.setenv("SLOW_BAD", "b0007.fit")
    monkeypatch.setenv("SLOW_AFTER", "40")
    done = run("med", "in", "m.fit", "--threads", "2", cwd=here, status=1, alone=True)
    err = done.stderr
    assert "b0007.fit" in err
    assert "Input/output error" in err
    assert "Traceback" not in err
    assert names(here) == ["in", "most"]


@slow
def test_an_interrupt_ends_them(here, disk, monkeypatch):
    frames(here / "in", 40, 400)
    monkeypatch.setenv("SLOW_US", "40000")
    line = command("med", "in", "m.fit", "--threads", "2")
    process = subprocess.Popen(line, cwd=here, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (Path("most").exists() and disk() > 4):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert "interrupted" in process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGINT
    assert names(here) == ["in", "most"]


# --- who computes, and who reads ---------------------------------------------------------------


class Clock:
    """What threads measure: a read waits so many seconds, all else takes one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wait: float) -> None:
        self.wait = wait
        monkeypatch.setattr(readers._Thread, "take", lambda thread: (self.take(thread), 1.0))

    def take(self, thread: threading.local) -> float:
        waited, thread.waited = thread.waited, 0.0
        return self.wait if waited else 0.0


def tile(reader: Readers, seen: list[int], count: int = 8) -> None:
    """A tile of so many frames, as `read_tile` reads it."""

    def read(part) -> None:
        with waiting():
            time.sleep(0.001)

    for n in range(count):
        if reader.each > 1:
            reader.side_by_side([[i] for i in range(n, count)], read, lambda part: None)
            break
        read([n])
        reader.alone(1)
    seen.append(reader.each)


def run_tiles(reader: Readers, tiles: int, threads: int, make) -> None:
    workers = [
        threading.Thread(target=lambda: [reader.task(make) for _ in range(tiles)])
        for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@pytest.mark.parametrize(
    ("wait", "low", "high"), [(0, 1, 1), (1e-4, 1, 1), (1.5, 2, 4), (8, 8, 24), (1e3, 64, 64)]
)
def test_as_many_as_the_storage_repays(monkeypatch, wait, low, high):
    monkeypatch.setattr(readers, "MOST", 64)
    clock = Clock(monkeypatch, wait)
    seen: list[int] = []
    reader = Readers(2, 2)
    run_tiles(reader, 6, 4, lambda: tile(reader, seen))
    assert low <= seen[-1] <= high
    clock.wait = 0.0  # what comes now is in the cache of the system
    run_tiles(reader, 10, 4, lambda: tile(reader, seen))
    assert seen[-1] == 1


def test_no_more_compute_than_were_asked_for():
    reader, lock = Readers(2, 3), threading.Lock()
    reader.each = 4
    computing, most = 0, 0

    def count(more: int) -> None:
        nonlocal computing, most
        with lock:
            computing += more
            most = max(most, computing)

    def make() -> None:
        def then(part) -> None:
            count(1)
            time.sleep(0.0005)
            count(-1)

        then([])
        reader.side_by_side([[i] for i in range(6)], lambda part: time.sleep(0.001), then)
        reader.each = 4
        then([])
        with waiting():
            time.sleep(0.001)
        then([])

    run_tiles(reader, 4, 5, make)
    assert most == 2


def test_the_first_error_in_the_order_of_the_frames():
    reader = Readers(1)
    reader.each = 4
    reader._alone.extend([1.0, 1.0])
    read: list[int] = []

    def one(part) -> None:
        time.sleep(0.001 * (5 - part[0] % 4))
        read.extend(part)
        if part[0] in (2, 3):
            raise PulsarError(f"frame {part[0]}")

    with pytest.raises(PulsarError, match="frame 2"):
        reader.task(reader.side_by_side, [[i] for i in range(100)], one, lambda part: None)
    assert len(read) < 20, "what was not begun is not read"
    assert readers.here() is None
    reader.task(reader.side_by_side, [[7]], lambda part: None, lambda part: None)


def test_nothing_begins_when_all_ends():
    reader = Readers(1)
    reader.end()
    with pytest.raises(readers.Ended):
        reader.task(os.getpid)
