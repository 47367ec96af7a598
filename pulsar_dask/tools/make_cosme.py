"""``make_cosme input.fit output.lst``."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from pulsar_dask import combine
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.reading import read_image
from pulsar_dask.formats.scan import refuse_planes, scan_frames
from pulsar_dask.frames.colour import colours_of
from pulsar_dask.inputs.words import FITS_NAME, is_store
from pulsar_dask.kernels.highest import HOT_PIXELS
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.stack import stacked
from pulsar_dask.output.badlist import BadList
from pulsar_dask.output.lists import ListSink
from pulsar_dask.output.mask import is_mask, sealed_mask
from pulsar_dask.output.ours import check_output
from pulsar_dask.tools.masters import listing
from pulsar_dask.tools.options import Options, make_files, telling
from pulsar_dask.tools.outputs import check_name, check_order, is_store_name
from pulsar_dask.tools.told import hint_at_number


@telling
def make_cosme(
    image: str,
    output: str,
    *,
    hot_pixels: int | None,
    origin_top: bool,
    options: Options,
    beyond: tuple[float | None, float | None, bool] = (None, None, False),
) -> None:
    """List the hottest pixels of an image; or those beyond so many deviations above and below its
    median, and, of a flat, dead ones. A list that is named as an image is a mask."""
    report = options.report()
    check_order([image], output)
    if os.path.isdir(image) and not is_store(image):
        raise PulsarError(
            f"{printable(image)}: a folder; name one image, such as dark120s.fit", "argument"
        )
    check_name(output)
    options.clear(output)
    check_output(output, [image], overwrite=options.overwrite)
    how: dict[str, Any] = {"origin_top": origin_top}
    said = ", Y from the top row" if origin_top else ""
    if FITS_NAME.search(output):
        _check_mask(output, origin_top)
        said, how = ", as a mask", {"mask": sealed_mask}
    if is_store_name(output):
        raise PulsarError(f"{printable(output)}: a list is no store; name it .lst", "argument")
    frames = scan_frames([image], options.search.hdu)
    refuse_planes(frames)
    wanted = HOT_PIXELS if hot_pixels is None else hot_pixels
    layer = stacked("image", frames, combine.method("median"))
    how |= {"verify": options.verify, "alone": True}
    what, hint = listing(*beyond, hot_pixels), None
    sink: ListSink
    if what:
        if what.dead and (known := colours_of(frames[0])) is not None:
            quality = replace(what.quality, period=known.period, cells=known.cells)
            what = replace(what, quality=quality)

        def rows(tile: Tile) -> Any:
            return read_image(frames[0], tile)

        sink = BadList(layer, frames[0].shape, output, rows, what, **how)
    else:
        hint = hint_at_number(hot_pixels, frames[0])
        sink = ListSink(layer, frames[0].shape, output, wanted, **how)
    with options.executor() as executor:
        recipe = Recipe((), (layer,))
        make_files(recipe, [sink], executor, options, report, inputs=[image], hint=hint)
    report.made(output, sink.what + said)
    report.end()


def _check_mask(output: str, origin_top: bool) -> None:
    if origin_top or output.lower().endswith((".gz", ".fz")):
        raise PulsarError(
            f"{printable(output)}: a mask lies as its image and is not compressed; name it "
            ".fit, without ⟦origin⟧",
            "argument",
        )
    if os.path.lexists(output) and not is_mask(output):
        raise PulsarError(
            f"{printable(output)} is there and is no mask; name the mask otherwise", "output"
        )
