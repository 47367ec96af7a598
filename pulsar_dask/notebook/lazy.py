"""Layers as lazy arrays."""

from __future__ import annotations

import dask.array as da
import numpy as np
from dask.system import CPU_COUNT

from pulsar_dask.engine.cut import Resources
from pulsar_dask.engine.graph import Graph
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.memory import budget, process_bytes
from pulsar_dask.engine.plan import make_plan
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.frames.planes import Plane


def lazy_array(graph: Graph, layer: Layer, plane: Plane) -> da.Array:
    """A plane of a layer as a dask array."""
    name, tasks = graph.lazy(layer, plane.name)
    chunks = (*((n,) for n in plane.leading), *graph.grid.chunks)
    return da.Array(tasks, name, chunks, dtype=np.dtype(plane.dtype))


def graph_of(recipe: Recipe, memory: float | None, threads: int | None) -> Graph:
    """A recipe over tiles that so many threads can compute at once."""
    here = Resources(budget(memory), process_bytes(), threads or CPU_COUNT)
    return Graph(recipe.layers, make_plan(recipe, (), [here]).grid)
