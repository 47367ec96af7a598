"""What every tool takes, and how it makes files."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask.system import CPU_COUNT

from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.make import Executor, Run, Sink, Watch, make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.threads import Threads
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.gather import Search
from pulsar_dask.outputs import check_output, failure, remove_stale, uninterrupted
from pulsar_dask.report import Progress, Report
from pulsar_dask.tiles import Plan, Tile

#: Outputs of this process that have their names, for the message of an interrupt.
DONE: list[str] = []


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    search: Search = field(default_factory=Search)
    combine: str = "median"
    planes: tuple[str, ...] = ()
    memory: float | None = None
    threads: int | None = None
    scheduler: str | None = None
    overwrite: bool = False
    verify: bool = True
    """Whether outputs are read back before they take their names."""
    output_dir: str = "."
    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    @contextlib.contextmanager
    def executor(self) -> Iterator[Executor]:
        """Threads of this process, or a cluster."""
        threads = self.threads or CPU_COUNT
        if self.scheduler is None:
            yield Threads(threads)
            return
        if self.scheduler.endswith(".json") and not os.path.exists(self.scheduler):
            raise PulsarError(
                f"--scheduler {printable(self.scheduler)}: no such file; "
                "`dask scheduler --scheduler-file NAME` writes it"
            )
        from pulsar_dask.cluster import open_cluster

        with open_cluster(self.scheduler, threads=threads, logs=self.debug) as cluster:
            yield cluster

    def report(self) -> Report:
        return Report(quiet=self.quiet, verbose=self.verbose)

    def place(self, name: str) -> str:
        """Where an output of that name lies."""
        return os.path.normpath(os.path.join(self.output_dir, name))


def make_files(
    recipe: Recipe,
    sinks: Sequence[Any],
    executor: Executor,
    options: Options,
    report: Report,
    *,
    inputs: Sequence[str],
    what: str | None = None,
) -> Run:
    """Make all sinks of a recipe side by side. Their files appear when all are done and on the
    disk, so that what is in the way of one leaves all as they were.

    `inputs` are files that no output may replace, `what` the frames in words.
    """
    checks = {
        sink.path: functools.partial(check_output, sink.path, inputs, overwrite=options.overwrite)
        for sink in sinks
    }
    for check in checks.values():
        check()
    for folder in {os.path.dirname(os.path.abspath(path)) for path in checks}:
        remove_stale(folder)
    with contextlib.ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.close)
        commit = functools.partial(_commit, checks=checks)
        return run_sinks(recipe, sinks, executor, options, report, what=what, commit=commit)


def run_sinks(
    recipe: Recipe,
    sinks: Sequence[Sink],
    executor: Executor,
    options: Options,
    report: Report,
    *,
    what: str | None = None,
    **more: Any,
) -> Run:
    """`make`, with the report and a bar that tell how it goes."""
    with _Progress(recipe, report, options, what) as watch:
        return make(
            recipe,
            sinks,
            executor,
            memory=options.memory,
            threads=options.threads or CPU_COUNT,
            watch=watch,
            **more,
        )


class _Progress(Watch):
    """A bar, by bytes of pixels that were read."""

    def __init__(self, recipe: Recipe, report: Report, options: Options, what: str | None) -> None:
        self.recipe, self.report, self.what = recipe, report, what
        each = [layer for layer in recipe.layers if not layer.once]
        #: bytes of a pixel over all layers; bytes that a layer which is made once reads
        self.stored = sum(layer.stored for layer in each)
        self.once = {
            layer.name: sum(f.nbytes for f in layer.also) for layer in recipe.layers if layer.once
        }
        area = math.prod(recipe.shape)
        total = self.stored * area + sum(self.once.values())
        self._bar = Progress(total, quiet=options.quiet)

    def __enter__(self) -> _Progress:
        self._progress = self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def planned(self, plan: Plan) -> None:
        self.report.plan(self.recipe.frames, plan, self.what)

    def done_once(self, layer: Layer) -> None:
        self._progress.update(self.once[layer.name])

    def done_tile(self, tile: Tile) -> None:
        self._progress.update(self.stored * math.prod(tile.shape))


def make_folder(folder: str) -> None:
    """Make a folder for outputs, if it is not there."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise failure(folder, error) from error


def _commit(files: Mapping[str, Any], checks: Mapping[str, Callable[[], None]]) -> None:
    """Give sealed outputs their names, all or none, but for a kill in between: so there is as
    little in between as can be, and the disk is waited for at the end."""
    replaced = [path for path in files if os.path.lexists(path)]
    for path in files:
        checks[path]()
    with uninterrupted():
        for left, (path, file) in zip(reversed(range(len(files))), files.items(), strict=True):
            file.commit(None if path in replaced else checks[path], wait=not left)
            DONE.append(path)
