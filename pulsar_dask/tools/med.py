"""``med input_spec output``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pulsar_dask import combine
from pulsar_dask.cli.report import Report
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.errors import PulsarError, count, printable, warn
from pulsar_dask.files.leftovers import remove_stale
from pulsar_dask.formats.scan import scan_inputs
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.groups import why_passed
from pulsar_dask.frames.stack import check_alike, default_dtype
from pulsar_dask.inputs.find import Inputs
from pulsar_dask.inputs.same import Same
from pulsar_dask.inputs.words import has_mask, is_store
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.masters.search import Search
from pulsar_dask.output.fits_sink import FitsSink
from pulsar_dask.output.header import common
from pulsar_dask.output.ours import OUTPUT_LAST, check_output, is_ours
from pulsar_dask.tools.levels import surveying, without_odd
from pulsar_dask.tools.masters import warn_of_pixels
from pulsar_dask.tools.options import (
    Options,
    check_name,
    check_order,
    lists_in,
    make_files,
    telling,
)


@telling
def med(spec: Sequence[str], output: str, *, dtype: str | None, options: Options) -> None:
    """Combine images."""
    report = options.report()
    check_order(spec, output)
    inputs = options.search.find(spec)
    same = Same(output)
    paths = [p for p in inputs.paths if not (same.is_name(p) and is_ours(output))]
    if not paths:
        raise PulsarError(f"{printable(output)} is the only input, and the output")
    check_name(output)
    if not re.search(r"[^/\\]\.(fit|fits|fts|zarr)$", output, re.IGNORECASE):
        way_out = OUTPUT_LAST if os.path.lexists(output) else "Name it so"
        raise PulsarError(
            f"{printable(output)}: a master is a .fit, .fits, .fts or .zarr. {way_out}"
        )
    read = [*paths, *lists_in(spec)]
    remove_stale(os.path.dirname(os.path.abspath(output)))
    check_output(output, read, overwrite=options.overwrite)
    found = scan_inputs(replace(inputs, paths=tuple(paths)))
    frames = _without_masters(*found, inputs, spec, options.search, report)
    if len(frames) == 1:
        warn(f"one frame is its own {options.combine}: the result is no cleaner than that frame")
    check_alike(os.path.basename(output), frames, options.search.tolerance, into=options.combine)
    stack.check_shapes(frames)
    method = combine.method(options.combine)
    kind = common([f.kind for f in frames])
    sinks: list[Any] = []

    def make(leaving: frozenset[str]) -> None:
        product = stack_product(
            os.path.basename(output),
            None if kind == "other" else kind,
            [f for f in frames if f.path not in leaving],
            method,
            ("image", *options.planes),
            dtype=dtype or default_dtype(frames),
            rounds=False,
            surveyed=surveying(options),
        )
        sink: Any
        if output.lower().endswith(".zarr"):
            from pulsar_dask.output.zarrstore import ZarrSink

            sink = ZarrSink(product, output, verify=options.verify)
        else:
            tolerance = options.search.tolerance
            sink = FitsSink(product, output, tolerance=tolerance, verify=options.verify)
        sinks[:] = [sink]
        make_files(
            Recipe([product]),
            sinks,
            executor,
            options,
            report,
            inputs=read,
            found=lambda run: warn_of_pixels(sink),
            again=bool(leaving),
        )

    with options.executor() as executor:
        without_odd(make)
    (sink,) = sinks
    for path in sink.paths[1:] if options.planes else ():
        report.made(path, ", ".join(options.planes))
    report.made(
        output, f"{sink.dtype}, {method.name} of {count(len(sink.product.frames), 'frame')}"
    )
    report.end()


def _without_masters(
    frames: Sequence[Frame],
    planes: Sequence[Frame],
    inputs: Inputs,
    spec: Sequence[str],
    search: Search,
    report: Report,
) -> list[Frame]:
    """Masters that lie among raw frames were not meant, unless a list names them; nor are those
    in a folder or mask that has nothing else."""
    masters = [f for f in frames if f.is_master and f.path not in inputs.explicit]
    if len(masters) == len(frames):
        folders = [s for s in spec if os.path.isdir(s) and not is_store(s)]
        if searched := folders + [s for s in spec if has_mask(s)]:
            deeper = "--recursive looks into the folders below; "
            raise PulsarError(
                f"only masters in {', '.join(map(printable, searched))}, such as "
                f"{printable(os.path.basename(masters[0].path))}; "
                f"{deeper if folders and not search.recursive else ''}"
                "to combine masters, name each of them, or a list of them"
            )
        masters = []
    report.passed_over(why_passed([*masters, *planes]), [*masters, *planes])
    return [f for f in frames if f not in masters]
