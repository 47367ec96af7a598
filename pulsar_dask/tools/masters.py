"""How the tools that name their own outputs make and tell of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pulsar_dask.cli.report import Report
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.engine.sink import Executor, Run
from pulsar_dask.errors import count, printable, warn
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.highest import HOT_PIXELS
from pulsar_dask.output.fits_sink import FitsSink
from pulsar_dask.output.lists import ListSink
from pulsar_dask.tools.options import Options, make_files, make_folder

if TYPE_CHECKING:
    from pulsar_dask.masters.levels import FrameLevels


def make_masters(
    recipe: Recipe,
    executor: Executor,
    options: Options,
    report: Report,
    *,
    inputs: Sequence[str],
    lists: Mapping[str, int] = {},
    what: str | None = None,
    hint: str | None = None,
    again: bool = False,
) -> Run:
    """Make a FITS file of each product, and lists of the hottest pixels: how many, by product."""
    make_folder(options.output_dir)
    masters = {
        product.name: FitsSink(
            product,
            options.place(f"{product.name}.fit"),
            tolerance=options.search.tolerance,
            verify=options.verify,
            beside=[_list_of(product, options)] if product.name in lists else (),
        )
        for product in recipe.products
    }
    hot = {
        product.name: ListSink(
            product.layer,
            product.frames[0].shape,
            _list_of(product, options),
            lists[product.name],
            verify=options.verify,
        )
        for product in recipe.products
        if product.name in lists
    }
    sinks = [*hot.values(), *masters.values()]  # a master says what its list holds

    def found(run: Run) -> None:
        for product in recipe.products:
            warn_of_pixels(masters[product.name])
            warn_of_stuck(masters[product.name].path, product, run)

    run = make_files(
        recipe,
        sinks,
        executor,
        options,
        report,
        inputs=inputs,
        what=what,
        hint=hint,
        found=found,
        own_names=True,
        again=again,
    )
    for product in recipe.products:
        master = masters[product.name]
        report.made(master.path, f"{product.dtype}, " + ", ".join(map(str, product.steps)))
        if planes := [name for name in product.dtypes if name != "image"]:
            report.made(master.paths[1], ", ".join(planes))
        if product.name in hot:
            report.made(hot[product.name].path, hottest(hot[product.name]))
    report.end()
    return run


def _list_of(product: Product, options: Options) -> str:
    return options.place(f"cosme{product.name[4:]}.lst")


def hottest(sink: ListSink) -> str:
    """What a list holds, in words."""
    return count(sink.lines, "hottest pixel")


def warn_of_pixels(sink: Any) -> None:
    """Tell of values that did not fit their type, and of those that are missing."""
    path, dtype, master = printable(sink.path), sink.dtype, sink.file
    if master.clipped:
        pixels, was = count(master.clipped, "pixel"), _agreeing(master.clipped, "was", "were")
        warn(f"{path}: {pixels} did not fit {dtype} and {was} clipped")
    if master.missing:
        pixels, has = count(master.missing, "pixel"), _agreeing(master.missing, "has", "have")
        stands = _agreeing(master.missing, "is", "are")
        what = "NaN" if np.dtype(dtype).kind == "f" else "0"
        warn(f"{path}: {pixels} {has} no value in any frame and {stands} {what}")


def _agreeing(n: int, one: str, many: str) -> str:
    return one if n == 1 else many


def warn_of_stuck(path: str, product: Product, run: Run) -> None:
    """Tell of listed pixels of flats that could not be corrected."""
    found: list[FrameLevels] = [run.values[layer.name] for layer in product.levels]
    stays = sum(part.uncorrected for part in found)
    if stays:
        warn(
            f"{printable(path)}: {count(stays, 'value')} of listed pixels "
            f"{_agreeing(stays, 'has', 'have')} no good neighbour in the frame and "
            f"{_agreeing(stays, 'stays as it is', 'stay as they are')}"
        )


#: Share of a sensor's pixels beyond which those listed as hot are no longer few.
HOT_SHARE = 0.01


def hint_at_number(hot_pixels: int | None, frame: Frame) -> str | None:
    """What to say where the usual number of hot pixels is too high for a sensor."""
    share = HOT_PIXELS / math.prod(frame.shape[-2:])
    if hot_pixels is not None or share <= HOT_SHARE:
        return None
    return (
        f"{HOT_PIXELS} hot pixels are {min(share, 1):.0%} of this small sensor; "
        "--hot-pixels N lists fewer"
    )
