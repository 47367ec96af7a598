"""What a command line is made of: how arguments are read, and the options that tools share."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import click

from pulsar_dask._version import __version__
from pulsar_dask.cli.choosing import names_option
from pulsar_dask.cli.examples import EXAMPLES
from pulsar_dask.cli.number import Number, options
from pulsar_dask.cli.program import Running, reword
from pulsar_dask.cli.settings import Setting, of_command, settings
from pulsar_dask.cli.voices import Event, tell
from pulsar_dask.errors import printable

#: Ask for nothing but a text.
_TEXTS = {"-h", "--help", "--version"}
#: Where a value comes from that is set, and not on the command line.
_SET = click.core.ParameterSource.DEFAULT_MAP
#: Before an argument that begins as an option and is none; no argument can hold it.
_MARK = "\0"


class Command(Running, click.Command):
    """A tool. A negative number among its arguments is a number, not an option."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if examples := EXAMPLES.get(self.name or ""):
            with formatter.section("Examples"):
                formatter.write_dl(examples, col_max=60)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        takes_value = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        if "" in args:
            raise click.UsageError('an argument is empty (""): is a variable of the shell not set?')
        given = {} if _TEXTS.intersection(args) else of_command(self, settings())
        ctx.default_map = {
            name: one.value if isinstance(one.value, bool) else _at_home(one.value)
            for name, one in given.items()
        }
        args = list(map(_at_home, args))
        end = args.index("--") if "--" in args else len(args)
        marked = [
            _MARK + argument
            if re.match(r"-\.?[0-9]", argument) and before not in takes_value
            else argument
            for before, argument in itertools.pairwise(["", *args[:end]])
        ]
        try:
            rest = super().parse_args(ctx, marked + args[end:])
        except click.ClickException as error:
            reword(error, lambda text: text.replace(_MARK, ""))
            name = getattr(getattr(error, "param", None), "name", None)
            if name in given and ctx.get_parameter_source(name) is _SET:
                raise set_by(given[name], error) from None
            raise
        for name in given:
            if ctx.get_parameter_source(name) is _SET:
                _tell(name, given[name], shown=ctx.params.get("verbose", False))
        for name, value in ctx.params.items():
            if isinstance(value, tuple):
                ctx.params[name] = tuple(v.removeprefix(_MARK) for v in value)
            elif isinstance(value, str):
                ctx.params[name] = value.removeprefix(_MARK)
        return rest


def set_by(one: Setting, error: click.ClickException) -> click.ClickException:
    """The error of a value that is not on the command line, with where it comes from."""
    end = "" if error.message.endswith(".") else "."
    reword(error, lambda text: f"{text}{end} It is set by {printable(one.source)}.")
    return error


def _tell(name: str, one: Setting, *, shown: bool) -> None:
    name = name.replace("_", "-")
    data = {"name": name, "value": one.text, "source": one.source}
    text = f"{name} {printable(one.text)}, set by {printable(one.source)}"
    tell(Event(text, "detail", "settings", data, shown=shown))


def _at_home(argument: str) -> str:
    """An argument whose path, maybe that of an option, begins in the home folder as in a shell."""
    from pulsar_dask.inputs.words import at_home

    start = argument.find("=") + 1 if argument.startswith("--") else 0
    return argument[:start] + at_home(argument[start:])


class Tools(Running, click.Group):
    """All tools, for ``pulsar-dask``."""

    sections: Mapping[str, Mapping[str, str]] = {}
    """How the help lists the tools: in groups, by name, in words."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        wide = max(map(len, self.commands))
        for title, words in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(wide), text) for name, text in words.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            # click 8.1 takes a name that does not begin with a letter for an option, and shows help
            ctx.fail(f"No such command '{args[0]}'.")
        return super().resolve_command(ctx, args)


def _scheduler_address(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    if value is None or re.fullmatch(
        r"local:[1-9]\d*|[\w+.-]+://.+|(?!local:)[^:/]+:\d+|.+\.json", value
    ):
        return value
    raise click.BadParameter(
        f"{value!r} is neither tcp://host:port, nor a scheduler file (.json), nor local:N."
    )


execution_options = options(
    click.option(
        "-m",
        "--memory",
        type=Number(0, 1e9, "gigabytes as a number, such as 2 or 0.5", above=True),
        metavar="GB",
        help="Most memory the whole process may take, or each worker process of a cluster. "
        "[default: 16, or what there is]",
    ),
    click.option(
        "--threads",
        type=Number(1, 1024, "how many threads, such as 4", whole=True),
        metavar="N",
        help="[default: all cores]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        callback=_scheduler_address,
        help="Compute on a dask cluster: tcp://host:port, tls://host:port, a scheduler file "
        "(.json), or local:N for N worker processes here. Whoever reaches a tcp:// scheduler runs "
        "code as you do.",
    ),
)


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    help="Print one JSON document of all that was done on stdout, and all else on stderr.",
)

heard = options(
    json_option,
    click.option(
        "--log",
        metavar="FILE",
        expose_value=False,
        help="Append what is said to FILE, with the time, and with what --verbose says.",
    ),
)

saying = options(
    click.option("--strict", is_flag=True, help="Make an error of each warning."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    click.option("-v", "--verbose", is_flag=True, help="Say what is read and how memory is used."),
    click.option("--debug", is_flag=True, help="Show where an error comes from."),
    heard,
    click.version_option(__version__, prog_name="pulsar-dask", message="%(prog)s %(version)s"),
)

dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be made, of which frames and how, and make nothing.",
)

common_options = options(
    dry_run_option,
    click.option("--overwrite", is_flag=True, help="Replace files of others, too."),
    saying,
)

no_verify = click.option(
    "--no-verify",
    "verify",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not read the outputs back from the disk before they take their names.",
)

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


own_outputs = options(
    names_option,
    click.option(
        "--output-dir",
        metavar="DIR",
        type=click.Path(file_okay=False),
        default=".",
        help="Where the outputs go. [default: the current folder]",
    ),
)

from_row = click.option(
    "--origin",
    type=click.Choice(["bottom", "top"]),
    default="bottom",
    help="The row that Y counts from in a list: the first in the FITS file (bottom, the "
    "default), or the top row as Siril reads it.",
)

how_many = click.option(
    "--hot-pixels",
    type=Number(0, 1e6, "how many pixels, such as 1000", whole=True),
    metavar="N",
    help="How many of the hottest pixels a list holds. [default: 10000]",
)

listed = options(
    how_many,
    click.option(
        "--hot",
        type=Number(0.1, 1e6, "how many deviations, such as 20"),
        metavar="SIGMA",
        help="List the pixels that lie so many deviations above the level, instead of the "
        "hottest by number; bad columns and rows, too, as C X 0 and L Y 0.",
    ),
    click.option(
        "--cold",
        type=Number(0.1, 1e6, "how many deviations, such as 20"),
        metavar="SIGMA",
        help="List those so many deviations below it, likewise.",
    ),
)

listed_of_any = options(
    listed,
    click.option(
        "--dead",
        is_flag=True,
        help="Of a flat: list the pixels that get less than half of the light of their neighbours.",
    ),
    from_row,
)
