"""What runs on the workers of a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import get_worker

from pulsar_dask._version import __version__
from pulsar_dask.engine import memory
from pulsar_dask.engine.graph import arguments, evaluate
from pulsar_dask.engine.layer import Layer, Taker
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats import buffers, expanded, reading
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import MB
from pulsar_dask.kernels import loaded, loading
from pulsar_dask.kernels.pixels import Grid, Tile


def survey() -> Callable[..., Any]:
    """A function that is sent as its code, so that it runs where the package is missing."""

    def survey(dask_worker: Any) -> tuple[str | None, str, int, int | None, float]:
        import contextlib
        import socket

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
    files: Sequence[tuple[str, int, int]], needed: Sequence[loaded.Kernel], load: Sequence[str]
) -> tuple[int, int]:
    """Load what a worker needs and look for the frames; bytes resident, bytes available."""
    return await asyncio.to_thread(_prepare_here, files, needed, load)


def _prepare_here(
    files: Sequence[tuple[str, int, int]], needed: Sequence[loaded.Kernel], load: Sequence[str]
) -> tuple[int, int]:
    for path, size, mtime_ns in files:
        try:
            status = os.stat(path)
            with open(path, "rb"):
                pass
        except OSError as error:
            raise PulsarError(
                f"{printable(path)} cannot be read there ({error.strerror}); "
                "all workers must see the frames under the same path",
                "cluster",
            ) from None
        if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
            raise PulsarError(f"{printable(path)} is another file there than here", "cluster")
    for module in load:
        importlib.import_module(module)
    if needed:
        loading.warm_up(needed)
    buffers.drop_buffers()
    return memory.resident(), memory.available()


async def idle(dask_worker: Any) -> None:
    """Wait until no task of ours runs."""
    while any(str(ts.key).startswith("pulsar-task") for ts in dask_worker.state.executing):
        await asyncio.sleep(0.02)


#: Bytes of results that do not count.
SMALL = MB
Numbers = tuple[int, int, int, int, int]
"""Of a tile: plane, y, x, height, width."""
_FIRST = threading.Lock()


def _bytes_of(results: Any) -> int:
    """What is sent of results, without a copy."""
    sizes: list[int] = []
    text = pickle.dumps(results, 5, buffer_callback=lambda b: sizes.append(b.raw().nbytes))
    return len(text) + sum(sizes)


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
    sends: int = 0
    """Bytes for each pixel of a tile that may go back."""
    version: str = __version__
    _begun: bool = field(default=False, init=False)

    def tiles(self, places: Sequence[Numbers]) -> tuple[list[list[Any]], Any]:
        """What the sinks take of tiles, made one after the other, and the sums of what was read
        for them. Fewer tiles than were asked for, where more than a tile may send would wait."""
        ledger, made, waiting, most = Ledger(), [], 0, 0
        with self._reported(), reading.counting(ledger):
            for tile in itertools.starmap(Tile, places):
                if waiting + most > max(SMALL, self.sends * tile.height * tile.width):
                    break
                made.append(evaluate(self.layers, self.takers, self.values, tile))
                size = _bytes_of(made[-1])
                waiting, most = waiting + size, max(most, size)
        return made, ledger.pack([frame.key for frame in self.frames])

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
                raise PulsarError(
                    f"worker {get_worker().address}: {error.text}", error.code
                ) from error.__cause__
            raise

    def _begin(self) -> None:
        """What the first task in a process does for all."""
        with _FIRST:
            if self._begun:
                return
            if self.version != __version__:
                raise PulsarError(
                    f"worker {get_worker().address} has pulsar-dask {__version__}, "
                    f"this command is {self.version}; install the same version on both",
                    "cluster",
                )
            # when the job is released, so is what was kept open for it
            weakref.finalize(self, reading.close_files)
            expanded.expand(list(dict.fromkeys(self.frames)), self.threads)
            self._begun = True


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


def words_of(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {printable(text)}" if text else type(error).__name__
