"""The pixels of a master computed again from the files that it was made of, and compared."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pulsar_dask import pipelines, reading
from pulsar_dask.commands import Options, make_plan
from pulsar_dask.flats import FlatGroup
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.gather import read_places
from pulsar_dask.graph import TileGraph
from pulsar_dask.hotpixels import find_rings
from pulsar_dask.master import to_dtype
from pulsar_dask.origins import File
from pulsar_dask.recipes import (
    FROM_TOP,
    MINUS,
    SCALED,
    Bias,
    dark_costs,
    dark_recipe,
    flat_costs,
    flat_recipe,
)
from pulsar_dask.run import Computer, Output
from pulsar_dask.tiles import Costs, Plan, Tile
from pulsar_dask.trace import Source, Trace


class _Compare:
    """A `run.Writer` that compares tiles with those of a master."""

    def __init__(self, master: Frame) -> None:
        self.master = master
        native = master.pixels.native
        self.dtype = str(native)
        self.differing = self.compared = 0
        self._lock = threading.Lock()

    def write(self, tile: Tile, values: Any) -> None:
        again = to_dtype(np.asarray(values, np.float64), self.dtype)[0].astype(np.float64)
        there = reading.read_values([self.master], tile, np.dtype("f8"), counted=None)[0]
        # an infinite value is one that did not fit; read back, it counts as missing
        again[np.isinf(again)] = np.nan
        differing = int(np.count_nonzero((again != there) & ~(np.isnan(again) & np.isnan(there))))
        with self._lock:
            self.differing += differing
            self.compared += there.size


def compare_again(
    master: Frame,
    trace: Trace,
    found: Mapping[Source, File],
    tiles: int | None,
    options: Options,
) -> tuple[int, int]:
    """Compute some tiles of a master again, all of them for None, from what its trace names.

    Returns
    -------
    differing, compared : int
        Pixels.
    """
    by_role: dict[str, list[Any]] = {"input": [], "bias": [], "dark": [], "list": []}
    for source in trace.sources:
        by_role[source.role].append(found[source])
    frames: list[Frame] = by_role["input"]
    pipelines.check_shapes([master, *frames, *by_role["bias"], *by_role["dark"]])
    compare = _Compare(master)
    with options.computer() as computer:
        maker = _flat if any(s.startswith(SCALED) for s in trace.steps) else _median
        graph, layer, plan = maker(master, frames, by_role, trace.steps, computer, options)
        indices = [index for index, _ in plan.grid]
        if tiles is not None and tiles < len(indices):
            chosen = np.linspace(0, len(indices) - 1, tiles).round().astype(int)
            graph.done = frozenset(indices) - {indices[i] for i in chosen}
        read = [*frames, *by_role["bias"], *by_role["dark"], master]
        computer.run(graph, [Output(layer, (compare,))], read, plan, lambda key, result: None)
    return compare.differing, compare.compared


def _compared(costs: Costs, master: Frame) -> Costs:
    """Costs of tiles that are compared with those of a master: both as float64, rounded and read
    anew, and which are missing."""
    held = 5 * 8 + 3 + 2 * master.pixels.stored.itemsize
    more = sum(pipelines.chunk_costs([master]).values())
    return replace(costs, per_pixel=costs.per_pixel | {"comparison": held + more})


def _constant(steps: Sequence[str]) -> float:
    given = [step.removeprefix(MINUS) for step in steps if step.startswith(MINUS)]
    return float(given[0]) if given else 0.0


def _median(
    master: Frame,
    frames: Sequence[Frame],
    others: Mapping[str, Any],
    steps: Sequence[str],
    computer: Computer,
    options: Options,
) -> tuple[TileGraph, str, Plan]:
    biases = tuple(others["bias"])
    constant = _constant(steps)
    if not biases and not constant:
        costs = _compared(pipelines.median_costs(frames, 0), master)
        plan = make_plan(costs, frames, computer, options)
        graph = TileGraph(plan.grid)
        return graph, pipelines.median_graph(frames, graph), plan
    bias = Bias(biases, constant, combine=len(biases) > 1)
    costs = _compared(dark_costs([frames], bias), master)
    plan = make_plan(costs, [*frames, *biases], computer, options)
    recipe = dark_recipe({0.0: list(frames)}, bias, plan.grid)
    return recipe.graph, recipe.products[-1].layer, plan


def _flat(
    master: Frame,
    frames: Sequence[Frame],
    others: Mapping[str, Any],
    steps: Sequence[str],
    computer: Computer,
    options: Options,
) -> tuple[TileGraph, str, Plan]:
    shape = frames[0].shape
    defects = None
    for path in others["list"]:
        top = FROM_TOP in steps
        places = read_places(path, shape, origin_top=top, gigabytes=options.memory)
        defects = find_rings(places, shape, bayer=any(f.bayer for f in frames))
    dark = others["dark"][0] if others["dark"] else _constant(steps)
    group = FlatGroup(tuple(frames), dark, defects)
    plan = make_plan(
        _compared(flat_costs([group], computer.slots), master),
        [*frames, *others["dark"]],
        computer,
        options,
        kernel_type=PixelType(-64),
    )
    (target,) = (float(s.removeprefix(SCALED)) for s in steps if s.startswith(SCALED))
    recipe = flat_recipe({"": group}, plan.grid, target=target, threads=computer.slots)
    return recipe.graph, recipe.products[0].layer, plan
