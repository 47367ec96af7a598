"""A local dask cluster for the benchmark: ``python cluster.py WORKERS``.

Prints the scheduler's address and the seconds that its start took, waits until its input
is closed, then prints the most bytes that were resident in each process.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path


def main() -> None:
    began = time.perf_counter()
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=int(sys.argv[1]), threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(int(sys.argv[1]))
        started = time.perf_counter() - began
        say({"address": cluster.scheduler_address, "started": started})
        sys.stdin.read()
        workers = client.run(os.getpid)
        say(
            {
                "scheduler": peak(os.getpid()),
                "workers": [peak(pid) for pid in workers.values()],
            }
        )


def peak(pid: int) -> int:
    """Most bytes resident, as Linux counts them for a process that still runs."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
