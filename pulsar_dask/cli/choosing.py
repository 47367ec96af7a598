"""Options that say which frames are meant, how they are understood and told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pulsar_dask.cli.number import Number, options


def _hdu(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("give a number or a name, such as 1 or SCI.")
    from pulsar_dask.frames.provenance import as_hdu

    return None if value is None else as_hdu(value)


hdu_option = click.option(
    "--hdu",
    metavar="N|NAME",
    callback=_hdu,
    help="Of files with several images: the number (0 is the primary HDU) or the EXTNAME of one.",
)

keywords_option = click.option(
    "--keywords",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    is_eager=True,  # --mix takes its words
    help="A table (TOML) of keywords and words that your frames have. [default: keywords.toml in "
    "your folder of settings for pulsar-dask]",
)

_recursive = click.option("--recursive", is_flag=True, help="Enter the folders in a folder.")

input_options = options(
    click.option(
        "--no-sequence",
        "sequence",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Take one numbered file alone, not as the first of its sequence.",
    ),
    _recursive,
    hdu_option,
    keywords_option,
)


def _mix(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    from pulsar_dask.frames.table import with_users

    mixable = with_users(ctx.params.get("keywords")).mixable
    words = tuple(word.strip().lower() for word in value.split(",") if word.strip())
    for word in words:
        if word == "size":
            raise click.BadParameter("frames of several sizes cannot be combined.")
        if word not in mixable:
            raise click.BadParameter(f"{word!r} is no setting; there are {', '.join(mixable)}.")
    return words


mixing = click.option(
    "--mix",
    metavar="SETTING,…",
    callback=_mix,
    help="Combine, or calibrate, frames that differ in these: gain, offset, camera, binning, "
    "readout, temperature, exposure, …",
)

exposures = options(
    click.option(
        "--assume-type",
        is_flag=True,
        help="Take frames that nothing tells the kind of for what this tool takes.",
    ),
    click.option(
        "--force-type",
        is_flag=True,
        help="Take all frames for what this tool takes, whatever their label.",
    ),
    click.option(
        "--exposure",
        type=Number(0, 1e6, "seconds as a number, such as 120"),
        metavar="S",
        help="Seconds, for frames whose header does not say it, or not right.",
    ),
    click.option(
        "--filter",
        metavar="NAME",
        help="The filter, for frames whose header does not say it, or not right.",
    ),
    click.option(
        "--exposure-tolerance",
        type=Number(0, 1e6, "seconds as a number, such as 0.01"),
        metavar="S",
        help="Seconds within which exposures are the same. [default: 0.1 %, or 1 ms up to 1 %]",
    ),
)

split_case = click.option(
    "--split-case",
    is_flag=True,
    help="Keep filters apart that differ in case alone (Sloan r, Cousins R).",
)

names_option = click.option(
    "--names",
    type=click.Choice(["short", "full"]),
    default="short",
    help="Which settings stand in names: those that differ among the masters, or all. "
    "[default: short]",
)

against_option = click.option(
    "--against",
    metavar="MASTER|DIR",
    type=click.Path(exists=True),
    help="What a report compares masters with: one, or those of the same names in a folder. "
    "[default: what has the name of the new one]",
)
report_option = click.option(
    "--report",
    "report_file",
    metavar="FILE.html",
    type=click.Path(dir_okay=False),
    help="Write a page to look at: a verdict, pictures of what was made, frames against time.",
)
#: What is said of masters beside their making.
belonging = options(
    click.option(
        "--saturation",
        type=Number(0, 1e12, "ADU as a number, such as 16383", above=True),
        metavar="ADU",
        help="Value from which a pixel is saturated. [default: SATURATE of the frames, else what "
        "they show]",
    ),
    click.option(
        "--reject-frames",
        is_flag=True,
        help="Leave out frames that do not belong (their level, noise, hits or corners), and read "
        "the others once more. [default: warn of them]",
    ),
    report_option,
    against_option,
)


def made_of(what: str) -> Callable[[Callable[..., Any]], Any]:
    """``--inputs`` and ``--recursive`` of what looks at masters."""
    return options(
        click.option(
            "--inputs",
            "folders",
            multiple=True,
            metavar="DIR",
            type=click.Path(file_okay=False, exists=True),
            help=f"Where the files are that {what} made of, if not where they were; may be "
            "repeated.",
        ),
        _recursive,
    )
