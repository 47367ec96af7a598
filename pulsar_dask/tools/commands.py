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
    heard,
    listed,
    listed_of_any,
    no_verify,
    own_outputs,
    saying,
)
from pulsar_dask.cli.choosing import (
    belonging,
    exposures,
    hdu_option,
    input_options,
    mixing,
    names_option,
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
    """List the hottest pixels of a FITS image, in IRIS's format (P X Y, from zero)."""
    tool("make_cosme")(
        image,
        output,
        hot_pixels=hot_pixels,
        origin_top=origin == "top",
        beyond=(options.pop("hot"), options.pop("cold"), options.pop("dead")),
        options=settings(options),
    )


tools.add_command(make_cosme, "find_hot")


@tools.command("frames", cls=Command, context_settings=CONTEXT)
@click.argument("input_spec", nargs=-1, required=True, metavar="INPUT_SPEC...")
@exposures
@mixing
@split_case
@names_option
@input_options
@saying
def frames(input_spec: tuple[str, ...], **options: Any) -> None:
    """Show what is understood of each frame: kind, exposure, filter, temperature, settings, and the
    master that it would become. With --verbose also the card that each comes from.
    """
    tool("frames")(input_spec, options=settings(options))


@tools.command("cube", cls=Command, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT.zarr")
@input_options
@execution_options
@common_options
def cube(names: tuple[str, ...], **options: Any) -> None:
    """Write frames as one compressed Zarr store, which xarray opens and every tool takes as
    its INPUT_SPEC.

    A chunk holds a tile of all frames. A run that was interrupted goes on where it was.
    """
    input_spec, output = with_output(names, "pulsar-dask cube darks/ darks.zarr")
    prefetch(input_spec, options)
    tool("cube")(input_spec, output, options=settings(options))


@tools.command("verify", cls=Command, context_settings=CONTEXT)
@click.argument("masters", nargs=-1, required=True, metavar="MASTER|DIR...")
@click.option(
    "--tiles",
    type=click.IntRange(0),
    default=16,
    metavar="N",
    help="How many tiles to compute again, spread over the image. [default: 16]",
)
@click.option("--all", "all_tiles", is_flag=True, help="Compute all of them again.")
@click.option(
    "--inputs",
    "folders",
    multiple=True,
    metavar="DIR",
    type=click.Path(file_okay=False, exists=True),
    help="Where the files are that it was made of, if not where they were; may be repeated.",
)
@click.option("--recursive", is_flag=True, help="Enter the folders in a folder.")
@execution_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what is wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@heard
def verify(
    masters: tuple[str, ...],
    tiles: int,
    all_tiles: bool,
    folders: tuple[str, ...],
    recursive: bool,
    **options: Any,
) -> int:
    """Check masters: whether each one is whole, whether the files that it was made of are still
    the same, and whether they give the same pixels again; or cubes: whether they hold the pixels
    of their files. Of a folder its masters and cubes are taken.

    Exit status 1 if anything is damaged, differs or cannot be judged; 3 if nothing is, as far as
    can be seen, but files that something was made of are not where they were.
    """
    work = tool("verify")
    status = work(
        masters,
        tiles=None if all_tiles else tiles,
        folders=folders,
        recursive=recursive,
        options=settings(options),
    )
    return int(status)


for command in [
    c
    for n in ("lightcommands", "librarycommands", "config", "reportcommand")
    for c in commands_of(n)
]:
    tools.add_command(command)
