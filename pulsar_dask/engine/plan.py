"""The plan: what a recipe holds in memory, and so how its image is cut into tiles.

A pure function of what layers and sinks declare, of what there is (`Resources`), and of a
budget; what it adds up to is what is measured.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from pulsar_dask.engine.cut import Costs, Plan, Resources, plan_tiles
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats import holding
from pulsar_dask.frames import stack
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.pixels import Grid


class Holding(Protocol):
    """A sink, as far as a plan knows it."""

    @property
    def layer(self) -> Layer: ...

    @property
    def holds(self) -> Holds: ...

    @property
    def after(self) -> Holds: ...

    @property
    def sends(self) -> int: ...


def needs(recipe: Recipe, sinks: Sequence[Holding]) -> Holds:
    """What the layers of a recipe and its sinks hold while tiles are made.

    Layers run one after the other, each beside the planes that later ones take and what sinks have
    made of those before, which waits until the tile is done.
    """
    layers = [layer for layer in recipe.layers if not layer.once]
    last = {needed.name: layer.name for layer in layers for needed in layer.before}
    waiting: dict[str, int] = {}
    sent, most = 0, Holds()
    for layer in layers:
        planes = sum(plane.nbytes for plane in layer.planes)
        kept = {"planes": planes, "planes of layers before": sum(waiting.values())}
        most |= layer.holds + Holds(kept | {"results": sent}).passing
        for sink in (sink for sink in sinks if sink.layer is layer):
            most |= (sink.holds + Holds(kept | {"results": sent})).passing
            sent += sink.sends
        for name in [n for n, user in last.items() if user == layer.name]:
            waiting.pop(name, None)
        if layer.name in last:
            waiting[layer.name] = planes
    return most | Holds(process={"list of frames": holding.FRAME_BYTES * len(recipe.frames)})


def costs_of(recipe: Recipe, sinks: Sequence[Holding]) -> Costs:
    """What is held in each of the phases of a run: frames are expanded, layers that are made once
    look at them, tiles are made."""
    holds = needs(recipe, sinks)
    earlier = [layer.holds for layer in recipe.layers if layer.once]
    first = functools.reduce(operator.or_, earlier, Holds())
    after = functools.reduce(operator.or_, (sink.after for sink in sinks), Holds())
    each = holding.expanding_bytes(recipe.frames, loaded.worth_compiling(recipe.frames))
    # a tile is as large as what a product's own frames are read for, not as all that it reads
    largest = max(recipe.layers, key=lambda layer: layer.stored * layer.passes)
    return Costs(
        per_pixel=dict(holds.pixel),
        per_thread=dict(holds.thread),
        phases=holds.phases,
        earlier=dict(first.thread),
        expanding={"expanding": each} if each else {},
        expanders=holding.most_expanders(recipe.frames),
        after=dict(after.process),
        fixed=dict(holds.process),
        stored=max(1, largest.stored * largest.passes),
        frames=max(1, len(largest.reads)),
        results=sum(sink.sends for sink in sinks),
    )


def make_plan(
    recipe: Recipe,
    sinks: Sequence[Holding],
    processes: Sequence[Resources],
    grid: Grid | None = None,
) -> Plan:
    """Choose the grid of a recipe: the one that fits the process with the least room.

    Parameters
    ----------
    recipe : Recipe
    sinks : sequence
    processes : sequence of Resources
        That compute.
    grid : Grid, optional
        Of a run before this one, which goes on.

    Raises
    ------
    PulsarError
        The budget is too small; the message says the least that is needed.
    """
    costs = costs_of(recipe, sinks)
    block = (grid.height, grid.width) if grid else stack.stack_block(recipe.frames)
    # the one with the least room first: where it is too little, that says what all of them need
    tightest = sorted(processes, key=lambda process: process.budget - process.process)
    plans = [_plan_for(recipe, costs, process, block) for process in tightest]
    smallest = min(plans, key=lambda plan: plan.grid.height * plan.grid.width)
    workers = 0 if processes[0].slots is None else len(processes)
    return replace(smallest, workers=workers, grid=grid or smallest.grid)


def _plan_for(recipe: Recipe, costs: Costs, process: Resources, block: tuple[int, int]) -> Plan:
    if process.waiting:
        waiting = {"results that wait": process.waiting * costs.results}
        costs = replace(costs, per_pixel=costs.per_pixel | waiting)
    try:
        return plan_tiles(
            recipe.shape,
            costs,
            budget=process.budget,
            threads=process.threads,
            process=process.process,
            block=block,
            target=process.target,
            slots=process.slots,
        )
    except PulsarError as error:
        where = f"{process.where}: " if process.where else ""
        raise PulsarError(f"{where}{error.text}", error.code) from error
