"""The command lines of what looks at frames and masters, and makes none."""

from __future__ import annotations

from typing import Any

import click

from pulsar_dask.cli.arguments import (
    CONTEXT,
    Command,
    common_options,
    execution_options,
    heard,
    saying,
)
from pulsar_dask.cli.choosing import (
    exposures,
    input_options,
    made_of,
    mixing,
    names_option,
    split_case,
)
from pulsar_dask.cli.heardpage import heard_report
from pulsar_dask.tools.calling import prefetch, settings, tool, with_output


@click.command("frames", cls=Command, context_settings=CONTEXT)
@click.argument("input_spec", nargs=-1, required=True, metavar="INPUT_SPEC...")
@exposures
@mixing
@split_case
@names_option
@input_options
@heard_report
@saying
def frames(input_spec: tuple[str, ...], **options: Any) -> None:
    """Show what is understood of each frame: kind, exposure, filter, temperature, settings, and the
    master that it would become. With --verbose also the card that each comes from.
    """
    tool("frames")(input_spec, options=settings(options))


@click.command("cube", cls=Command, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT.zarr")
@input_options
@execution_options
@heard_report
@common_options
def cube(names: tuple[str, ...], **options: Any) -> None:
    """Write frames as one compressed Zarr store, which xarray opens and every tool takes as
    its INPUT_SPEC.

    A chunk holds a tile of all frames. A run that was interrupted goes on where it was.
    """
    input_spec, output = with_output(names, "pulsar-dask cube darks/ darks.zarr")
    prefetch(input_spec, options)
    tool("cube")(input_spec, output, options=settings(options))


@click.command("verify", cls=Command, context_settings=CONTEXT)
@click.argument("masters", nargs=-1, required=True, metavar="MASTER|DIR...")
@click.option(
    "--tiles",
    type=click.IntRange(0),
    default=16,
    metavar="N",
    help="How many tiles to compute again, spread over the image. [default: 16]",
)
@click.option("--all", "all_tiles", is_flag=True, help="Compute all of them again.")
@made_of("it was")
@execution_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what is wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@heard_report
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
