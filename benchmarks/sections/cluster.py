"""Threads in the process against a cluster of processes on this machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import measure
import peers
from harness import CORES, Bench, drop, say, table, warm
from measure import MB, Failed
from peers import HERE
from report import Table, seconds

#: What a run is to be compared with.
AGAINST = (
    "`med` on threads of the same table; the second table with that of another version, in turn."
)
#: GB that each worker process may take in the benchmark of the cluster.
WORKER_GB = 0.5
#: Workers that are simulated, and how much slower than a core they are.
SIMULATED, SLOWER = (8, 64), 40
#: The stack whose graph is measured: frames that are links, and tiles.
MANY_FRAMES, MANY_TILES = 1000, 2000


def tables(bench: Bench) -> list[Table]:
    frames = bench.stack
    us = peers.med(frames, bench.folder("med"), name=f"`med`, {CORES} threads")
    warm(peers.cat(frames, bench.folder("cat")), bench.tiny())
    with local_cluster(bench, CORES) as state:
        options = ("--scheduler", state["address"], "--memory", str(WORKER_GB))
        name = f"`med --scheduler`, {CORES} worker processes"
        theirs = peers.med(frames, bench.folder("scheduler"), *options, name=name)
        jobs = [us, theirs]
        title = f"Threads and a local cluster, {frames}"
        made, _ = table(bench, title, jobs, us=us, check=True)
    workers = ", ".join(f"{size / MB:.0f}" for size in state.get("workers", ()))
    made.notes += [
        f"The start of the cluster, {seconds(state['started'])} s, is not in these times.",
        f"Peak MB of its scheduler: {state.get('scheduler', 0) / MB:.0f}; "
        f"of its workers: {workers}, where `--memory` allows {WORKER_GB * 1000:.0f} MB each. "
        "The table's peak is the client's.",
    ]
    return [made, graph(bench), many()]


def many() -> Table:
    """Scheduler and client where workers are many, which sleep instead of computing."""
    title = "Simulated workers, 50 x 150 million pixels a chip, 4 chips"
    made = Table(title, ["workers", "busy", "scheduler, CPU s/GB", "client, CPU s/GB"])
    for workers in SIMULATED:
        argv = [sys.executable, str(HERE / "simulated.py"), str(workers), "4", str(SLOWER)]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1])
        found = json.loads(done.stdout.splitlines()[-1])
        shares = [f"{found[name]:.4f}" for name in ("scheduler", "client")]
        made.rows.append([str(workers), f"{found['busy']:.0%}", *shares])
    made.notes.append(
        f"A tile takes {SLOWER} times as long as one core needs, as all workers share the "
        f"{CORES} cores of this machine. GB are of stored pixels; the scheduler's seconds are "
        "without those that it takes when nothing runs."
    )
    return made


def graph(bench: Bench) -> Table:
    """What many frames in many tiles cost before the first result."""
    frames = bench.linked(bench.darks(5, 3124, 2088), MANY_FRAMES)
    folder = bench.folder("graph")
    with local_cluster(bench, CORES) as state:
        argv = [sys.executable, str(HERE / "graph.py"), state["address"], str(frames.folder)]
        done = subprocess.run([*argv, str(MANY_TILES)], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1])
    found = json.loads(done.stdout.splitlines()[-1])
    drop(frames, bench.scratch)
    made = Table(f"Before the first result: {frames} in {found['tiles']:.0f} tiles", ["", "", ""])
    for what, seconds_of, size in (
        ("headers read", "scan", None),
        ("workers see the frames, kernels loaded", "prepare", None),
        ("a command: shared values sent, to the first tile taken", "first", "job bytes"),
        ("threads of one process: their graph built", "tasks", None),
        ("threads of one process: to the first tile taken", "here", None),
        ("a notebook: its graph built", "build", "graph bytes"),
        ("a notebook: its graph sent, to the first chunk computed", "array", None),
    ):
        bytes_of = f"{found[size] / 1000:.0f} kB" if size else ""
        made.rows.append([what, f"{seconds(found[seconds_of])} s", bytes_of])
    made.notes.append(
        f"A command's task: {found['task bytes']:.0f} bytes; {found['window']:.0f} of them are "
        f"under way at most. Resident in its client: {found['client'] / MB:.0f} MB, in the "
        f"scheduler at most {state.get('scheduler', 0) / MB:.0f} MB (with the notebook's graph)."
    )
    return made


@contextlib.contextmanager
def local_cluster(bench: Bench, workers: int) -> Iterator[dict[str, Any]]:
    """A cluster that runs meanwhile; what it says at its end is added to the answer."""
    say(f"starting a cluster of {workers} workers")
    folder = bench.folder("cluster")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "cluster.py"), str(workers)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        first = process.stdout.readline()
        if not first:
            process.wait()
            raise Failed(f"the cluster did not start: {measure.last_words(folder / 'log')}")
        state = json.loads(first)
        try:
            yield state
        finally:
            process.stdin.close()
            with contextlib.suppress(json.JSONDecodeError):
                state |= json.loads(process.stdout.readline())
            process.wait()
