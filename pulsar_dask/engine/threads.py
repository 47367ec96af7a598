"""An executor on threads of this process."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pulsar_dask.engine import memory
from pulsar_dask.engine.cut import Plan, Resources
from pulsar_dask.engine.graph import Graph
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Sink, Watch
from pulsar_dask.formats import buffers, expanded, reading
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.readers import Readers
from pulsar_dask.kernels import loading
from pulsar_dask.kernels.pixels import Tile


@dataclass(frozen=True)
class Threads:
    """See `make.Executor`."""

    slots: int

    def resources(
        self, recipe: Recipe, load: Sequence[str], gigabytes: float | None
    ) -> list[Resources]:
        memory.keep_freed(self.slots)
        for module in load:
            importlib.import_module(module)
        if recipe.kernels:
            loading.warm_up(recipe.kernels)
        return [Resources(memory.budget(gigabytes), memory.process_bytes(), self.slots)]

    def run(
        self, graph: Graph, sinks: Sequence[Sink], plan: Plan, watch: Watch, ledger: Ledger
    ) -> dict[str, Any]:
        from dask.callbacks import Callback
        from dask.threaded import get

        once = {layer.name: layer for layer in graph.once}
        values: dict[str, Any] = {}

        def here(tile: Tile, results: list[Any]) -> None:
            for sink, result in zip(sinks, results, strict=True):
                sink.here(tile, result)
            watch.done_tile(tile)

        def done(key: Any, result: Any, *rest: Any) -> None:
            if key in once:
                values[key] = result
                watch.done_once(once[key])

        expanded.expand(graph.frames, plan.expanders)
        tasks = graph.tasks(here)
        readers = Readers(plan.threads, plan.ahead)
        # An own pool: an interrupt while it starts a thread can leave that thread out of its
        # books, and only `shutdown` lets such a thread end.
        pool = _Pool(plan.threads + plan.ahead, initializer=reading.count_into, initargs=(ledger,))
        pool.readers = readers
        try:
            with Callback(posttask=done):
                get(tasks, list(tasks), pool=pool)
        finally:
            readers.end()
            pool.shutdown(cancel_futures=True)
        return values


class _Pool(ThreadPoolExecutor):
    """Threads of which no more compute than `Readers` lets."""

    readers: Readers

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Any:
        task = functools.partial(function, *arguments, **more)
        return super().submit(self.readers.task, buffers.with_buffers, self.readers.free, task)
