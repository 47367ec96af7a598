"""A cluster of processes, and runs on it that are under way."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distributed import Client
from helpers import command

LIMIT = 60
"""Seconds after which what is waited for has failed."""
#: A cluster that waits for the next test looks at itself once a second, not at each moment.
IDLE = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}


class Cluster:
    """A scheduler and workers, each its own process, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[Any]] = []
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", self.file, cwd=folder,
        )  # fmt: skip

    @functools.cached_property
    def address(self) -> str:
        until(lambda: self.file.exists() and "tcp://" in self.file.read_text())
        return re.search(r"tcp://[\d.:]+", self.file.read_text())[0]

    def worker(
        self, *options: Any, cwd: Path | None = None, nanny: bool = False, **kwargs: Any
    ) -> subprocess.Popen[Any]:
        """Start a worker of one thread; it waits for the scheduler to come up."""
        here = "--nanny" if nanny else "--no-nanny"
        return self._start(
            "worker", "--scheduler-file", self.file, "--nthreads", "1", here, "--no-dashboard",
            "--host", "127.0.0.1", "--local-directory", self.folder, *options,
            cwd=cwd or self.folder, **kwargs,
        )  # fmt: skip

    def wait(self, workers: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=LIMIT)

    def _start(self, what: str, *options: Any, cwd: Path, **kwargs: Any) -> Any:
        argv = [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, options)]
        log = open(self.folder / f"log{len(self.processes)}", "wb")  # noqa: SIM115
        env = {**(kwargs.pop("env", None) or os.environ), **IDLE}
        process = subprocess.Popen(argv, cwd=cwd, stdout=log, stderr=log, env=env, **kwargs)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill() if process.poll() is None else None
        for process in self.processes:
            process.wait()


def until(done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def cluster_in(folder: Path, workers: int = 1, **kwargs: Any) -> Iterator[Cluster]:
    folder.mkdir(exist_ok=True)
    made = Cluster(folder)
    try:
        for _ in range(workers):
            made.worker(**kwargs)
        made.wait(workers) if workers else None
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def under_way(slow: Path, folder: Path, address: str, output: str = "m.fit", **kwargs: Any) -> Any:
    """A run of `med` of which some tiles are done and others are not; and the addresses of the
    workers that are at it."""
    words = command("med", slow / "f*.fz", output, "--scheduler", address, "--memory", "0.35")
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )
    try:
        with Client(address, set_as_default=False) as client:
            busy = until(lambda: tile_tasks(client))
        yield process, busy
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def tile_tasks(client: Client) -> list[str]:
    """Workers that compute tiles."""
    return [w for w, keys in client.processing().items() if any("task" in str(k) for k in keys)]


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    """What a run said on stderr until it ended with that status."""
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == status, out + err
    assert "Traceback" not in err
    return err
