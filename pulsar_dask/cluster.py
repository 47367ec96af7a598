"""Computing on the workers of a dask cluster.

What is shared (frames as their headers describe them, calibration, the layers) goes to the
scheduler once, as one task that makes a `Job`; from there each worker fetches it when it first
needs it, and when it is lost with a worker, that task is simply run again. A tile is then one
task of five numbers, ``job.tile(…)``: it computes all layers of the tile and leaves what the
writers need. Some tasks for each thread are under way; a new one is only sent when a result has
been taken, so that a slow client slows the workers down and nobody holds a master.

The scheduler needs nothing of this package: what it unpacks are `pickle.loads` and
`operator.methodcaller`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import pickle
import queue
import re
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import resource_tracker
from operator import methodcaller
from typing import Any
from uuid import uuid4

import dask
from distributed import Client, KilledWorker, LocalCluster, Security, get_worker
from distributed.comm import CommClosedError, parse_address, parse_host_port
from distributed.comm.registry import backends

from pulsar_dask import kernels, memory, reading
from pulsar_dask._version import __version__
from pulsar_dask.atomicfolder import AtomicFolder
from pulsar_dask.checksum import Ledger
from pulsar_dask.engine.graph import Graph, Taker, arguments, evaluate
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.make import Sink, Watch
from pulsar_dask.engine.plan import Resources
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frame import Frame
from pulsar_dask.leftovers import remove_stale
from pulsar_dask.private import is_private
from pulsar_dask.tiles import GB, MB, Grid, Plan, Tile

#: Tasks under way for each thread: one is computed, one waits, one is on its way back.
WINDOW = 3
#: Bytes of stored pixels in a tile beside which the cost of a task (1 ms of the scheduler, 3 of
#: the client) does not count; and as many for each thread of the cluster, so that one scheduler
#: feeds them all (measured).
TASK_BYTES, TASK_BYTES_A_THREAD = 64 * MB, 2 * MB
#: Most seconds without a worker, or without an answer of the scheduler. Set it for a run with
#: DASK_PULSAR_DASK__PATIENCE, as any setting of dask.
PATIENCE = 30.0
#: Seconds between looks at whether the cluster is still there.
_LOOK = 1.0
#: Of `local:N`: no pages that tell others of the machine what is computed.
_NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_LOCAL = re.compile(r"local:([1-9]\d*)")


@contextlib.contextmanager
def open_cluster(
    scheduler: str, *, threads: int, logs: bool = False, patience: float | None = None
) -> Iterator[Cluster]:
    """Connect to a cluster, or start one here.

    Parameters
    ----------
    scheduler : str
        ``tcp://host:port`` or another address that dask knows, a scheduler file (``.json``),
        or ``local:N``: N processes here, ended when the context is left.
    threads : int
        Threads of all processes of ``local:N``.
    logs : bool
        Whether dask may say on stderr what it thinks of things.
    patience : float, optional
        Seconds without any worker, or an answer of the scheduler, after which to give up.

    Raises
    ------
    PulsarError
        No scheduler answers, no worker comes, or one has another version of this package.
    """
    if not logs:
        _silence()
    wait = float(patience or dask.config.get("pulsar-dask.patience", PATIENCE))
    with contextlib.ExitStack() as stack:
        if local := _LOCAL.fullmatch(scheduler):
            address: Any = stack.enter_context(_local_cluster(int(local[1]), threads))
        elif scheduler.endswith(".json"):
            address = _address_in(scheduler)
        else:
            address = scheduler
        if isinstance(address, str):
            _check_address(scheduler, address)
        try:
            client = Client(address, timeout=min(10.0, wait), set_as_default=False)
        except (OSError, ValueError, TypeError, ImportError) as error:
            raise PulsarError(
                f"--scheduler {printable(scheduler)}: no dask scheduler answers there; "
                "start one with `dask scheduler` and workers with `dask worker`"
            ) from error
        stack.callback(_close, client)
        cluster = Cluster(client, wait)
        cluster.check_workers()
        yield cluster


def _close(client: Client) -> None:
    # a scheduler that has gone must not hold up the end
    with contextlib.suppress(Exception, CancelledError, asyncio.CancelledError):
        client.close(timeout=5)


@contextlib.contextmanager
def _local_cluster(workers: int, threads: int) -> Iterator[LocalCluster]:
    scratch = tempfile.gettempdir()
    if not is_private(scratch, shared=True):
        raise PulsarError(
            f"{printable(scratch)}: others can put their files in the place of those that the "
            "processes of --scheduler local:N keep there; point TMPDIR to a folder of your own"
        )
    remove_stale(scratch)  # what a kill has left; the workers died with it
    with (
        AtomicFolder(os.path.join(scratch, "pulsar-dask")) as folder,
        contextlib.ExitStack() as stack,
    ):
        with _interrupts_are_ours(), dask.config.set(_NO_PAGES):
            cluster = LocalCluster(
                security=_only_us(folder.store),
                n_workers=workers,
                threads_per_worker=max(1, threads // workers),
                processes=True,
                memory_limit=0,  # the plan bounds it; dask would pause what comes near a limit
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
                local_directory=folder.store,
                scheduler_kwargs={
                    "local_directory": folder.store,
                    "dashboard_address": "127.0.0.1:0",  # else 8787, where others' may be
                },
                host="127.0.0.1",
            )
            stack.enter_context(cluster)
        yield cluster


def _only_us(folder: str) -> Security:
    """Credentials of this run alone, without which nobody connects: whoever may submit a task
    runs code as this user, and a port of loopback is open to all users of the machine.

    They lie in a file that this user alone reads, in a folder that goes when the run ends; given
    in memory, each process would write such files, which a kill would leave behind.
    """
    try:
        made = Security.temporary()
    except ImportError as error:
        raise PulsarError(
            "--scheduler local:N needs the package cryptography, so that nobody else reaches its "
            "processes; `pip install cryptography`, or use --threads"
        ) from error
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "credentials.pem")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made.tls_client_key + made.tls_client_cert)
    parts = ("client", "scheduler", "worker")
    roles = {f"tls_{part}_{what}": path for part in parts for what in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=path, **roles)


@contextlib.contextmanager
def _interrupts_are_ours() -> Iterator[None]:
    """Threads and processes that begin meanwhile do not hear Ctrl-C, which a terminal sends to
    all; it is this process that ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it would lift the block when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _address_in(path: str) -> str:
    """The address in a scheduler file."""
    try:
        with open(path, encoding="utf-8") as file:
            address = json.load(file)["address"]
            if "://" not in address:
                raise ValueError(address)
            return str(address)
    except OSError as error:
        raise PulsarError(f"--scheduler {printable(path)}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PulsarError(
            f"--scheduler {printable(path)}: not a scheduler file, as "
            "`dask scheduler --scheduler-file` writes it"
        ) from error


def _check_address(scheduler: str, address: str) -> None:
    """Refuse what dask would make a client of that it cannot take apart again."""
    name = f"--scheduler {printable(scheduler)}"
    try:
        protocol, place = parse_address(address)
        backends[protocol]
        if protocol in ("tcp", "tls"):
            parse_host_port(place)
    except (ValueError, KeyError) as error:
        raise PulsarError(f"{name}: not an address that dask knows, such as tcp://host:8786") from (
            error
        )
    try:
        secure = Security().get_connection_args("client")["ssl_context"]
    except OSError as error:
        raise PulsarError(f"{name}: the certificates cannot be read ({error.strerror})") from error
    if address.startswith("tls://") and secure is None:
        raise PulsarError(
            f"{name}: tls needs certificates, which dask's settings name: "
            "distributed.comm.tls.ca-file and distributed.comm.tls.client"
        )


def _silence() -> None:
    """What dask logs is said once more, and better, by our errors."""
    names = ["distributed", "tornado", "asyncio", *logging.root.manager.loggerDict]
    for name in names:
        if name.split(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


# --- the client's side ---------------------------------------------------------------------


@dataclass(frozen=True)
class Worker:
    """A worker process as it is before a run."""

    address: str
    host: str
    threads: int
    limit: int | None
    """Bytes above which dask spills or pauses, well below what it kills the worker for."""
    limit_words: str
    held: int = 0
    """Bytes resident, its libraries loaded."""
    available: int = 0
    """Bytes that it could come to hold were it alone on its machine."""


class Cluster:
    """A `make.Executor` on the workers of a dask client."""

    def __init__(self, client: Client, patience: float = PATIENCE) -> None:
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
        for address, found in self._ask(_survey()).items():
            where = f"worker {address}"
            if isinstance(found, BaseException):
                raise PulsarError(f"{where} does not answer as a dask worker: {_words(found)}")
            version, host, threads, limit, share = found
            if version != __version__:
                has = f"has pulsar-dask {version}" if version else "has no pulsar-dask"
                raise PulsarError(
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
            raise PulsarError(
                f"--memory {gigabytes:g} is more than {where} may take: "
                f"{worker.limit / GB:.3g} GB, {worker.limit_words}"
            )
        return Resources(
            budget=budget,
            process=worker.held + memory.SLACK,
            threads=worker.threads,
            slots=self.slots,
            target=max(TASK_BYTES, TASK_BYTES_A_THREAD * self.slots),
            waiting=WINDOW,
            where=where,
        )

    def _prepare(self, recipe: Recipe, load: Sequence[str]) -> None:
        """Load libraries in all workers, and make sure that all see the frames."""
        files = list(dict.fromkeys((f.file, f.size, f.mtime_ns) for f in recipe.frames))
        ready = []
        answers = self._ask(prepare, files, recipe.kernels, load)
        for worker in self.workers:
            answer = answers.get(worker.address, OSError("gone"))
            if isinstance(answer, PulsarError):
                raise PulsarError(f"worker {worker.address} on {worker.host}: {answer}")
            if isinstance(answer, OSError):
                continue  # it died meanwhile; the others do its work
            if isinstance(answer, BaseException):
                raise PulsarError(f"worker {worker.address} failed: {_words(answer)}")
            held, available = answer
            ready.append(replace(worker, held=held, available=available))
        if not ready:
            raise PulsarError(f"all workers of the dask scheduler {self._address} have gone")
        self.workers = ready

    def run(
        self, graph: Graph, sinks: Sequence[Sink], plan: Plan, watch: Watch, ledger: Ledger
    ) -> dict[str, Any]:
        """See `make.Executor`."""
        frames = graph.recipe.frames
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
        job = Job(graph.each, graph.takers, values, graph.grid, frames, plan.expanders, counts=True)
        paths = [frame.path for frame in frames]
        tiles = (
            (tile, methodcaller("tile", tile.plane, tile.y, tile.x, tile.height, tile.width))
            for _, tile in graph.tiles()
        )
        try:
            for tile, (results, sums) in self._stream(job, tiles):
                ledger.unpack(paths, sums)
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
        left = enumerate(calls)
        with ThreadPoolExecutor(1, "gather") as pool:
            try:
                while True:
                    for number, (label, call) in islice(
                        left, max(0, self._window() - len(waiting))
                    ):
                        key = f"pulsar-task-{name}-{number}"
                        future = self.client.submit(call, shared, key=key, pure=False)
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

    def _window(self) -> int:
        self._look(seldom=True)
        return WINDOW * max(1, self._threads)

    def _some(self, done: queue.SimpleQueue[str]) -> list[str]:
        """Keys of some tasks that are done, a few of those that there are."""
        while True:
            try:
                keys = [done.get(timeout=_LOOK)]
                break
            except queue.Empty:
                self._look()
        with contextlib.suppress(queue.Empty):
            while len(keys) < max(1, self._threads):
                keys.append(done.get_nowait())
        return keys

    def _wait_for(self, gathered: Any) -> list[Any]:
        while True:
            try:
                results: list[Any] = gathered.result(timeout=_LOOK)
                return results
            except TimeoutError:
                if gathered.done():
                    raise PulsarError("a worker's task failed: TimeoutError") from None
                self._look()
            except PulsarError:
                raise
            except KilledWorker as error:
                raise PulsarError(
                    f"several workers died while they computed the same tile, the last "
                    f"{error.last_worker.address}; their logs may say why (memory?)"
                ) from error
            except (CancelledError, asyncio.CancelledError, CommClosedError) as error:
                raise self._gone() from error
            except Exception as error:
                raise PulsarError(f"a worker's task failed: {_words(error)}") from error

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
            raise PulsarError(
                f"no worker at the dask scheduler {self._address} for {self.patience:g} s; "
                "start some with `dask worker`"
            )
        return bool(self._threads)

    @property
    def _address(self) -> str:
        return str(self.client._scheduler_identity.get("address", "")) or "that was named"

    def _gone(self) -> PulsarError:
        return PulsarError(f"the dask scheduler {self._address} has gone; run again when it is up")

    def _ask(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """What a function returns, or the error it raises, on each worker."""
        try:
            answers: dict[str, Any] = self.client.run(function, *args, on_error="return")
        except (OSError, TimeoutError, CancelledError) as error:
            raise self._gone() from error
        return answers

    def _wait_until_idle(self) -> None:
        if self.client.status != "running":
            return
        with contextlib.suppress(Exception, CancelledError):
            self.client.sync(self.client._run, idle, callback_timeout=self.patience)


def _words(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {printable(text)}" if text else type(error).__name__


# --- the workers' side ---------------------------------------------------------------------


def _survey() -> Callable[..., Any]:
    """A function that is sent as its code, so that it runs where the package is missing."""

    def survey(dask_worker: Any) -> tuple[str | None, str, int, int | None, float]:
        import contextlib
        import socket

        import dask

        version: str | None = None
        with contextlib.suppress(ImportError):
            from pulsar_dask._version import __version__ as version
        settings = (dask.config.get(f"distributed.worker.memory.{n}") for n in ("spill", "pause"))
        share = min([s for s in settings if s], default=0.9)
        limit = dask_worker.memory_manager.memory_limit
        return version, socket.gethostname(), dask_worker.state.nthreads, limit, share

    survey.__module__ = "__main__"
    return survey


async def prepare(
    files: Sequence[tuple[str, int, int]], needed: Sequence[kernels.Kernel], load: Sequence[str]
) -> tuple[int, int]:
    """Load what a worker needs and look for the frames; bytes resident, bytes available."""
    return await asyncio.to_thread(_prepare_here, files, needed, load)


def _prepare_here(
    files: Sequence[tuple[str, int, int]], needed: Sequence[kernels.Kernel], load: Sequence[str]
) -> tuple[int, int]:
    for path, size, mtime_ns in files:
        try:
            status = os.stat(path)
            with open(path, "rb"):
                pass
        except OSError as error:
            raise PulsarError(
                f"{printable(path)} cannot be read there ({error.strerror}); "
                "all workers must see the frames under the same path"
            ) from None
        if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
            raise PulsarError(f"{printable(path)} is another file there than here")
    for module in load:
        importlib.import_module(module)
    if needed:
        kernels.warm_up(needed)
    reading.drop_buffers()
    return memory.resident(), memory.available()


async def idle(dask_worker: Any) -> None:
    """Wait until no task of ours runs."""
    while any(str(ts.key).startswith("pulsar-task") for ts in dask_worker.state.executing):
        await asyncio.sleep(0.02)


_FIRST = threading.Lock()


@dataclass
class Job:
    """All that the tasks of one run share; its methods are the tasks."""

    layers: Sequence[Layer]
    takers: Sequence[tuple[str, Taker]]
    values: Mapping[str, Any]
    """Of layers that were made once."""
    grid: Grid
    frames: Sequence[Frame] = ()
    threads: int = 1
    counts: bool = False
    """Whether sums of what is read go back with each tile."""
    version: str = __version__
    _begun: bool = field(default=False, init=False)

    def tile(self, plane: int, y: int, x: int, height: int, width: int) -> tuple[list[Any], Any]:
        """What the sinks take of one tile, and the sums of what was read."""
        ledger = Ledger()
        with self._reported(), reading.counting(ledger if self.counts else None):
            tile = Tile(plane, y, x, height, width)
            results = evaluate(self.layers, self.takers, self.values, tile)
        return results, ledger.pack([frame.path for frame in self.frames])

    def once(self, name: str) -> Any:
        """The value of a layer that is made once."""
        with self._reported():
            (layer,) = (layer for layer in self.layers if layer.name == name)
            return layer.function(self.grid, *arguments(layer, self.values))

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Tell which worker it was where another one might do."""
        try:
            self._begin()
            yield
        except PulsarError as error:
            if isinstance(error.__cause__, OSError):
                raise PulsarError(f"worker {get_worker().address}: {error}") from error.__cause__
            raise

    def _begin(self) -> None:
        """What the first task in a process does for all."""
        with _FIRST:
            if self._begun:
                return
            if self.version != __version__:
                raise PulsarError(
                    f"worker {get_worker().address} has pulsar-dask {__version__}, "
                    f"this command is {self.version}; install the same version on both"
                )
            # when the job is released, so is what was kept open for it
            weakref.finalize(self, reading.close_files)
            reading.expand(list(dict.fromkeys(self.frames)), self.threads)
            self._begun = True
