"""One way to make anything: a recipe's layers over a grid, by an executor, into sinks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pulsar_dask.engine.graph import Graph
from pulsar_dask.engine.memory import check_address_space
from pulsar_dask.engine.plan import make_plan
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor, Run, Sink, Watch
from pulsar_dask.errors import warn
from pulsar_dask.formats import openfiles, reading, sums
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.frames.frame import Frame


def make(
    recipe: Recipe,
    sinks: Sequence[Sink],
    executor: Executor,
    *,
    memory: float | None = None,
    threads: int = 1,
    summed: Sequence[Frame] | None = None,
    warnings: list[str] | None = None,
    commit: Callable[[Mapping[str, Any]], None] = lambda files: None,
    watch: Watch = Watch(),  # noqa: B008
    finish: Callable[[Callable[[], None]], None] = lambda rest: rest(),
) -> Run:
    """Make the products of a recipe.

    Parameters
    ----------
    recipe : Recipe
    sinks : sequence of Sink
        What takes the tiles. They are the caller's to close.
    executor : Executor
    memory : float, optional
        GB that each process may hold; by default 16, or what there is.
    threads : int
        Of this process, for sums of what was not read whole.
    summed : sequence of Frame, optional
        Frames whose sums are wanted; by default all that are read.
    warnings : list of str, optional
        What has been warned of before; what comes now is added by who warns (`errors.told`).
    commit : callable
        Gives the sealed files of all sinks their names.
    watch : Watch
    finish : callable
        Is given what is left when all is computed: outputs come to the disk and take their names.

    Raises
    ------
    PulsarError
        The budget is too small; a frame cannot be read, or changed meanwhile; an output cannot
        be written.
    """
    began = time.perf_counter()
    check_address_space()
    load = [module for sink in sinks for module in sink.load]
    if any(product.finish is not None for product in recipe.products):
        load.append("pulsar_dask.kernels.segments")
    grid = next((sink.grid for sink in sinks if sink.grid), None)
    plan = make_plan(recipe, sinks, executor.resources(recipe, load, memory), grid)
    watch.planned(recipe, plan)
    done = [sink.begin(plan) for sink in sinks]
    graph = Graph(
        recipe.layers,
        plan.grid,
        [(sink.layer.name, sink.taker()) for sink in sinks],
        frozenset.intersection(*done),
    )
    run, ledger = Run(recipe, plan, warnings=warnings if warnings is not None else []), Ledger()
    try:
        try:
            run.values = executor.run(graph, sinks, plan, watch, ledger)
            frames = recipe.frames if summed is None else summed
            run.sums, remarks = sums.check_sums(
                frames, ledger, threads if plan.workers else plan.threads
            )
        except Exception:
            openfiles.check_unchanged(recipe.frames)  # if an input changed, that explains it
            raise
        openfiles.check_unchanged(recipe.frames)
    finally:
        reading.close_files()
    for remark in remarks:
        warn(remark)
    watch.computed(run)

    def rest() -> None:
        for sink in sinks:
            sink.seal(run)
        commit({path: file for sink in sinks for path, file in sink.files().items()})
        run.seconds = time.perf_counter() - began

    finish(rest)
    return run
