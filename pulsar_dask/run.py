"""Running a graph of tiles into files: here on threads of this process, in `cluster` on the
workers of dask.

Either way the result of a tile is written and forgotten before many more are made, so that
nobody holds a master.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from dask._task_spec import Task, TaskRef
from dask.callbacks import Callback

from pulsar_dask import kernels, memory, pipelines, reading
from pulsar_dask.checksum import Ledger
from pulsar_dask.frame import Frame
from pulsar_dask.graph import TileGraph
from pulsar_dask.tiles import Costs, Plan, Tile, plan_tiles

OnDone = Callable[[Hashable, Any], None]
"""Called with the key and the result of each task that is done: the name of a single task,
("write", layer, *index) for a tile that was written."""


class Writer(Protocol):
    """What takes the tiles of a layer; called from several threads."""

    def write(self, tile: Tile, values: Any) -> None:
        """Take the values of a tile, shape (height, width)."""


@runtime_checkable
class FarWriter(Protocol):
    """A writer whose tiles can be written where they were computed."""

    def far(self) -> Callable[[Tile, Any], Any]:
        """What writes a tile there: a small function that travels."""

    def written(self, tile: Tile, result: Any) -> None:
        """Take what that function returned."""


@dataclass(frozen=True)
class Output:
    """A layer and those who take its tiles."""

    layer: str
    writers: tuple[Writer, ...]
    dtype: str = "float64"
    """How values come from a worker of a cluster: a type that holds what the writers keep."""

    def write(self, tile: Tile, values: Any) -> None:
        for writer in self.writers:
            writer.write(tile, values)


class Computer(Protocol):
    """Where tiles are computed."""

    @property
    def slots(self) -> int:
        """Threads, over all processes."""

    def plan(
        self,
        costs: Costs,
        frames: Sequence[Frame],
        *,
        kernel: kernels.Kernel | None,
        gigabytes: float | None,
        block: tuple[int, int] | None = None,
        load: Sequence[str] = (),
    ) -> Plan:
        """The tiles of a run, so that no process takes more than so many gigabytes.

        `kernel` and the modules `load` are loaded first, so that the process is counted whole.
        `block` are rows and columns that a tile is a multiple of, by default as files need it.
        """

    def run(
        self,
        graph: TileGraph,
        outputs: Sequence[Output],
        frames: Sequence[Frame],
        plan: Plan,
        on_done: OnDone,
        ledger: Ledger | None = None,
    ) -> None:
        """Compute the tiles of some layers, which read `frames`, and hand them to writers;
        `ledger` takes the sums of what is read."""


@dataclass(frozen=True)
class Threads:
    """Computing on threads of this process."""

    slots: int

    def plan(
        self,
        costs: Costs,
        frames: Sequence[Frame],
        *,
        kernel: kernels.Kernel | None,
        gigabytes: float | None,
        block: tuple[int, int] | None = None,
        load: Sequence[str] = (),
    ) -> Plan:
        for module in load:
            importlib.import_module(module)
        if kernel is not None:
            kernels.warm_up(kernel)
        return plan_tiles(
            frames[0].shape,
            costs,
            budget=memory.budget(gigabytes),
            threads=self.slots,
            process=memory.process_bytes(),
            block=block or pipelines.stack_block(frames),
        )

    def run(
        self,
        graph: TileGraph,
        outputs: Sequence[Output],
        frames: Sequence[Frame],
        plan: Plan,
        on_done: OnDone,
        ledger: Ledger | None = None,
    ) -> None:
        from dask.threaded import get

        reading.expand(frames, plan.expanders)
        tasks = dict(graph.tasks())
        keys: list[Hashable] = []
        for index, tile in graph.tiles():
            for output in outputs:
                key = ("write", output.layer, *index)
                tasks[key] = Task(key, output.write, tile, TaskRef((output.layer, *index)))
                keys.append(key)
        # An own pool: an interrupt while it starts a thread can leave that thread out of its
        # books, and only `shutdown` lets such a thread end.
        pool = ThreadPoolExecutor(plan.threads, initializer=reading.count_into, initargs=(ledger,))
        try:
            with Callback(posttask=lambda key, result, *rest: on_done(key, result)):
                get(tasks, keys, pool=pool)
        finally:
            pool.shutdown(cancel_futures=True)
