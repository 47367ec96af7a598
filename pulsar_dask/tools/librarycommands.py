"""The command lines of what finds masters by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from pulsar_dask.cli.arguments import (
    CONTEXT,
    Command,
    common_options,
    execution_options,
    from_row,
    no_verify,
    saying,
)
from pulsar_dask.cli.choosing import (
    exposures,
    input_options,
    mixing,
    report_option,
    split_case,
)
from pulsar_dask.cli.heardpage import heard_report
from pulsar_dask.cli.number import Number, options
from pulsar_dask.tools.calling import prefetch, settings, tool
from pulsar_dask.tools.lightcommands import COMPUTING, SCALING, computing, scaling

choosing: Callable[[Callable[..., Any]], Any] = options(
    click.option(
        "--bias",
        metavar="FILE|DIR|NUMBER",
        help='The bias of darks that do not name their own; or a number of ADU, or "=64*$OFFSET". '
        "[default: the nearest in time that agrees]",
    ),
    click.option(
        "--dark-is",
        multiple=True,
        metavar="FILE",
        help="A master dark that is not labelled so; may be repeated.",
    ),
    click.option(
        "--nearest-dark",
        is_flag=True,
        help="Where there is no dark of an exposure, take the nearest as it is, as PULSAR does.",
    ),
    click.option(
        "--temperature-tolerance",
        type=Number(0, 1e3, "degrees as a number, such as 2"),
        metavar="C",
        help="Degrees beyond which a dark is not taken. [default: none; over 2 it is warned]",
    ),
    click.option(
        "--flatlog",
        metavar="CSV",
        help="The log of newflat: flats from before an entry do not serve lights from after it.",
    ),
    click.option(
        "--flat-future-days",
        type=Number(0, 1e5, "days as a number, such as 2"),
        default="2",
        metavar="N",
        help="Days after a light up to which a flat serves it, where no log says more. "
        "[default: 2]",
    ),
    click.option(
        "--l-flat", is_flag=True, help="Take a flat of filter L where there is none of a filter."
    ),
    click.option(
        "--latest",
        is_flag=True,
        help="Take the latest dark and flat, as PULSAR does. [default: those of the night, else "
        "the nearest in time]",
    ),
)

#: Names of what it takes.
CHOOSING = (
    "bias", "dark_is", "nearest_dark", "temperature_tolerance", "flatlog", "flat_future_days",
    "l_flat", "latest",
)  # fmt: skip


class ForCommand(Command):
    """A command whose ``--for`` takes all names up to the next option, as a shell makes them of a
    mask."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, each_for(args))


def each_for(args: list[str]) -> list[str]:
    """A ``--for`` before each of its names.

    >>> each_for(["dir", "--for", "a.fit", "b.fit", "--json"])
    ['dir', '--for', 'a.fit', '--for', 'b.fit', '--json']
    """
    found: list[str] = []
    inside = False
    for word in args:
        if word == "--for":
            inside = True
        elif inside and not word.startswith("--"):
            found += ["--for", word]
        else:
            inside = False
            found.append(word)
    return found


@click.command("library", cls=ForCommand, context_settings=CONTEXT)
@click.argument("places", nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--for",
    "lights",
    multiple=True,
    metavar="LIGHTS...",
    help="Lights: which masters serve them, and what to shoot next. Comes last.",
)
@choosing
@click.option("--no-bias", is_flag=True, help="Go without the bias that is out of a dark.")
@mixing
@exposures
@split_case
@input_options
@heard_report
@saying
def library(places: tuple[str, ...], lights: tuple[str, ...], **options: Any) -> None:
    """Show the masters in folders and in the folders in them: which are stale, which serve some
    lights, and what these lack. Only headers are read.

    Exit status 1 if some of the lights lack masters.
    """
    mine = {name: options.pop(name) for name in (*CHOOSING, "no_bias")}
    tool("library")(places, lights, asked=mine, options=settings(options))


class AutoCommand(Command):
    """A command that takes ``--ignore`` for ``--mix``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [re.sub(r"^--ignore(?==|$)", "--mix", a) for a in args])


@click.command("autocalibrate", cls=AutoCommand, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="RAW... OUT DARKDIR FLATDIR")
@choosing
@click.option("--pad", is_flag=True, help="Number outputs with four digits: out_exp120_R_0001.fit.")
@scaling
@computing
@click.option("--bestflat", is_flag=True, hidden=True)
@click.option("--selection", is_flag=True, hidden=True)
@from_row
@mixing
@exposures
@split_case
@input_options
@execution_options
@no_verify
@report_option
@common_options
def autocalibrate(names: tuple[str, ...], **options: Any) -> None:
    """Calibrate lights, each with the masters that serve it by what their headers say: the dark of
    its exposure, the flat of its filter and night, the list beside the dark.

    RAW is a mask, files, a numbered file, a folder or a list. OUT is a folder or the beginning of
    names: OUT_exp<E>_<FILTER>_<N>.fit. DARKDIR and FLATDIR hold masters, also in folders in them.
    PULSAR's --bestflat and --selection are taken, and not built. --dry-run shows which masters
    would be taken, and what would be written.
    """
    if len(names) < 4:
        raise click.UsageError(
            "lights, OUT, DARKDIR and FLATDIR are needed, as in: "
            "autocalibrate lights/ calibrated/ darks/ flats/"
        )
    *spec, output, darks, flats = names
    prefetch(spec, options)
    own = (*CHOOSING, *COMPUTING, *SCALING, "pad", "bestflat", "selection")
    mine = {name: options.pop(name) for name in own}
    tool("autocalibrate")(spec, output, darks, flats, asked=mine, options=settings(options))
