"""Masters of groups: those of one size side by side; one that cannot be made does not cost the
others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pulsar_dask.cli.report import Report
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor
from pulsar_dask.errors import OneGroup, PulsarError, printable
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.gates import replaced
from pulsar_dask.frames.group import Group
from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.masters.groups import Failures, by_size
from pulsar_dask.output.ours import is_ours
from pulsar_dask.tools.masters import make_masters
from pulsar_dask.tools.options import Options


def make_by_group(
    groups: Mapping[str, Group],
    names: Sequence[str],
    recipe: Callable[[Sequence[str]], Recipe],
    executor: Executor,
    options: Options,
    report: Report,
    *,
    failures: Failures,
    what: Callable[[Sequence[str]], str],
    **more: Any,
) -> None:
    """Make masters of those names, and what they take.

    Parameters
    ----------
    groups : mapping
        By name; with those of biases that are combined on the way.
    names : sequence of str
        The masters that are wanted.
    recipe : callable
        The recipe of some of them, of one size.
    failures : Failures
        Those that were found before.
    what : callable
        The frames of some of them, in words.
    more
        As for `make_masters`.

    Raises
    ------
    PulsarError
        When all others are made: what was not, and why.
    """
    wanted = []
    for name in names:
        try:
            check_replaced(groups[name], options, report)
            wanted.append(name)
        except OneGroup as error:
            failures = failures.and_(groups[name], error.text)
    failures.none_left(bool(wanted))
    for group in groups.values():
        if group.name not in names:
            check_replaced(group, options, report)

    def make(some: Sequence[str]) -> None:
        nonlocal failures
        try:
            made = recipe(some)
            make_masters(made, executor, options, report, what=what(some), **more)
        except OneGroup as error:
            if len(some) == 1:
                failures = failures.and_(groups[some[0]], error.text)
            else:
                for name in some:
                    make([name])

    for some in by_size(wanted, lambda name: groups[name].frames):
        make(some)
    if failures.reasons:
        raise PulsarError(failures.text)


def check_replaced(group: Group, options: Options, report: Report) -> None:
    """Refuse to replace a master of ours that has other settings; say it where it is one of other
    frames."""
    path = options.place(f"{group.name}.fit")
    if not os.path.isfile(path) or not is_ours(path):
        return
    old = scan_frame(path)
    if not options.overwrite and (differ := replaced(old, group)):
        raise OneGroup(
            f"a master of other settings has that name ({'; '.join(differ)}); it is kept. "
            "⟦output_dir⟧ DIR puts the new one elsewhere, ⟦names⟧ full tells them apart, "
            "⟦overwrite⟧ replaces it"
        )
    trace = read_trace(map(str, read_header(old).get("HISTORY", [])), os.path.dirname(old.path))
    before = {os.path.realpath(s.path) for s in trace.sources if s.role == "input"}
    now = {os.path.realpath(f.path) for f in group.frames}
    if before - now:
        gone = sorted(before - now)
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        report.say(
            f"{printable(path)}: replaces a master of {len(before)} frames, "
            f"{printable(os.path.basename(gone[0]))}{more} of them not among these"
        )
