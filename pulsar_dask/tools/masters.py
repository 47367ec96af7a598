"""How the tools that name their own outputs make and tell of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pulsar_dask import combine
from pulsar_dask.cli.report import Report
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.engine.sink import Executor, Run
from pulsar_dask.errors import OneGroup, PulsarError, count, printable
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.formats.tocome import to_come
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import replaced
from pulsar_dask.frames.group import Group
from pulsar_dask.frames.naming import dark_stem, list_name
from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.frames.quality import Quality
from pulsar_dask.frames.step import FIGURES
from pulsar_dask.kernels.highest import HOT_PIXELS
from pulsar_dask.masters.dark import dark_recipe, stack_product
from pulsar_dask.masters.darkgroup import Dark
from pulsar_dask.masters.darks import Darks
from pulsar_dask.masters.groups import Failures, by_size, check_group
from pulsar_dask.output.badlist import BadList, Beyond
from pulsar_dask.output.fits_sink import FitsSink
from pulsar_dask.output.lists import ListSink
from pulsar_dask.output.ours import is_ours
from pulsar_dask.tools.levels import surveying, without_odd
from pulsar_dask.tools.options import Options, make_files
from pulsar_dask.tools.told import (
    hint_at_number,
    tell_made,
    warn_of_pixels,
    warn_of_stuck,
    warn_of_unlit,
)


def make_darks(
    darks: Darks,
    executor: Executor,
    options: Options,
    report: Report,
    *,
    inputs: Sequence[str] = (),
    hot_pixels: int | None = None,
    beyond: Beyond = Beyond(),  # noqa: B008
) -> None:
    """Make darks that were found, and their lists; `inputs` are further files that are read."""
    wanted = HOT_PIXELS if hot_pixels is None else hot_pixels
    method = combine.method(options.combine, options.numbers)

    def recipe(names: Sequence[str], leaving: frozenset[str]) -> Recipe:
        chosen = [dark.without(leaving) for dark in darks.darks if dark.name in names]
        return dark_recipe(chosen, method, ("image", *options.planes), surveying(options))

    make_by_group(
        {group.name: group for group in darks.groups},
        [dark.name for dark in darks.darks],
        recipe,
        executor,
        options,
        report,
        failures=darks.failures,
        inputs=[*(f.path for f in darks.frames), *inputs],
        lists={dark.name: wanted for dark in darks.darks},
        what=lambda names: _darks_and_bias([d for d in darks.darks if d.name in names]),
        hint=None if beyond else hint_at_number(hot_pixels, darks.frames[0]),
        beyond=beyond,
    )


def make_bias(group: Group, executor: Executor, options: Options, report: Report) -> None:
    """Make the master of raw biases."""
    method = combine.method(options.combine)

    def recipe(names: Sequence[str], leaving: frozenset[str]) -> Recipe:
        frames = [f for f in group.frames if f.path not in leaving]
        planes, look = ("image", *options.planes), surveying(options)
        made = stack_product(group.name, "bias", frames, method, planes, surveyed=look)
        return Recipe([made])

    check_group(group, options.combine)
    make_by_group(
        {group.name: group},
        [group.name],
        recipe,
        executor,
        options,
        report,
        failures=Failures(),
        inputs=[f.path for f in group.frames],
        what=lambda names: count(len(group.frames), "bias frame"),
    )


def _darks_and_bias(darks: Sequence[Dark]) -> str:
    bias = len({f.path for dark in darks for f in dark.bias.frames})
    what = count(sum(len(dark.frames) for dark in darks), "dark")
    return f"{what} and {count(bias, 'bias frame')}" if bias else what


def make_by_group(
    groups: Mapping[str, Group],
    names: Sequence[str],
    recipe: Callable[[Sequence[str], frozenset[str]], Recipe],
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
        The recipe of some of them, of one size, without frames of some paths.
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

        def once(leaving: frozenset[str]) -> None:
            made, again = recipe(some, leaving), bool(leaving)
            make_masters(made, executor, options, report, what=what(some), again=again, **more)

        try:
            without_odd(once)
        except OneGroup as error:
            if len(some) == 1:
                failures = failures.and_(groups[some[0]], error.text)
            else:
                for name in some:
                    make([name])

    for some in by_size(wanted, lambda name: groups[name].frames):
        make(some)
    if failures.reasons:
        raise failures.error


def made_frame(group: Group, kind: str, options: Options) -> Frame:
    """The master of a group that was made; in a dry run, that would be."""
    path = options.place(f"{group.name}.fit")
    return to_come(path, kind, group.frames) if options.dry_run else scan_frame(path)


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
            "⟦overwrite⟧ replaces it",
            "output",
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


def make_masters(
    recipe: Recipe,
    executor: Executor,
    options: Options,
    report: Report,
    *,
    inputs: Sequence[str],
    lists: Mapping[str, int] = {},
    what: str | None = None,
    hint: str | None = None,
    again: bool = False,
    beyond: Beyond = Beyond(),  # noqa: B008
) -> Run:
    """Make a FITS file of each product, and lists of the hottest pixels: how many, by product; or
    of those that stand out."""
    options.make_folder(options.output_dir)
    masters = {
        product.name: FitsSink(
            product,
            options.place(f"{product.name}.fit"),
            tolerance=options.search.ways.tolerance,
            verify=options.verify,
            layout=options.layout,
            beside=[_list_of(product, options)] if product.name in lists else (),
        )
        for product in recipe.products
    }
    hot: dict[str, ListSink] = {}
    for product in (p for p in recipe.products if p.name in lists):
        at = product.layer, product.frames[0].shape, _list_of(product, options)
        if beyond:
            read = masters[product.name].rows
            hot[product.name] = BadList(*at, read, beyond, verify=options.verify)
        else:
            hot[product.name] = ListSink(*at, lists[product.name], verify=options.verify)
    sinks = [*hot.values(), *masters.values()]  # a master says what its list holds

    def found(run: Run) -> None:
        for product in recipe.products:
            warn_of_pixels(masters[product.name])
            warn_of_stuck(masters[product.name].path, product, run)
            warn_of_unlit(masters[product.name].path, product, run)

    run = make_files(
        recipe,
        sinks,
        executor,
        options,
        report,
        inputs=inputs,
        what=what,
        hint=hint,
        found=found,
        own_names=True,
        again=again,
    )
    for product in recipe.products:
        master = masters[product.name]
        done = [str(s) for s in product.steps if getattr(s, "verb", "") not in FIGURES]
        tell_made(master, ", ".join([product.dtype, *done]), report)
        if product.name in hot:
            report.made(hot[product.name].path, hot[product.name].what)
    report.end()
    return run


def _list_of(product: Product, options: Options) -> str:
    return options.place(list_name(dark_stem(product.name) or ""))


def listing(hot: float | None, cold: float | None, dead: bool, hot_pixels: int | None) -> Beyond:
    """What a list is to hold where that is not the hottest pixels by number."""
    what = Beyond(hot, cold, dead, Quality("flat" if dead else "image"))
    if what and hot_pixels is not None:
        raise PulsarError(
            "⟦hot_pixels⟧ lists by number, ⟦hot⟧, ⟦cold⟧ and ⟦dead⟧ by how far pixels stand out; "
            "give one of both",
            "argument",
        )
    return what
