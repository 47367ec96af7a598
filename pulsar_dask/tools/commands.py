"""The command lines. Nothing heavy is imported before the arguments are known to be right."""

from __future__ import annotations

from typing import Any

import click

from pulsar_dask._version import __version__
from pulsar_dask.cli.arguments import (
    CONTEXT,
    Command,
    Tools,
    common_options,
    execution_options,
    from_row,
    listed,
    listed_of_any,
    no_verify,
    own_outputs,
)
from pulsar_dask.cli.choosing import (
    belonging,
    exposures,
    hdu_option,
    input_options,
    mixing,
    report_option,
    split_case,
)
from pulsar_dask.cli.combining import combine_option, planes_option
from pulsar_dask.tools.calling import commands_of, prefetch, settings, tool, with_output


@click.group("pulsar-dask", cls=Tools, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="pulsar-dask", message="%(prog)s %(version)s")
def tools() -> None:
    """Master calibration frames from stacks that do not fit in memory.

    The first five are commands of their own, too.
    """


tools.sections = {
    "Masters": {
        "med": "one master of any FITS images",
        "makedark": "a dark and a list of hot pixels for each exposure",
        "makeflat": "a flat for each filter",
    },
    "Hot pixels": {
        "make_cosme": "the list of the hottest pixels of an image",
        "find_hot": "the same",
    },
    "Lights": {
        "calibrate": "lights minus bias and dark, over the flat, bad pixels replaced",
        "autocalibrate": "the same with the masters that serve each light, found in folders",
        "darkopt": "lights minus a dark that is scaled by its hot pixels",
        "cosme": "listed pixels replaced, and nothing else",
        "newflat": "a note that the flats of a camera are others from now on",
    },
    "What frames say, and what is set": {
        "frames": "what is understood of each frame, and which masters they would become",
        "library": "which masters there are, which are stale, and which some lights lack",
        "config": "settings that commands have without being told, and where they come from",
    },
    "Cubes, and what masters are worth": {
        "cube": "frames as one compressed Zarr store, which every tool takes",
        "verify": "whether masters and cubes can be trusted",
        "report": "a page to look at, of masters that are there",
    },
}


@tools.command("med", cls=Command, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT")
@click.option(
    "--dtype",
    type=click.Choice(["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]),
    help="Type of the output's pixels. [default: float32; float64 for 32- and 64-bit integers "
    "and 64-bit floats]",
)
@combine_option
@planes_option("or as variables of a .zarr")
@mixing
@belonging
@input_options
@execution_options
@no_verify
@common_options
def med(names: tuple[str, ...], dtype: str | None, **options: Any) -> None:
    """Combine FITS images pixel by pixel, by their median unless --combine says otherwise.

    INPUT_SPEC is a folder, a mask ("bias*.fit"), files, the first file of a numbered
    sequence (bias0001.fit) or a list (@list.txt). OUTPUT ending in .zarr is a Zarr store.
    """
    input_spec, output = with_output(names, 'med "bias*.fit" master_bias.fit')
    prefetch(input_spec, options)
    tool("med")(input_spec, output, dtype=dtype, options=settings(options))


@tools.command("makedark", cls=Command, context_settings=CONTEXT)
@click.argument("input_spec", nargs=-1, required=True, metavar="INPUT_SPEC... [BIAS_SPEC]")
@click.option(
    "--bias", metavar="SPEC", help="The bias: a file, a mask, a folder, a list or a number."
)
@listed
@combine_option
@planes_option()
@belonging
@exposures
@mixing
@own_outputs
@input_options
@execution_options
@no_verify
@common_options
def makedark(input_spec: tuple[str, ...], bias: str | None, **options: Any) -> None:
    """Make master darks, one for each exposure time, and their lists of hot pixels.

    INPUT_SPEC is a folder, a mask, files, a numbered file or a list. BIAS_SPEC is what is
    subtracted: a master bias, bias frames (which make bias.fit) or a number; none by default.
    Writes dark<exp>.fit and cosme<exp>.lst.
    """
    prefetch([*input_spec, *([bias] if bias else [])], options)
    n, *far = (options.pop(name) for name in ("hot_pixels", "hot", "cold"))
    tool("makedark")(input_spec, bias=bias, hot_pixels=n, beyond=far, options=settings(options))


@tools.command("makeflat", cls=Command, context_settings=CONTEXT)
@click.argument("input_spec", nargs=-1, required=True, metavar="INPUT_SPEC... [TARGET_MEDIAN]")
@click.option(
    "--dark",
    metavar="FILE|NUMBER",
    help="What is subtracted, instead of dark<exp>.fit in the current folder or the input's.",
)
@click.option(
    "--cosme",
    "hot_pixels",
    metavar="FILE",
    help="The list of hot pixels, instead of cosme<exp>.lst in the same places.",
)
@click.option(
    "--bias",
    metavar="SPEC",
    help="The bias, where it was subtracted from the dark: a file or a number. "
    "[default: the one that was subtracted, or bias.fit beside]",
)
@split_case
@from_row
@combine_option
@planes_option()
@belonging
@exposures
@mixing
@own_outputs
@input_options
@execution_options
@no_verify
@common_options
def makeflat(
    input_spec: tuple[str, ...],
    dark: str | None,
    bias: str | None,
    hot_pixels: str | None,
    origin: str,
    **options: Any,
) -> None:
    """Make master flats, one for each filter: dark subtracted, hot pixels corrected, each
    frame scaled to TARGET_MEDIAN (5000), then combined.

    INPUT_SPEC is a folder, a mask, files, a numbered file or a list. Writes flat_<filter>.fit.
    """
    prefetch(input_spec, options)
    tool("makeflat")(
        input_spec,
        target=None,
        dark=dark,
        bias=bias,
        hot_pixels=hot_pixels,
        origin_top=origin == "top",
        options=settings(options),
    )


@tools.command("make_cosme", cls=Command, context_settings=CONTEXT)
@click.argument("image", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@listed_of_any
@hdu_option
@execution_options
@no_verify
@report_option
@common_options
def make_cosme(
    image: str, output: str, hot_pixels: int | None, origin: str, **options: Any
) -> None:
    """List the hottest pixels of a FITS image, in IRIS's format (P X Y, from zero). OUTPUT ending
    in .fit is a mask instead: an image of 8 bits, 1 where a pixel is listed.
    """
    tool("make_cosme")(
        image,
        output,
        hot_pixels=hot_pixels,
        origin_top=origin == "top",
        beyond=(options.pop("hot"), options.pop("cold"), options.pop("dead")),
        options=settings(options),
    )


tools.add_command(make_cosme, "find_hot")


for command in [
    c
    for n in ("lookcommands", "lightcommands", "librarycommands", "config", "reportcommand")
    for c in commands_of(n)
]:
    tools.add_command(command)
