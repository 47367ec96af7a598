"""Running a graph of tiles into files: on threads of this process, or on a dask cluster.

Either way the result of a tile is written and forgotten before many more are made, so that
nobody holds a master.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from dask._task_spec import Task, TaskRef
from dask.callbacks import Callback

from pulsar_dask.errors import PulsarError
from pulsar_dask.graph import TileGraph
from pulsar_dask.tiles import Tile


class Writer(Protocol):
    """What takes the tiles of a layer; called from several threads."""

    def write(self, tile: Tile, values: Any) -> None:
        """Take the values of a tile, shape (height, width)."""


@dataclass(frozen=True)
class Output:
    """A layer and those who take its tiles."""

    layer: str
    writers: tuple[Writer, ...]

    def write(self, tile: Tile, values: Any) -> None:
        for writer in self.writers:
            writer.write(tile, values)


def run(
    graph: TileGraph,
    outputs: Sequence[Output],
    *,
    threads: int,
    scheduler: str | None = None,
    on_done: Callable[[Hashable, Any], None] = lambda key, result: None,
) -> None:
    """Compute every tile of some layers and hand them to their writers.

    Parameters
    ----------
    graph : TileGraph
    outputs : sequence of Output
    threads : int
        Threads in this process, where no `scheduler` is given.
    scheduler : str, optional
        Address of a dask scheduler (``tcp://host:port``).
    on_done : callable
        Called with the key and the result of each task that is done: the name of a single
        task, ("write", layer, *index) for a tile that was written.
    """
    if scheduler:
        _run_cluster(graph, outputs, scheduler, on_done)
    else:
        _run_threads(graph, outputs, threads, on_done)


def _run_threads(
    graph: TileGraph,
    outputs: Sequence[Output],
    threads: int,
    on_done: Callable[[Hashable, Any], None],
) -> None:
    from dask.threaded import get

    tasks = dict(graph.tasks())
    keys: list[Hashable] = []
    for index, tile in graph.grid:
        for output in outputs:
            key = ("write", output.layer, *index)
            tasks[key] = Task(key, output.write, tile, TaskRef((output.layer, *index)))
            keys.append(key)
    # An own pool: an interrupt while it starts a thread can leave that thread out of its books,
    # and only `shutdown` lets such a thread end.
    pool = ThreadPoolExecutor(threads)
    try:
        with Callback(posttask=lambda key, result, *rest: on_done(key, result)):
            get(tasks, keys, pool=pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _run_cluster(
    graph: TileGraph,
    outputs: Sequence[Output],
    address: str,
    on_done: Callable[[Hashable, Any], None],
) -> None:
    from distributed import Client

    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise PulsarError(
            f"--scheduler {address}: no dask scheduler answers there; "
            "start one with `dask scheduler` and workers with `dask worker`"
        ) from error
    with client:
        slots = max(1, sum(client.nthreads().values()))
        known: dict[str, Any] = {
            name: client.scatter(value, broadcast=True, hash=False)
            for name, value in graph.shared.items()
        }
        for single in graph.singles.values():
            known[single.name] = client.submit(
                single.function, *(known[n] for n in single.inputs), key=single.name, pure=False
            )
        pending: deque[tuple[tuple[int, ...], Tile, list[Any]]] = deque()

        def collect() -> None:
            index, tile, futures = pending.popleft()
            for output, value in zip(outputs, client.gather(futures), strict=True):
                output.write(tile, value)
                on_done(("write", output.layer, *index), None)

        for index, tile in graph.grid:
            made: dict[str, Any] = {}
            for layer in graph.layers.values():
                inputs = [made[n] if n in graph.layers else known[n] for n in layer.inputs]
                made[layer.name] = client.submit(
                    layer.function, tile, *inputs, key=f"{layer.name}-{index}", pure=False
                )
            pending.append((index, tile, [made[o.layer] for o in outputs]))
            if len(pending) >= 3 * slots:
                collect()
        while pending:
            collect()
        for name in graph.singles:
            on_done(name, known[name].result())
