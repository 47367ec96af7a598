"""Many workers on few processors: ``python simulated.py WORKERS [CHIPS] [SLOWER]``.

Each worker is one of dask's own, several to a process, whose tiles sleep for the time that one
core was measured to need; scheduler and client are what they always are. 50 frames of 150 million
pixels of 16 bits a chip. Prints the CPU seconds of scheduler and client, and the share of the time
that the workers were busy. Where the processors of this machine are what holds them up, make the
tiles SLOWER: CPU seconds stay what they are.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

#: GB of stored pixels that one core reads, sums and combines in a second.
GB_A_SECOND = 2.2
FRAMES, SHAPE = 50, (10_000, 15_000)
#: Processes that the workers share.
PROCESSES = 4


@dataclass(frozen=True)
class Sleep:
    """A layer's function: a tile takes its time."""

    seconds: float
    """For each pixel."""

    def __call__(self, tile: Any) -> Mapping[str, Any]:
        time.sleep(self.seconds * tile.height * tile.width)
        return {}


def sums(tile: Any, planes: Mapping[str, Any]) -> Any:
    """A taker: what comes of a tile that was written in place."""
    from pulsar_dask.kernels.ordersum import Sums

    return {"image": (Sums(tile.y, tile.x), 0, 0)}


class Taken:
    """A sink that counts."""

    tiles, sends = 0, 0

    def here(self, tile: Any, result: Any) -> None:
        self.tiles += 1


def simulate(workers: int, chips: int, slower: float) -> dict[str, float]:
    import psutil
    from distributed import Client

    from pulsar_dask.engine import layer
    from pulsar_dask.engine.cluster import PATIENCE, Cluster
    from pulsar_dask.engine.cut import Costs, plan_tiles
    from pulsar_dask.engine.graph import Graph
    from pulsar_dask.engine.sink import Watch
    from pulsar_dask.formats.ledger import Ledger
    from pulsar_dask.formats.scan import scan_frames

    with tempfile.TemporaryDirectory() as folder:
        import numpy as np
        from astropy.io import fits

        for i in range(FRAMES):
            fits.writeto(f"{folder}/f{i:02}.fit", np.full((8, 8), i, "i2"))
        frames = scan_frames([f"{folder}/f{i:02}.fit" for i in range(FRAMES)])
        file = f"{folder}/scheduler.json"
        started = [_start("scheduler", file)]
        try:
            while not os.path.exists(file):
                time.sleep(0.1)
            each = [workers // PROCESSES + (i < workers % PROCESSES) for i in range(PROCESSES)]
            started += [_start("workers", file, str(n)) for n in each if n]
            with Client(scheduler_file=file, set_as_default=False) as client:
                client.wait_for_workers(workers)
                cluster = Cluster(client, PATIENCE)
                cluster.check_workers()
                resources = cluster._resources_of(replace(cluster.workers[0], held=0), 8.0)
                plan = plan_tiles(
                    (chips, *SHAPE),
                    Costs({"frames": 2 * FRAMES}, stored=2 * FRAMES, frames=FRAMES),
                    budget=resources.budget,
                    threads=1,
                    process=0,
                    target=resources.target,
                    slots=workers,
                )
                seconds = slower * 2 * FRAMES / (GB_A_SECOND * 1e9)
                sleep = layer.layer("sleep", Sleep(seconds), chips)
                sleep = replace(sleep, reads=tuple(frames), inputs=())
                graph = Graph([sleep], plan.grid, [(sleep.name, sums)])
                sink: Any = Taken()
                server = psutil.Process(started[0].pid)
                idle = sum(server.cpu_times()[:2])
                time.sleep(4)
                idle = (sum(server.cpu_times()[:2]) - idle) / 4
                before = sum(server.cpu_times()[:2]), time.process_time(), time.perf_counter()
                cluster.run(graph, [sink], plan, Watch(), Ledger())
                took = time.perf_counter() - before[2]
                size = chips * 2 * FRAMES * SHAPE[0] * SHAPE[1] / 1e9
                work = chips * SHAPE[0] * SHAPE[1] * seconds
                assert sink.tiles == len(plan.grid)
                return {
                    "workers": workers,
                    "GB": size,
                    "tiles": len(plan.grid),
                    "seconds": took,
                    "busy": work / (workers * took),
                    "scheduler": (sum(server.cpu_times()[:2]) - before[0] - idle * took) / size,
                    "client": (time.process_time() - before[1]) / size,
                }
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()


def _start(*words: str) -> subprocess.Popen[Any]:
    here = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    argv = [sys.executable, str(Path(__file__)), *words]
    if words[0] == "scheduler":
        argv = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        argv += ["--port", "0", "--no-dashboard", "--scheduler-file", words[1]]
    return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def be_workers(file: str, count: int) -> None:
    from distributed import Worker

    with open(file, encoding="utf-8") as content:
        address = json.load(content)["address"]
    with tempfile.TemporaryDirectory() as folder:
        started = [
            Worker(address, nthreads=1, local_directory=folder, host="127.0.0.1", memory_limit=0)
            for _ in range(count)
        ]
        await asyncio.gather(*started)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "workers":
        asyncio.run(be_workers(sys.argv[2], int(sys.argv[3])))
    else:
        from simulated import simulate as run  # so that workers know where its parts are

        numbers = [float(word) for word in sys.argv[1:]] + [1.0] * (4 - len(sys.argv))
        print(json.dumps(run(int(numbers[0]), int(numbers[1]), numbers[2])))
