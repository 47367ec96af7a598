"""What is said of the pixels of masters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import count, printable, warn
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.highest import HOT_PIXELS

if TYPE_CHECKING:
    from pulsar_dask.cli.report import Report
    from pulsar_dask.masters.flatscales import FrameLevels


def warn_of_pixels(sink: Any) -> None:
    """Tell of values that did not fit their type, and of those that are missing."""
    path, dtype, master = printable(sink.path), sink.dtype, sink.file
    if master.clipped:
        pixels, was = count(master.clipped, "pixel"), _agreeing(master.clipped, "was", "were")
        warn(f"{path}: {pixels} did not fit {dtype} and {was} clipped", "clipped")
    if master.missing:
        pixels, has = count(master.missing, "pixel"), _agreeing(master.missing, "has", "have")
        stands = _agreeing(master.missing, "is", "are")
        what = "NaN" if np.dtype(dtype).kind == "f" else "0"
        warn(f"{path}: {pixels} {has} no value in any frame and {stands} {what}", "missing-pixels")


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
            f"{_agreeing(stays, 'stays as it is', 'stay as they are')}",
            "stuck-pixels",
        )


def warn_of_unlit(path: str, product: Product, run: Run) -> None:
    """Tell of colours of flats that have no light, as behind a narrow filter."""
    found: list[FrameLevels] = [run.values[layer.name] for layer in product.levels]
    if not found:
        return
    colours = np.concatenate([part.colours for part in found])
    dark = np.asarray((colours <= 0).any(axis=(0, 1)))
    if dark.any():
        worst = int(np.nanargmin(np.nanmin(colours[..., dark], axis=(1, 2))))
        warn(
            f"{printable(path)}: {dark.sum()} of the {len(dark)} pixels of the colour pattern have "
            f"no light (their median minus the dark is {np.nanmin(colours):.3g} ADU in "
            f"{printable(product.frames[worst].name)}); they are scaled with the others, and what "
            "the master holds there is noise. If the filter lets light through there, the dark is "
            "not that of these flats",
            "unlit",
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


def tell_made(sink: Any, text: str, report: Report) -> None:
    """Say what a product has become: the master, and a file of planes beside it."""
    for path, planes in sink.laid.items():
        others = ", ".join(name for name in planes if name != "image")
        if "image" in planes:
            report.made(path, text + (f"; with {others}" if others else ""))
        elif others:
            report.made(path, others)
