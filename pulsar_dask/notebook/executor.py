"""Where a notebook computes what is written at once."""

from __future__ import annotations

import contextlib
import sys

from pulsar_dask.engine.sink import Executor
from pulsar_dask.engine.threads import Threads


def active_executor(threads: int) -> Executor:
    """The workers of the active dask client, if there is one; else threads here."""
    if "distributed" in sys.modules:
        from distributed import default_client

        from pulsar_dask.engine.cluster import PATIENCE, Cluster

        with contextlib.suppress(ValueError):
            cluster = Cluster(default_client(), PATIENCE)
            cluster.check_workers()
            return cluster
    return Threads(threads)
