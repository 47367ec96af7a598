"""What a large stack costs before its first pixel: ``python graph.py ADDRESS FOLDER TILES``.

Plans the median of the frames in a folder in so many tiles, and asks a dask cluster for it as
the commands do (tile by tile) and as a notebook does (a dask array), up to the first result.
Prints bytes and seconds.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from operator import methodcaller
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client
from pulsar_dask.graph import TileGraph
from pulsar_dask.run import Output


from pulsar_dask.engine.cluster import WINDOW, Cluster
from pulsar_dask.engine.worker import Job
from pulsar_dask.? import Part
from pulsar_dask.notebook.cube import lazy_array
from pulsar_dask.engine.memory import resident
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.inputs.find import find_inputs
from pulsar_dask.kernels.tile import Grid
from pulsar_dask.engine.cut import Plan


class First(Exception):
    """The first result has come."""


class Stop:
    """A writer that has seen enough after one tile."""

    def write(self, tile: Any, values: Any) -> None:
        raise First


def main() -> None:
    address, folder, tiles = sys.argv[1], sys.argv[2], int(sys.argv[3])
    found: dict[str, float] = {}
    frames = clocked(found, "scan", lambda: scan_frames(find_inputs(folder).paths))
    grid = cut(frames[0].shape, tiles)
    graph = TileGraph(grid)
    layer = pipelines.median_graph(frames, graph)
    with Client(address, set_as_default=False) as client:
        cluster = Cluster(client)
        cluster.check_workers()
        kernel = len(frames), frames[0].pixels
        clocked(found, "prepare", lambda: cluster._prepare(frames, kernel, ()))
        output = Output(layer, (Stop(),), "float32")
        plan = Plan(grid, 1, 0, {})
        clocked(found, "first", lambda: until_first(cluster, graph, output, frames, plan))
        job = Job(dict(graph.shared), list(graph.layers.values()), (Part.of(output),), frames)
        call = methodcaller("tile", 0, 1000, 0, grid.height, grid.width)
        found |= {
            "tiles": len(grid),
            "job bytes": len(pickle.dumps(job)),
            "task bytes": len(pickle.dumps(call)),
            "window": WINDOW * cluster.slots,
        }
        found["client"] = resident()
    with Client(address):
        array = clocked(found, "build", lambda: lazy_array(graph, layer, np.dtype("f8")))
        found["graph bytes"] = len(pickle.dumps(dict(array.dask)))
        clocked(found, "array", lambda: first_of(array))
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


def until_first(
    cluster: Cluster, graph: TileGraph, output: Output, frames: Any, plan: Plan
) -> None:
    try:
        cluster.run(graph, [output], frames, plan, lambda key, result: None)
    except First:
        return


def first_of(array: da.Array) -> None:
    """The whole graph goes to the scheduler; the first chunk comes back."""
    from distributed import as_completed, futures_of

    chunks = futures_of(array.persist())
    next(iter(as_completed(chunks))).result()


if __name__ == "__main__":
    main()
