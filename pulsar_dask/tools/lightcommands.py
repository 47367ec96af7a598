"""The command lines of what is done to lights."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from pulsar_dask.cli.arguments import (
    CONTEXT,
    Command,
    common_options,
    dry_run_option,
    execution_options,
    from_row,
    json_option,
    no_verify,
)
from pulsar_dask.cli.choosing import input_options, mixing, report_option
from pulsar_dask.cli.heardpage import heard_report
from pulsar_dask.cli.number import Number, options
from pulsar_dask.tools.calling import prefetch, settings, tool, with_output

#: Options of PULSAR's line, which it takes in any case.
_LETTERS = ("-d", "-b", "-f", "-c", "-o")
_A_NUMBER = re.compile(r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.IGNORECASE)


def as_ours(args: list[str]) -> list[str]:
    """PULSAR's command line as ours: options in any case, ``-optimize``, the level after the flat.

    >>> as_ours(["in.fit", "out.fit", "-D", "d.fit", "-F", "f.fit", "5000", "-Optimize"])
    ['in.fit', 'out.fit', '-d', 'd.fit', '-f', 'f.fit', '--level', '5000', '-o']
    """
    found: list[str] = []
    left = list(args)
    while left:
        word = left.pop(0)
        small = word.lower()
        if word == "--":
            return [*found, word, *left]
        if small == "-optimize":
            found.append("-o")
        elif small in _LETTERS:
            found.append(small)
            if small == "-o":
                continue
            found += left[:1]
            if small == "-f" and len(left) > 1 and _A_NUMBER.fullmatch(left[1]):
                found += ["--level", left[1]]
                left = left[1:]
            left = left[1:]
        else:
            found.append(word)
    return found


class LightCommand(Command):
    """A command that takes PULSAR's line, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, as_ours(args))


def _yes_no(ctx: click.Context, param: click.Parameter, value: str | None) -> bool | None:
    return None if value is None else value == "yes"


def _bad(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    return None if value in (None, "nan") else 0.0


computing: Callable[[Callable[..., Any]], Any] = options(
    click.option("--no-bias", is_flag=True, help="Go without the bias that is out of the dark."),
    click.option(
        "--bias-in-dark",
        type=click.Choice(["yes", "no"]),
        callback=_yes_no,
        help="Whether the dark holds its bias, where it does not say so.",
    ),
    click.option(
        "--master-scale",
        type=Number(0, 1e12, "a factor as a number, such as 65535", above=True),
        metavar="X",
        help="What bias and dark are multiplied with where they are in another unit.",
    ),
    click.option("--one-level", is_flag=True, help="Scale all colours of the flat by one level."),
    click.option(
        "--flat-floor",
        type=Number(0, 1, "a share as a number, such as 0.01"),
        default="0.01",
        metavar="X",
        help="Share of its median up to which a flat is none. [default: 0.01]",
    ),
    click.option(
        "--pedestal",
        type=Number(-1e12, 1e12, "ADU as a number, such as 100"),
        default="0",
        metavar="P",
        help="ADU to add to all pixels.",
    ),
    click.option(
        "--bad",
        type=click.Choice(["nan", "0"]),
        callback=_bad,
        help="What pixels have that are left without a value. [default: nan]",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float64", "input"]),
        help="Type of the output's pixels; input: as the light has them. [default: float32; "
        "float64 for 32- and 64-bit integers and 64-bit floats]",
    ),
    click.option(
        "--saturation",
        type=Number(0, 1e12, "ADU as a number, such as 65535", above=True),
        metavar="ADU",
        help="Value from which a pixel is saturated, which is counted. [default: SATURATE of the "
        "lights]",
    ),
    click.option(
        "--uncertainty",
        is_flag=True,
        help="Write the standard error of each pixel and a mask, too: extensions UNCERT and MASK.",
    ),
    click.option(
        "--egain",
        type=Number(0, 1e6, "electrons per ADU as a number, such as 0.8", above=True),
        metavar="G",
        help="For that: electrons per ADU. [default: EGAIN of the lights]",
    ),
    click.option(
        "--read-noise",
        type=Number(0, 1e6, "electrons as a number, such as 3.5"),
        metavar="E",
        help="For that: electrons of read noise. [default: RDNOISE of the lights]",
    ),
    click.option("--again", is_flag=True, help="Do what was done to a light already once more."),
)
"""How lights are computed, whatever chose their masters."""

scaling: Callable[[Callable[..., Any]], Any] = options(
    click.option("-o", "--optimize", is_flag=True, help="Scale the dark by its hot pixels."),
    click.option(
        "--dark-scale",
        type=click.Choice(["robust", "ls"]),
        default="robust",
        help="How k is found by them: without stars (robust), or by least squares. "
        "[default: robust]",
    ),
    click.option(
        "--fallback",
        type=click.Choice(["exposure"]),
        help="Scale a dark by the exposures where its hot pixels give no k.",
    ),
)
"""How darks are scaled by what is in the light."""

calibrating: Callable[[Callable[..., Any]], Any] = options(
    click.option("-d", "--dark", metavar="FILE", help="The master dark."),
    click.option(
        "-b",
        "--bias",
        metavar="FILE|NUMBER",
        help='The master bias, a number of ADU, or an expression as "=64*$OFFSET". [default: the '
        "one that was taken out of the dark]",
    ),
    click.option(
        "-f",
        "--flat",
        metavar="FILE [K]",
        help="The master flat, and the level K to which it is scaled.",
    ),
    click.option(
        "--level",
        type=Number(0, 1e30, "ADU as a number, such as 5000", above=True),
        metavar="K",
        help="The same level. [default: the median of the flat, of each colour its own]",
    ),
    click.option(
        "-c",
        "--cosme",
        "lists",
        multiple=True,
        metavar="FILE",
        help="A list of bad pixels; may be repeated.",
    ),
    click.option(
        "--scale-dark",
        type=click.Choice(["exposure"]),
        help="Scale the dark by the exposures.",
    ),
    scaling,
    computing,
)


#: Names of what `computing` takes, and of --origin.
COMPUTING = (
    "no_bias", "bias_in_dark", "master_scale", "one_level", "flat_floor", "pedestal", "bad",
    "dtype", "again", "origin", "uncertainty", "egain", "read_noise",
)  # fmt: skip
#: Of `scaling`.
SCALING = ("optimize", "dark_scale", "fallback")
#: And of `calibrating`.
OWN = (*COMPUTING, *SCALING, "dark", "bias", "flat", "level", "lists", "scale_dark")


@click.command("calibrate", cls=LightCommand, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT")
@calibrating
@from_row
@mixing
@input_options
@execution_options
@no_verify
@report_option
@common_options
def calibrate(names: tuple[str, ...], **options: Any) -> None:
    """Calibrate lights: subtract bias and dark, divide by the flat, replace bad pixels.

    INPUT_SPEC is a folder, a mask, files, a numbered file or a list. OUTPUT is a folder, which
    takes the names of the lights, or a name; of several lights, name0001.fit and on. A light that
    is there already, made of the same files in the same way, is passed over.
    """
    _calibrate(names, options)


def _calibrate(names: tuple[str, ...], options: dict[str, Any]) -> None:
    spec, output = with_output(names, "calibrate light0001.fit calibrated/ -d dark120s.fit")
    prefetch(spec, options)
    mine = {name: options.pop(name) for name in OWN}
    tool("calibrate")(spec, output, asked=mine, options=settings(options))


@click.command("darkopt", cls=LightCommand, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT DARK [LIST]")
@calibrating
@from_row
@mixing
@input_options
@execution_options
@no_verify
@report_option
@common_options
def darkopt(names: tuple[str, ...], **options: Any) -> None:
    """Subtract a dark that is scaled by its hot pixels: calibrate -o, in the order of PULSAR."""
    words = list(names)
    lists = [words.pop()] if len(words) > 3 and words[-1].lower().endswith((".lst", ".txt")) else []
    if options["dark"] is None and len(words) > 2:
        options["dark"] = words.pop()
    if options["dark"] is None:
        raise click.UsageError("the dark is missing, as in: darkopt light.fit out.fit dark.fit")
    options |= {"lists": (*options["lists"], *lists), "optimize": True}
    _calibrate(tuple(words), options)


@click.command("cosme", cls=Command, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT LIST")
@click.option("-t", "drawn", is_flag=True, help="Write a mask of the listed pixels instead.")
@from_row
@input_options
@execution_options
@no_verify
@report_option
@common_options
def cosme(names: tuple[str, ...], drawn: bool, origin: str, **options: Any) -> None:
    """Replace the pixels of a list by the mean of their good neighbours, of their colour."""
    if len(names) < 3:
        raise click.UsageError("three names are needed, as in: cosme light.fit out.fit bad.lst")
    *spec, output, listed = names
    prefetch(spec, options)
    asked = {"drawn": drawn, "origin": origin}
    tool("cosme")(spec, output, listed, asked=asked, options=settings(options))


@click.command("newflat", cls=Command, context_settings=CONTEXT)
@click.option("-c", "--camera", metavar="ID", help="The camera, as INSTRUME has it.")
@click.option("-l", "--log", required=True, metavar="CSV", help="The log.")
@click.option(
    "-d",
    "--date",
    metavar="ISO",
    help="When, UTC unless it says another zone; a date alone is the noon here. [default: now]",
)
@click.option("-m", "--comment", metavar="TEXT", help="What has changed.")
@click.option("--list", "listed", is_flag=True, help="Show from when to when flats are the same.")
@click.option("--strict", is_flag=True, help="Make an error of each warning.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@json_option
@heard_report
@dry_run_option
def newflat(log: str, debug: bool, **options: Any) -> None:
    """Note that from now on the flats of a camera are others: dust, a turned camera, new optics."""
    tool("newflat")(log, **options)
