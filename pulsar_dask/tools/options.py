"""What every tool takes and what it names, and how it makes files."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

from dask.system import CPU_COUNT

from pulsar_dask._version import CREATOR
from pulsar_dask.cli.report import Report
from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor, Run
from pulsar_dask.engine.threads import Threads
from pulsar_dask.errors import PulsarError, note, printable, told
from pulsar_dask.files.disk import failure
from pulsar_dask.files.interrupts import uninterrupted
from pulsar_dask.files.leftovers import remove_stale
from pulsar_dask.files.transaction import DONE, commit_all
from pulsar_dask.frames.layouts import BESIDE
from pulsar_dask.frames.table import READ_BY, using
from pulsar_dask.inputs.words import as_texts, is_list, list_path
from pulsar_dask.masters.search import Search
from pulsar_dask.output.ours import check_output, is_ours, kept
from pulsar_dask.tools.keeps import NOBODY, Keeps, reporting
from pulsar_dask.tools.levels import survey_sinks, tell
from pulsar_dask.tools.record import record
from pulsar_dask.tools.watch import Planned, watching

Made = ParamSpec("Made")


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    search: Search = field(default_factory=Search)
    combine: str = "median"
    numbers: Mapping[str, float] = field(default_factory=dict)
    planes: tuple[str, ...] = ()
    layout: str = BESIDE
    memory: float | None = None
    threads: int | None = None
    scheduler: str | None = None
    overwrite: bool = False
    verify: bool = True
    """Whether outputs are read back before they take their names."""
    output_dir: str = "."
    saturation: float | None = None
    """ADU from which a pixel is saturated."""
    reject_frames: bool = False
    """Whether frames that do not belong are left out."""
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    strict: bool = False
    """Whether a warning is an error."""
    dry_run: bool = False
    """Whether nothing is made, and what would be is said."""
    warnings: list[str] = field(default_factory=list)
    """What was warned of; see `telling`."""
    page: Keeps = NOBODY
    """What is kept for a report, and for programs."""

    @contextlib.contextmanager
    def executor(self) -> Iterator[Executor]:
        """Threads of this process, or a cluster."""
        if self.scheduler is None:
            yield Threads(self.used)
            return
        from pulsar_dask.engine.cluster import Cluster, patience
        from pulsar_dask.engine.scheduler import connected

        wait = patience()
        with connected(self.scheduler, threads=self.used, patience=wait, logs=self.debug) as client:
            cluster = Cluster(client, wait)
            cluster.check_workers()
            yield cluster

    @property
    def used(self) -> int:
        """Threads of this process."""
        return self.threads or CPU_COUNT

    def report(self) -> Report:
        return Report(quiet=self.quiet, verbose=self.verbose, dry=self.dry_run)

    def place(self, name: str) -> str:
        """Where an output of that name lies."""
        return os.path.normpath(os.path.join(self.output_dir, name))

    def make_folder(self, folder: str) -> None:
        """Make a folder for outputs, if it is not there."""
        try:
            if not self.dry_run:
                os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise failure(folder, error) from error

    def clear(self, path: str) -> None:
        """Remove what killed runs have left where an output goes."""
        if not self.dry_run:
            remove_stale(os.path.dirname(os.path.abspath(path)))


def files_in_goes(
    recipe: Recipe,
    sinks: Sequence[Any],
    executor: Executor,
    options: Options,
    report: Report,
    *,
    inputs: Sequence[str],
    what: str | None = None,
    hint: str | None = None,
    found: Callable[[Run], None] = lambda run: None,
    own_names: bool = False,
    again: bool = False,
    summed: Sequence[Any] | None = None,
) -> Iterator[Run]:
    """Make all sinks of a recipe side by side, in goes: all is computed, it is brought to the disk
    and its files appear, it is told of. What is in the way of one leaves all as they were.

    Frames that do not belong are warned of, unless `again` says that they are out already. No
    output replaces one of `inputs`; `what` are the frames in words, `hint` is said with the plan,
    `found` warns of what pixels show; `own_names`: the tool names its outputs; `summed`: sums of.
    """
    checks = {
        path: functools.partial(
            _check, path, inputs, sink, sink.lines, overwrite=options.overwrite, own_names=own_names
        )
        for sink in sinks
        for path in sink.paths
    }
    for path in {os.path.dirname(os.path.abspath(path)): path for path in checks}.values():
        options.clear(path)
    for path, check in checks.items():
        if not options.dry_run or os.path.isdir(os.path.dirname(os.path.abspath(path))):
            check()
    looks, pictures = survey_sinks(recipe.products), options.page.sinks(sinks)

    def seen(run: Run) -> None:
        tell(looks, run, options, report, again=again)
        found(run)

    with contextlib.ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.close)
        lists = {sink.path: sink for sink in sinks if sink.lines is not None}
        commit = functools.partial(_commit, checks, lists, report, options)
        left: list[Callable[[], None]] = []
        watch = stack.enter_context(watching(report, options.quiet, what, hint, seen))
        try:
            run = make(
                recipe,
                [*looks, *pictures, *sinks],
                executor,
                memory=options.memory,
                threads=options.used,
                warnings=options.warnings,
                commit=commit,
                watch=watch,
                summed=summed,
                finish=left.append,
            )
        except Planned as end:
            run = end.run
        yield run
        for rest in left:
            rest()
        yield run
        told = {} if options.dry_run else options.page.took(run, sinks, looks, pictures)
        record(run, sinks, report, told)


def _in_one_go(goes: Callable[Made, Iterator[Run]]) -> Callable[Made, Run]:
    @functools.wraps(goes)
    def make_all(*args: Made.args, **more: Made.kwargs) -> Run:
        return list(goes(*args, **more))[-1]

    return make_all


make_files = _in_one_go(files_in_goes)


def telling(tool: Callable[..., None]) -> Callable[..., None]:
    """A tool whose masters keep in their headers what was warned of, whose errors name options,
    and that understands all by the table of keywords that was asked for."""

    @functools.wraps(tool)
    def run(*args: Any, options: Options, **more: Any) -> None:
        with told(strict=options.strict) as warnings, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(using(options.search.table))
                if options.search.table.users:
                    note(READ_BY + printable(options.search.table.users))
                reporting(tool, replace(options, warnings=warnings), args, more)
            except PulsarError as error:
                error.args = (error.on_command_line,)
                raise

    return run


def _commit(
    checks: Mapping[str, Callable[[], None]],
    lists: Mapping[str, Any],
    report: Report,
    options: Options,
    files: Mapping[str, Any],
) -> None:
    """Give sealed outputs their names, all or none; a list that may be the user's is kept."""
    foreign = [p for p, sink in lists.items() if not options.overwrite and _is_foreign(p, sink)]
    goes = [path for path, file in files.items() if file is None and os.path.lexists(path)]
    report.replaced |= {os.path.abspath(path) for path in files if os.path.lexists(path)}
    with uninterrupted(), kept(foreign) as copies:
        commit_all(files, checks)
        DONE.extend(path for path, file in files.items() if file is not None)
    for path in goes:
        report.say(f"{printable(path)}: removed, it was of the master that was replaced")
    for path, name in copies:
        report.say(
            f"{printable(path)} was there, and no master beside it says that {CREATOR} wrote it; "
            f"what it held is {printable(os.path.basename(name))}"
        )


def _check(path: str, inputs: Sequence[str], sink: Any, lines: int | None, **options: bool) -> None:
    if lines is not None and os.path.isfile(path) and sink.follows(path):
        lines = None
    check_output(path, inputs, lines=lines, **options)


def _is_foreign(path: str, sink: Any) -> bool:
    """Whether a list holds something that may be the user's, and is gone with it."""
    return os.path.isfile(path) and not is_ours(path) and not sink.keeps(path)


def lists_in(spec: Sequence[str]) -> list[str]:
    """The lists of names in an input spec: they are inputs, too."""
    return [list_path(text) for text in as_texts(spec) if text and is_list(text)]
