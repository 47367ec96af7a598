"""The command lines. Nothing heavy is imported before the arguments are known to be right."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import click

from pulsar_dask._version import __version__
from pulsar_dask.errors import PulsarError, PulsarWarning

SIGTERM_STATUS = 143


class _Running:
    """Gives a click command its exit statuses and its one-line errors."""

    name: str | None

    def run(self, name: str | None = None) -> None:
        """Run as a program: parse `sys.argv`, work, exit."""
        signal.signal(signal.SIGTERM, _terminate)
        debug = "--debug" in sys.argv
        name = name or self.name or "pulsar-dask"
        warnings.showwarning = _show_warning
        warnings.simplefilter("always" if debug else "ignore")
        warnings.simplefilter("always", PulsarWarning)
        try:
            status = self.main(prog_name=name, standalone_mode=False)  # type: ignore[attr-defined]
            _exit(status if isinstance(status, int) else 0)
        except click.ClickException as error:
            error.show()
            _exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            _say(f"{name}: interrupted; nothing was written")
            _exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            _exit(1)
        except PulsarError as error:
            if debug:
                raise
            _say(f"{name}: error: {error}")
            _exit(1)
        except Exception as error:
            if debug:
                raise
            text = str(error).strip().split("\n")[0]
            _say(
                f"{name}: error: {type(error).__name__}: {text}\n"
                "this should not happen; --debug shows where, for a report"
            )
            _exit(1)


class Command(_Running, click.Command):
    """A tool."""


class Tools(_Running, click.Group):
    """All tools, for ``python -m pulsar_dask``."""


def _terminate(number: int, frame: Any) -> None:
    raise SystemExit(SIGTERM_STATUS)


def _exit(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(status)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show_warning(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
    from pulsar_dask.commands import clear_progress

    clear_progress()
    _say(f"warning: {message}")


def _options(*decorators: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


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

_execution_options = _options(
    click.option(
        "--memory",
        type=float,
        metavar="GB",
        help="Most memory the whole process may take. [default: 16, or what there is]",
    ),
    click.option("--threads", type=click.IntRange(1), metavar="N", help="[default: all cores]"),
    click.option(
        "--scheduler", metavar="ADDRESS", help="Compute on a dask cluster (tcp://host:port)."
    ),
)

_common_options = _options(
    click.option("--overwrite", is_flag=True, help="Replace files of others, too."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    click.option("-v", "--verbose", is_flag=True, help="Say what is read and how memory is used."),
    click.option("--debug", is_flag=True, help="Show where an error comes from."),
    click.version_option(__version__, prog_name="pulsar-dask", message="%(prog)s %(version)s"),
)

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group("pulsar_dask", cls=Tools, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="pulsar-dask", message="%(prog)s %(version)s")
def tools() -> None:
    """Master calibration frames from stacks that do not fit in memory."""


@tools.command("med", cls=Command, context_settings=_CONTEXT)
@click.argument("input_spec", nargs=-1, required=True, metavar="INPUT_SPEC...")
@click.argument("output", metavar="OUTPUT")
@click.option(
    "--dtype",
    type=click.Choice(["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]),
    help="Type of the output's pixels. [default: float32; float64 for 32- and 64-bit integers "
    "and 64-bit floats]",
)
@_input_options
@_execution_options
@_common_options
def med(**options: Any) -> None:
    """Combine FITS images by their median, pixel by pixel.

    INPUT_SPEC is a folder, a mask ("bias*.fit"), files, the first file of a numbered
    sequence (bias0001.fit) or a list (@list.txt). OUTPUT ending in .zarr is a Zarr store.
    """
    from pulsar_dask.commands import Options, med

    input_spec, output, dtype = (options.pop(k) for k in ("input_spec", "output", "dtype"))
    med(input_spec, output, dtype=dtype, options=Options(**options))


def med_main() -> None:
    med.run("med")  # type: ignore[attr-defined]
