"""From a command line to the tool that does the work, which is loaded only then."""

from __future__ import annotations

import dataclasses
import gc
import importlib
from collections.abc import Sequence
from typing import Any

import click

from pulsar_dask import combine
from pulsar_dask.cli.voices import for_programs


def prefetch(specs: Sequence[str], options: dict[str, Any]) -> None:
    from pulsar_dask.inputs.prefetch import prefetch as begin

    if not options["scheduler"]:
        begin(specs, sequence=options["sequence"], recursive=options["recursive"])


def with_output(names: tuple[str, ...], example: str) -> tuple[list[str], str]:
    """The input and the output, which comes last."""
    *input_spec, output = names
    if not input_spec:
        raise click.UsageError(
            f"the name of the output is missing; it comes last, as in: {example}"
        )
    return input_spec, output


def tool(name: str) -> Any:
    """What does a command's work. By its name, and only now: with it come the libraries."""
    found = getattr(_module(name), name)
    gc.freeze()  # what stays to the end is not looked through again and again
    gc.enable()
    return found


def commands_of(name: str) -> list[click.Command]:
    """The command lines that a file of this room has beside those of `commands`."""
    return [c for c in vars(_module(name)).values() if isinstance(c, click.Command)]


def _module(name: str) -> Any:
    return importlib.import_module(f"pulsar_dask.tools.{name}")


def _numbers(options: dict[str, Any]) -> dict[str, float]:
    """What the method that combines is given."""
    names = ["low", "high", "maxiters", "nkeep", "nlow", "nhigh", "center"]
    names += ["rdnoise", "gain", "offset"]
    given = {name: value for name in names if (value := options.pop(name)) is not None}
    if "center" in given:
        given["center"] = float(given["center"] == "mean")
    if given:
        try:
            combine.method(options["combine"], given)
        except ValueError as error:
            raise click.UsageError(f"--combine {error}") from None
    return given


def settings(options: dict[str, Any]) -> Any:
    """What is left of the arguments when a tool has taken its own."""
    from pulsar_dask.frames.layouts import planes_for
    from pulsar_dask.masters.search import Search

    options["tolerance"] = options.pop("exposure_tolerance", None)
    taken = [field.name for field in dataclasses.fields(Search) if field.name in options]
    search = Search(**{name: options.pop(name) for name in taken})
    options.pop("tolerance", None)
    path, against = options.pop("report_file", None), options.pop("against", None)
    if path is not None or for_programs():
        replaces = options.get("overwrite", False)
        options["page"] = _module("pages").Page(path, overwrite=replaces, against=against)
    if "layout" in options:
        options["planes"] = planes_for(options["layout"], options["planes"])
    if "center" in options:
        options["numbers"] = _numbers(options)
    return _module("options").Options(search=search, **options)
