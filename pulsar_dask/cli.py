"""The command lines. Nothing heavy is imported before the arguments are known to be right."""

from __future__ import annotations

import io
import itertools
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import click

from pulsar_dask._version import __version__
from pulsar_dask.errors import (
    PulsarError,
    PulsarWarning,
    exhausted,
    printable,
    reason,
    terminal_text,
)
from pulsar_dask.start import INTERRUPTED, TERMINATED, handle


class _Running:
    """Gives a click command its exit statuses and its one-line errors."""

    name: str | None

    def run(self, name: str | None = None) -> None:
        """Run as a program: parse `sys.argv`, work, exit."""
        debug = "--debug" in sys.argv
        name = name or self.name or "pulsar-dask"
        say = True
        for stream in (sys.stdout, sys.stderr):
            # a name that a Windows code page lacks is no reason to stop
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            handle(_interrupt)
            warnings.showwarning = _show_warning
            warnings.simplefilter("always" if debug else "ignore")
            warnings.simplefilter("always", PulsarWarning)
            status = self.main(prog_name=name, standalone_mode=False)  # type: ignore[attr-defined]
            status = status if isinstance(status, int) else 0
        except SystemExit as error:  # what has to be said was said
            say = False
            status = error.code if isinstance(error.code, int) else 1
        except click.ClickException as error:
            if not isinstance(error, _HELP):
                _reword(error, printable)  # it repeats arguments as they are
            shown = io.StringIO()
            error.show(file=shown)
            _say(shown.getvalue().removesuffix("\n"))
            status = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            status = INTERRUPTED
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            status = 1
        except Exception as error:
            if debug and not _came:
                raise
            status = 1
            if not _came:
                _say(f"{name}: error: {_in_words(error)}")
        handle(lambda number, frame: os._exit(_came[0] if _came else status))
        if _came:  # libraries may have made something else of it, or nothing
            status = _came[0]
            if status == INTERRUPTED and say:
                _say(f"{name}: interrupted; {_what_was_written()}")
        _exit(status)


#: An error whose text is the help; click 8.1 has none.
_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
#: Before an argument that begins as an option and is none; no argument can hold it.
_MARK = "\0"


class Command(_Running, click.Command):
    """A tool. A negative number among its arguments is a number, not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        takes_value = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        if "" in args:
            raise click.UsageError('an argument is empty (""): is a variable of the shell not set?')
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
            _reword(error, lambda text: text.replace(_MARK, ""))
            raise
        for name, value in ctx.params.items():
            if isinstance(value, tuple):
                ctx.params[name] = tuple(v.removeprefix(_MARK) for v in value)
            elif isinstance(value, str):
                ctx.params[name] = value.removeprefix(_MARK)
        return rest


def _at_home(argument: str) -> str:
    """An argument whose path, maybe that of an option, begins in the home folder as in a shell."""
    from pulsar_dask.spec import at_home

    start = argument.find("=") + 1 if argument.startswith("--") else 0
    return argument[:start] + at_home(argument[start:])


class Tools(_Running, click.Group):
    """All tools, for ``python -m pulsar_dask``."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            # click 8.1 takes a name that does not begin with a letter for an option, and shows help
            ctx.fail(f"No such command '{args[0]}'.")
        return super().resolve_command(ctx, args)


_came: list[int] = []
"""Exit status of the interrupt that came."""


def _interrupt(number: int, frame: Any) -> None:
    _came.append(INTERRUPTED if number == signal.SIGINT else TERMINATED)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(TERMINATED)


def _what_was_written() -> str:
    done = getattr(sys.modules.get("pulsar_dask.commands"), "DONE", [])
    names = ", ".join(map(printable, done))
    return f"whole and in place: {names}" if done else "nothing was written"


def _in_words(error: Exception) -> str:
    if isinstance(error, PulsarError):
        return str(error)
    if known := exhausted(error):
        return known
    if isinstance(error, OSError) and error.strerror:
        place = f"{printable(error.filename)}: " if error.filename else ""
        return f"{place}{reason(error)}"
    text = str(error).strip().split("\n")[0]
    return (
        f"{type(error).__name__}: {printable(text)}\n"
        "this should not happen; --debug shows where, for a report"
    )


def _reword(error: click.ClickException, change: Callable[[str], str]) -> None:
    if error.message:
        vars(error)["message"] = change(error.message)


def _exit(status: int) -> None:
    """End at once. All is closed by now, and to take the libraries down in order would cost a
    tenth of a second, in which Python would no longer heed our handlers of signals."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # who read it has gone, or the disk is full
            status = status or 1
    os._exit(status)


def _say(text: str) -> None:
    click.echo(terminal_text(text), err=True)


def _show_warning(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
    from pulsar_dask.report import Progress

    Progress.clear()
    _say(f"warning: {message}")


def _options(*decorators: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number from one bound to another, as it is written everywhere: with a point."""

    name = "number"

    def __init__(
        self, low: float, high: float, give: str, *, whole: bool = False, above: bool = False
    ) -> None:
        self.low, self.high, self.whole, self.above = low, high, whole, above
        self.give = give
        """What is to be given, as "gigabytes as a number, such as 2"."""

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from pulsar_dask.spec import number

        try:
            given = number(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}; give {self.give}", param, ctx)
        if not self.low <= given <= self.high or (self.above and given == self.low):
            bounds = f"{'above' if self.above else 'from'} {self.low:.12g} to {self.high:.12g}"
            self.fail(f"{value!r} is not a number {bounds}; give {self.give}", param, ctx)
        if self.whole and given != int(given):
            self.fail(f"{value!r} is not a whole number; give {self.give}", param, ctx)
        return int(given) if self.whole else given


_input_options = _options(
    click.option(
        "--no-sequence",
        "sequence",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Take one numbered file alone, not as the first of its sequence.",
    ),
    click.option("--recursive", is_flag=True, help="Enter the folders in a folder."),
)


def _scheduler_address(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    if value is None or re.fullmatch(
        r"local:[1-9]\d*|[\w+.-]+://.+|(?!local:)[^:/]+:\d+|.+\.json", value
    ):
        return value
    raise click.BadParameter(
        f"{value!r} is neither tcp://host:port, nor a scheduler file (.json), nor local:N."
    )


_execution_options = _options(
    click.option(
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
        "(.json), or local:N for N worker processes here.",
    ),
)

_common_options = _options(
    click.option("--overwrite", is_flag=True, help="Replace files of others, too."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    click.option("-v", "--verbose", is_flag=True, help="Say what is read and how memory is used."),
    click.option("--debug", is_flag=True, help="Show where an error comes from."),
    click.version_option(__version__, prog_name="pulsar-dask", message="%(prog)s %(version)s"),
)

_verify = click.option(
    "--no-verify",
    "verify",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not read the outputs back from the disk before they take their names.",
)

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group("pulsar_dask", cls=Tools, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="pulsar-dask", message="%(prog)s %(version)s")
def tools() -> None:
    """Master calibration frames from stacks that do not fit in memory."""


_own_outputs = _options(
    click.option(
        "--output-dir",
        metavar="DIR",
        type=click.Path(file_okay=False),
        default=".",
        help="Where the outputs go. [default: the current folder]",
    ),
)

_exposures = _options(
    click.option(
        "--assume-type", is_flag=True, help="Take frames without IMAGETYP for what this tool takes."
    ),
    click.option(
        "--exposure-tolerance",
        type=Number(0, 1e6, "seconds as a number, such as 0.01"),
        metavar="S",
        help="Seconds within which exposures are the same. [default: 0.001]",
    ),
)

_origin = click.option(
    "--origin",
    type=click.Choice(["bottom", "top"]),
    default="bottom",
    help="The row that Y counts from in a list: the first in the FITS file (bottom, the "
    "default), or the top row as Siril reads it.",
)

_hot_pixels = click.option(
    "--hot-pixels",
    type=Number(0, 1e6, "how many pixels, such as 1000", whole=True),
    metavar="N",
    help="How many of the hottest pixels a list holds. [default: 10000]",
)


def _prefetch(specs: Sequence[str], options: dict[str, Any]) -> None:
    from pulsar_dask.prefetch import prefetch

    if not options["scheduler"]:
        prefetch(specs, sequence=options["sequence"], recursive=options["recursive"])


def _with_output(names: tuple[str, ...], example: str) -> tuple[list[str], str]:
    """The input and the output, which comes last."""
    *input_spec, output = names
    if not input_spec:
        raise click.UsageError(
            f"the name of the output is missing; it comes last, as in: {example}"
        )
    return input_spec, output


def _settings(options: dict[str, Any]) -> Any:
    """What is left of the arguments when a tool has taken its own."""
    from pulsar_dask.commands import Options
    from pulsar_dask.gather import Search
    from pulsar_dask.groups import EXPOSURE_TOLERANCE

    tolerance = options.pop("exposure_tolerance", None)
    search = Search(
        sequence=options.pop("sequence", True),
        recursive=options.pop("recursive", False),
        assume_type=options.pop("assume_type", False),
        tolerance=EXPOSURE_TOLERANCE if tolerance is None else tolerance,
    )
    return Options(search=search, **options)


@tools.command("med", cls=Command, context_settings=_CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT")
@click.option(
    "--dtype",
    type=click.Choice(["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]),
    help="Type of the output's pixels. [default: float32; float64 for 32- and 64-bit integers "
    "and 64-bit floats]",
)
@_input_options
@_execution_options
@_verify
@_common_options
def med(names: tuple[str, ...], dtype: str | None, **options: Any) -> None:
    """Combine FITS images by their median, pixel by pixel.

    INPUT_SPEC is a folder, a mask ("bias*.fit"), files, the first file of a numbered
    sequence (bias0001.fit) or a list (@list.txt). OUTPUT ending in .zarr is a Zarr store.
    """
    input_spec, output = _with_output(names, 'med "bias*.fit" master_bias.fit')
    _prefetch(input_spec, options)
    from pulsar_dask import commands

    commands.med(input_spec, output, dtype=dtype, options=_settings(options))


@tools.command("makedark", cls=Command, context_settings=_CONTEXT)
@click.argument("input_spec", nargs=-1, required=True, metavar="INPUT_SPEC... [BIAS_SPEC]")
@click.option(
    "--bias", metavar="SPEC", help="The bias: a file, a mask, a folder, a list or a number."
)
@_hot_pixels
@_exposures
@_own_outputs
@_input_options
@_execution_options
@_verify
@_common_options
def makedark(
    input_spec: tuple[str, ...], bias: str | None, hot_pixels: int | None, **options: Any
) -> None:
    """Make master darks, one for each exposure time, and their lists of hot pixels.

    INPUT_SPEC is a folder, a mask, files, a numbered file or a list. BIAS_SPEC is what is
    subtracted: a master bias, bias frames (which make bias.fit) or a number; none by default.
    Writes dark<exp>.fit and cosme<exp>.lst.
    """
    _prefetch([*input_spec, *([bias] if bias else [])], options)
    from pulsar_dask import commands

    commands.makedark(input_spec, bias=bias, hot_pixels=hot_pixels, options=_settings(options))


@tools.command("makeflat", cls=Command, context_settings=_CONTEXT)
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
@_origin
@_exposures
@_own_outputs
@_input_options
@_execution_options
@_verify
@_common_options
def makeflat(
    input_spec: tuple[str, ...],
    dark: str | None,
    hot_pixels: str | None,
    origin: str,
    **options: Any,
) -> None:
    """Make master flats, one for each filter: dark subtracted, hot pixels corrected, each
    frame scaled to TARGET_MEDIAN (5000), then their median.

    INPUT_SPEC is a folder, a mask, files, a numbered file or a list. Writes flat_<filter>.fit.
    """
    _prefetch(input_spec, options)
    from pulsar_dask import commands

    commands.makeflat(
        input_spec,
        target=None,
        dark=dark,
        hot_pixels=hot_pixels,
        origin_top=origin == "top",
        options=_settings(options),
    )


@tools.command("make_cosme", cls=Command, context_settings=_CONTEXT)
@click.argument("image", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@_hot_pixels
@_origin
@_execution_options
@_verify
@_common_options
def make_cosme(
    image: str, output: str, hot_pixels: int | None, origin: str, **options: Any
) -> None:
    """List the hottest pixels of a FITS image, in IRIS's format (P X Y, from zero)."""
    from pulsar_dask import commands

    commands.make_cosme(
        image,
        output,
        hot_pixels=hot_pixels,
        origin_top=origin == "top",
        options=_settings(options),
    )


tools.add_command(make_cosme, "find_hot")


@tools.command("cube", cls=Command, context_settings=_CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="INPUT_SPEC... OUTPUT.zarr")
@_input_options
@_execution_options
@_common_options
def cube(names: tuple[str, ...], **options: Any) -> None:
    """Write frames as one compressed Zarr store, which xarray opens and every tool takes as
    its INPUT_SPEC.

    A chunk holds a tile of all frames. A run that was interrupted goes on where it was.
    """
    input_spec, output = _with_output(names, "python -m pulsar_dask cube darks/ darks.zarr")
    _prefetch(input_spec, options)
    from pulsar_dask import commands

    commands.cube(input_spec, output, options=_settings(options))


@tools.command("verify", cls=Command, context_settings=_CONTEXT)
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
@_execution_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what is wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
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
    from pulsar_dask.verify import verify as work

    status = work(
        masters,
        tiles=None if all_tiles else tiles,
        folders=folders,
        recursive=recursive,
        options=_settings(options),
    )
    return int(status)
