"""Running a graph of tiles into files: on threads of this process, or on a dask cluster.

Either way the result of a tile is written and forgotten before many more are made, so that
nobody holds a master.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dask._task_spec import Task, TaskRef

from pulsar_dask.errors import PulsarError
from pulsar_dask.graph import TileGraph
from pulsar_dask.tiles import Tile


class Writer(Protocol):
    """What takes the tiles of a master; called from several threads."""

    def write(self, tile: Tile, values: Any) -> None: ...


@dataclass(frozen=True)
class Output:
    layer: str
    writer: Writer


def run(
    graph: TileGraph,
    outputs: Sequence[Output],
    *,
    threads: int,
    scheduler: str | None = None,
    on_tile: Callable[[Tile], None] = lambda tile: None,
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
    on_tile : callable
        Called with each tile that is done, from any thread.
    """
    if scheduler:
        _run_cluster(graph, outputs, scheduler, on_tile)
    else:
        _run_threads(graph, outputs, threads, on_tile)


def _run_threads(
    graph: TileGraph, outputs: Sequence[Output], threads: int, on_tile: Callable[[Tile], None]
) -> None:
    from dask.threaded import get

    def write(tile: Tile, *values: Any) -> None:
        for output, value in zip(outputs, values, strict=True):
            output.writer.write(tile, value)
        on_tile(tile)

    tasks = dict(graph.tasks())
    keys: list[Hashable] = []
    for index, tile in graph.grid:
        key = ("write", *index)
        tasks[key] = Task(key, write, tile, *(TaskRef((o.layer, *index)) for o in outputs))
        keys.append(key)
    get(tasks, keys, num_workers=threads)


def _run_cluster(
    graph: TileGraph, outputs: Sequence[Output], address: str, on_tile: Callable[[Tile], None]
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
        shared = {
            name: client.scatter(value, broadcast=True, hash=False)
            for name, value in graph.shared.items()
        }
        pending: deque[tuple[Tile, list[Any]]] = deque()

        def collect() -> None:
            tile, futures = pending.popleft()
            for output, value in zip(outputs, client.gather(futures), strict=True):
                output.writer.write(tile, value)
            on_tile(tile)

        for index, tile in graph.grid:
            futures: dict[str, Any] = {}
            for layer in graph.layers.values():
                inputs = [shared.get(n, futures.get(n)) for n in layer.inputs]
                futures[layer.name] = client.submit(
                    layer.function, tile, *inputs, key=f"{layer.name}-{index}", pure=False
                )
            pending.append((tile, [futures[o.layer] for o in outputs]))
            if len(pending) >= 3 * slots:
                collect()
        while pending:
            collect()
