"""The command line of reports on masters that were made before."""

from __future__ import annotations

from typing import Any

import click

from pulsar_dask.cli.arguments import CONTEXT, Command, common_options, execution_options
from pulsar_dask.cli.choosing import against_option, made_of
from pulsar_dask.tools.calling import settings, tool


@click.command("report", cls=Command, context_settings=CONTEXT)
@click.argument("masters", nargs=-1, required=True, metavar="MASTER|DIR...")
@click.option(
    "-o",
    "--output",
    "report_file",
    metavar="FILE.html",
    type=click.Path(dir_okay=False),
    default="report.html",
    help="The page. [default: report.html]",
)
@made_of("they were")
@against_option
@execution_options
@common_options
def report(
    masters: tuple[str, ...], folders: tuple[str, ...], recursive: bool, **options: Any
) -> None:
    """A page to look at, of masters that were made before: a verdict, each as a picture, its frames
    against time, how good it is. All is computed again from the files that they were made of; where
    these are gone, or of masters of other programs, from the image alone.
    """
    work = tool("report")
    work(masters, folders=folders, recursive=recursive, options=settings(options))
