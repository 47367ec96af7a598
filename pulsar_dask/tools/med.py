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
from pulsar_dask.errors import PulsarError, code_of, count, printable, warn
from pulsar_dask.frames import stack
from pulsar_dask.frames.alike import differences
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.layouts import BESIDE
from pulsar_dask.frames.passed import why_passed, without_masters
from pulsar_dask.frames.stack import default_dtype
from pulsar_dask.inputs.find import Inputs
from pulsar_dask.inputs.same import Same
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.output.fits_sink import FitsSink
from pulsar_dask.output.header import common
from pulsar_dask.output.ours import OUTPUT_LAST, check_output, is_ours
from pulsar_dask.tools.levels import surveying, without_odd
from pulsar_dask.tools.options import Options, lists_in, make_files, telling
from pulsar_dask.tools.outputs import check_name, check_order, is_store_name
from pulsar_dask.tools.told import tell_made, warn_of_pixels


@telling
def med(spec: Sequence[str], output: str, *, dtype: str | None, options: Options) -> None:
    """Combine images."""
    report = options.report()
    check_order(spec, output)
    inputs = options.search.find(spec)
    same = Same(output)
    paths = [p for p in inputs.paths if not (same.is_name(p) and is_ours(output))]
    if not paths:
        raise PulsarError(f"{printable(output)} is the only input, and the output", "input")
    check_name(output)
    if not re.search(r"[^/\\]\.(fit|fits|fts|zarr)$", output, re.IGNORECASE):
        way_out = OUTPUT_LAST if os.path.lexists(output) else "Name it so"
        raise PulsarError(
            f"{printable(output)}: a master is a .fit, .fits, .fts or .zarr. {way_out}", "output"
        )
    read = [*paths, *lists_in(spec)]
    options.clear(output)
    if is_store_name(output) and options.layout != BESIDE:
        raise PulsarError(
            f"{printable(output)}: a Zarr store has its planes as variables, whatever ⟦layout⟧ is; "
            "leave that out, or name a .fit",
            "argument",
        )
    check_output(output, read, overwrite=options.overwrite)
    found = options.search.scan(replace(inputs, paths=tuple(paths)))
    frames = _without_masters(found.frames, found.planes, inputs, report)
    if len(frames) == 1:
        warn(
            f"one frame is its own {options.combine}: the result is no cleaner than that frame",
            "one-frame",
        )
    for text in differences(frames, options.search.ways, into=options.combine):
        warn(f"{printable(os.path.basename(output))}: {text}", code_of(text))
    stack.check_shapes(frames)
    method = combine.method(options.combine, options.numbers)
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
        tolerance = options.search.ways.tolerance
        if output.lower().endswith(".zarr"):
            from pulsar_dask.output.zarrstore import ZarrSink

            sink = ZarrSink(product, output, tolerance=tolerance, verify=options.verify)
        else:
            how: dict[str, Any] = {"verify": options.verify, "layout": options.layout}
            sink = FitsSink(product, output, tolerance=tolerance, **how)
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
    frames_of = count(len(sink.product.frames), "frame")
    tell_made(sink, f"{sink.dtype}, {method.name} of {frames_of}", report)
    report.end()


def _without_masters(
    frames: Sequence[Frame], planes: Sequence[Frame], inputs: Inputs, report: Report
) -> list[Frame]:
    """Masters that lie among raw frames were not meant, unless a list names them; masters alone
    are."""
    kept, masters = without_masters(frames, inputs.explicit)
    report.passed_over(why_passed([*masters, *planes]), [*masters, *planes])
    return kept
