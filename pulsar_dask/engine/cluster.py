"""Computing on the workers of a dask cluster.

What is shared (frames as their headers describe them, calibration, the layers) goes to the
scheduler once, as one task that makes a `Job`; from there each worker fetches it when it first
needs it, and when it is lost with a worker, that task is simply run again. Some tiles are then one
task of five numbers each, ``job.tiles(…)``: it computes all layers of a tile, then those of the
next, and leaves what the writers need (`groups`). Some tasks for each thread are under way; new
ones are only sent when results have been taken, so that a slow client slows the workers down and
nobody holds a master.

The scheduler needs nothing of this package: what it unpacks are `pickle.loads`, `operator.call`
and `operator.methodcaller`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import operator
import pickle
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from operator import methodcaller
from typing import Any
from uuid import uuid4

import dask
from distributed import Client, KilledWorker
from distributed.comm import CommClosedError

from pulsar_dask._version import __version__
from pulsar_dask.engine import memory
from pulsar_dask.engine.cut import Plan, Resources
from pulsar_dask.engine.graph import Graph
from pulsar_dask.engine.groups import Groups
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Sink, Watch
from pulsar_dask.engine.worker import Job, Worker, idle, prepare, survey, words_of
from pulsar_dask.errors import ClusterError, PulsarError
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.frames.holds import GB, MB

#: Most seconds without a worker, or without an answer of the scheduler. Set it for a run with
#: DASK_PULSAR_DASK__PATIENCE, as any setting of dask.
PATIENCE = 30.0
#: Tasks under way for each thread: one is computed, one waits, one is on its way back.
WINDOW = 3
#: Bytes of stored pixels in a tile beside which the cost of a task does not count.
TASK_BYTES = 64 * MB
#: Seconds between looks at whether the cluster is still there.
_LOOK = 1.0


def patience() -> float:
    """Seconds without a worker, or without an answer of the scheduler, after which to give up."""
    given = dask.config.get("pulsar-dask.patience", None)
    return PATIENCE if given is None else float(given)


class Cluster:
    """A `make.Executor` on the workers of a dask client."""

    def __init__(self, client: Client, patience: float) -> None:
        self.client = client
        self.patience = patience
        self.workers: list[Worker] = []
        self._looked = self._seen = time.monotonic()
        self._threads = 1

    @property
    def slots(self) -> int:
        return sum(worker.threads for worker in self.workers)

    def check_workers(self) -> None:
        """Wait for a worker, and make sure that all have this version of the package."""
        while not self._look():
            time.sleep(0.1)
        self.workers = []
        for address, found in self._ask(survey()).items():
            where = f"worker {address}"
            if isinstance(found, BaseException):
                raise ClusterError(f"{where} does not answer as a dask worker: {words_of(found)}")
            version, host, threads, limit, share = found
            if version != __version__:
                has = f"has pulsar-dask {version}" if version else "has no pulsar-dask"
                raise ClusterError(
                    f"{where} on {host} {has}, this command is {__version__}; "
                    "install the same version on both"
                )
            words = f"{share:.0%} of its memory limit of {limit / GB:.3g} GB" if limit else ""
            usable = int(limit * share) if limit else None
            self.workers.append(Worker(address, host, threads, usable, words))

    def resources(
        self, recipe: Recipe, load: Sequence[str], gigabytes: float | None
    ) -> list[Resources]:
        """See `make.Executor`; the bytes are those of each worker process."""
        self._prepare(recipe, load)
        return [self._resources_of(worker, gigabytes) for worker in self.workers]

    def _resources_of(self, worker: Worker, gigabytes: float | None) -> Resources:
        where = f"worker {worker.address} on {worker.host}"
        budget = memory.budget(memory.DEFAULT_GB if gigabytes is None else gigabytes)
        if gigabytes is None:
            beside = sum(other.host == worker.host for other in self.workers)
            budget = min(budget, worker.held + (worker.available - worker.held) // beside)
            budget = min(budget, worker.limit or budget)
        elif worker.limit and budget > worker.limit:
            raise ClusterError(
                f"⟦memory⟧ {gigabytes:g} is more than {where} may take: "
                f"{worker.limit / GB:.3g} GB, {worker.limit_words}"
            )
        return Resources(
            budget=budget,
            process=worker.held + memory.SLACK,
            threads=worker.threads,
            slots=self.slots,
            target=TASK_BYTES,
            waiting=WINDOW,
            where=where,
        )

    def _prepare(self, recipe: Recipe, load: Sequence[str]) -> None:
        """Load libraries in all workers, and make sure that all see the frames."""
        files = list(dict.fromkeys((f.file, f.size, f.mtime_ns) for f in recipe.frames if f.file))
        ready = []
        answers = self._ask(prepare, files, recipe.kernels, load)
        for worker in self.workers:
            answer = answers.get(worker.address, OSError("gone"))
            if isinstance(answer, PulsarError):
                raise ClusterError(f"worker {worker.address} on {worker.host}: {answer}")
            if isinstance(answer, OSError):
                continue  # it died meanwhile; the others do its work
            if isinstance(answer, BaseException):
                raise ClusterError(f"worker {worker.address} failed: {words_of(answer)}")
            held, available = answer
            ready.append(replace(worker, held=held, available=available))
        if not ready:
            raise ClusterError(f"all workers of the dask scheduler {self._address} have gone")
        self.workers = ready

    def run(
        self, graph: Graph, sinks: Sequence[Sink], plan: Plan, watch: Watch, ledger: Ledger
    ) -> dict[str, Any]:
        """See `make.Executor`."""
        frames = graph.frames
        values: dict[str, Any] = {}
        todo = {layer.name: layer for layer in graph.once}
        while todo:  # what they return is small, and kept here it outlives every worker
            ready = [x for x in todo.values() if all(n.name in values for n in x.before)]
            job = Job(ready, (), values, graph.grid, frames, plan.expanders)
            calls = [(layer, methodcaller("once", layer.name)) for layer in ready]
            for layer, result in self._stream(job, calls):
                values[layer.name] = result
                watch.done_once(layer)
                del todo[layer.name]
        sends = sum(sink.sends for sink in sinks)
        job = Job(graph.each, graph.takers, values, graph.grid, frames, plan.expanders, sends)
        keys = [frame.key for frame in frames]
        left = Groups((tile for _, tile in graph.tiles()), lambda: self.threads)
        try:
            for tiles, (made, sums) in self._stream(job, left):
                ledger.unpack(keys, sums)
                left.put_back(tiles[len(made) :])
                for tile, results in zip(tiles, made, strict=False):
                    for sink, result in zip(sinks, results, strict=True):
                        sink.here(tile, result)
                    watch.done_tile(tile)
        except BaseException:
            # a task that still runs may be writing beside the client
            self._wait_until_idle()
            raise
        return values

    def _stream(
        self, job: Job, calls: Iterable[tuple[Any, methodcaller]]
    ) -> Iterator[tuple[Any, Any]]:
        """Call methods of a job on the workers; what each was called for, and its result."""
        name = uuid4().hex
        shared = self.client.submit(
            pickle.loads, pickle.dumps(job), key=f"pulsar-job-{name}", pure=False
        )
        done: queue.SimpleQueue[str] = queue.SimpleQueue()
        waiting: dict[str, tuple[Any, Any]] = {}
        numbers, left = itertools.count(), iter(calls)
        with ThreadPoolExecutor(1, "gather") as pool:
            try:
                while True:
                    if new := list(islice(left, max(0, self._window() - len(waiting)))):
                        keys = [f"pulsar-task-{name}-{next(numbers)}" for _ in new]
                        given = [call for _, call in new], [shared] * len(new)
                        futures = self.client.map(operator.call, *given, key=keys, pure=False)
                        for key, (label, _), future in zip(keys, new, futures, strict=True):
                            waiting[key] = label, future
                            future.add_done_callback(lambda f: done.put(f.key))
                    if not waiting:
                        return
                    keys = self._some(done)
                    gathered = pool.submit(self.client.gather, [waiting[k][1] for k in keys])
                    for key, result in zip(keys, self._wait_for(gathered), strict=True):
                        label, future = waiting.pop(key)
                        future.release()
                        yield label, result
            finally:
                for _, future in waiting.values():
                    future.release()
                shared.release()

    @property
    def threads(self) -> int:
        """Those that there are now."""
        return max(1, self._threads)

    def _window(self) -> int:
        self._look(seldom=True)
        return WINDOW * self.threads

    def _some(self, done: queue.SimpleQueue[str]) -> list[str]:
        """Keys of some tasks that are done, a few of those that there are."""
        while True:
            try:
                keys = [done.get(timeout=_LOOK)]
                break
            except queue.Empty:
                self._look()
        with contextlib.suppress(queue.Empty):
            while len(keys) < self.threads:
                keys.append(done.get_nowait())
        return keys

    def _wait_for(self, gathered: Any) -> list[Any]:
        while True:
            try:
                results: list[Any] = gathered.result(timeout=_LOOK)
                return results
            except TimeoutError:
                if gathered.done():
                    raise ClusterError("a worker's task failed: TimeoutError") from None
                self._look()
            except PulsarError:
                raise
            except KilledWorker as error:
                raise ClusterError(
                    f"several workers died while they computed the same tile, the last "
                    f"{error.last_worker.address}; their logs may say why (memory?)"
                ) from error
            except (CancelledError, asyncio.CancelledError, CommClosedError) as error:
                raise self._gone() from error
            except Exception as error:
                raise ClusterError(f"a worker's task failed: {words_of(error)}") from error

    def _look(self, *, seldom: bool = False) -> bool:
        """Whether there are workers; an error when that has not been so for too long."""
        now = time.monotonic()
        if seldom and now - self._looked < _LOOK:
            return True
        if self.client.status not in ("running", "connecting"):
            raise self._gone()
        try:
            running = self.client.sync(
                self.client.scheduler.ncores_running, callback_timeout=self.patience
            )
        except (OSError, TimeoutError, AttributeError, RuntimeError) as error:
            raise self._gone() from error
        self._threads = sum(running.values())
        self._looked = time.monotonic()
        if self._threads:
            self._seen = self._looked
        elif self._looked - self._seen > self.patience:
            raise ClusterError(
                f"no worker at the dask scheduler {self._address} for {self.patience:g} s; "
                "start some with `dask worker`"
            )
        return bool(self._threads)

    @property
    def _address(self) -> str:
        return str(self.client._scheduler_identity.get("address", "")) or "that was named"

    def _gone(self) -> PulsarError:
        return ClusterError(f"the dask scheduler {self._address} has gone; run again when it is up")

    def _ask(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """What a function returns, or the error it raises, on each worker."""
        try:
            answers: dict[str, Any] = self.client.run(function, *args, on_error="return")
        except (OSError, TimeoutError, CancelledError) as error:
            raise self._gone() from error
        return answers

    def _wait_until_idle(self) -> None:
        if self.client.status == "running":
            with contextlib.suppress(Exception, CancelledError):
                self.client.sync(self.client._run, idle, callback_timeout=self.patience)
