"""What a large stack costs before its first pixel: ``python graph.py ADDRESS FOLDER TILES``.

Plans the median of the frames in a folder in so many tiles, and asks for it up to the first
result: a dask cluster as the commands do (tile by tile) and as a notebook does (a dask array),
and the threads of this process. Prints bytes and seconds.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from operator import methodcaller
from typing import Any

import dask.array as da
from distributed import Client

from pulsar_dask.combine import method
from pulsar_dask.engine.cluster import PATIENCE, WINDOW, Cluster
from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.graph import Graph
from pulsar_dask.engine.memory import resident
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor, Watch
from pulsar_dask.engine.threads import Threads
from pulsar_dask.engine.worker import Job
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.planes import IMAGE
from pulsar_dask.inputs.find import find_inputs
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.notebook.lazy import lazy_array
from pulsar_dask.output.survey_sink import taken


class First(Exception):
    """The first result has come."""


class Stop:
    """A sink that has seen enough after one tile."""

    def here(self, tile: Any, result: Any) -> None:
        raise First


def main() -> None:
    address, folder, tiles = sys.argv[1], sys.argv[2], int(sys.argv[3])
    found: dict[str, float] = {}
    frames = clocked(found, "scan", lambda: scan_frames(find_inputs(folder).paths))
    product = stack_product("median", None, frames, method("median"), rounds=False)
    recipe = Recipe([product])
    grid = cut(recipe.shape, tiles)
    graph = Graph(recipe.layers, grid, [(product.layer.name, taken)])
    with Client(address, set_as_default=False) as client:
        cluster = Cluster(client, PATIENCE)
        cluster.check_workers()
        clocked(found, "prepare", lambda: cluster.resources(recipe, (), None))
        clocked(found, "first", lambda: until_first(cluster, graph))
        job = Job(graph.each, graph.takers, {}, grid, recipe.frames)
        call = methodcaller("tiles", [(0, 1000, 0, grid.height, grid.width)])
        found |= {
            "tiles": len(grid),
            "job bytes": len(pickle.dumps(job)),
            "task bytes": len(pickle.dumps(call)),
            "window": WINDOW * cluster.slots,
        }
        found["client"] = resident()
    with Client(address):
        array = clocked(found, "build", lambda: lazy_array(graph, product.layer, IMAGE))
        found["graph bytes"] = len(pickle.dumps(dict(array.dask)))
        clocked(found, "array", lambda: first_of(array))
    threads = Threads(os.cpu_count() or 1)
    threads.resources(recipe, (), None)
    clocked(found, "tasks", lambda: graph.tasks(lambda tile, results: None))
    clocked(found, "here", lambda: until_first(threads, graph))
    print(json.dumps(found))


def cut(shape: tuple[int, ...], tiles: int) -> Grid:
    """As many tiles, or a few more: rows, or parts of them."""
    rows, columns = shape[-2:]
    if tiles <= rows:
        return Grid(shape, rows // tiles, columns)
    return Grid(shape, 1, -(-columns // -(-tiles // rows)))


def clocked(found: dict[str, float], name: str, work: Any) -> Any:
    began = time.perf_counter()
    result = work()
    found[name] = time.perf_counter() - began
    return result


def until_first(executor: Executor, graph: Graph) -> None:
    plan = Plan(graph.grid, executor.slots, 0, {})
    sinks: list[Any] = [Stop()]
    try:
        executor.run(graph, sinks, plan, Watch(), Ledger())
    except First:
        return


def first_of(array: da.Array) -> None:
    """The whole graph goes to the scheduler; the first chunk comes back."""
    from distributed import as_completed, futures_of

    chunks = futures_of(array.persist())
    next(iter(as_completed(chunks))).result()


if __name__ == "__main__":
    main()
