"""Calibrated lights, whole: the formula of `lightband`, then bad pixels replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pulsar_dask.engine.layer import layer
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.formats.holding import reading_holds
from pulsar_dask.formats.reading import conversion_bytes, read_image
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.planes import IMAGE
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.correct import (
    CORRECTION_BYTES,
    DEFECT_BYTES,
    Defects,
    around,
    correct,
    far_neighbours,
    ring_counts,
)
from pulsar_dask.kernels.light import FLOAT64, NOTHING, rounded
from pulsar_dask.kernels.loaded import Kernel
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.calibration import PLANES, dtype_of, steps_of
from pulsar_dask.masters.lightband import (
    BAND,
    Light,
    Window,
    bands,
    calibrated_window,
    low_of,
)

Array = np.ndarray[Any, Any]
#: Beside the planes of a tile: how many of its pixels are saturated, and missing.
TALLY = "tally"
REPLACED, DEAD, MISSING, SATURATED = 1, 2, 4, 8


def light_recipe(light: Light, name: str, dtype: str) -> Recipe:
    """The recipe of one calibrated light.

    Parameters
    ----------
    light : Light
    name : str
        Of its file.
    dtype : str
    """
    frame, calibration = light.frame, light.calibration
    drawn = calibration.drawn is not None
    kept = dtype if dtype == "float32" and not drawn else "float64"
    planes = (replace(IMAGE, dtype=kept), *(PLANES if light.noise is not None else ()))
    made = layer(
        "light",
        mask_tile if drawn else light_tile,
        light,
        kept,
        planes=planes,
        reads=(frame,),
        also=light.reads[1:],
        holds=light_holds(light),
        kernel=Kernel.of(light.reads, frame.pixels)._replace(
            light=frame.pixels if light.as_stored else FLOAT64
        ),
    )
    dtypes = {"image": dtype}
    dtypes |= {p.name: dtype_of(p) for p in planes[1:]}
    sources = [Source.of(role, f) for role, f in calibration.images]  # type: ignore[arg-type]
    steps = (*steps_of(calibration, light.fit), *light.fit.steps)
    if (noise := light.noise) is not None:
        steps = (*steps, Step("errors", (noise.gain, noise.read_noise)))
        if light.saturation is not None:
            steps = (*steps, Step("saturated", (light.saturation,)))
    return Recipe(
        [Product(name, "light", made, (frame,), dtypes, steps, (*sources, *light.fit.sources))]
    )


def light_tile(tile: Tile, light: Light, dtype: str = "float64") -> dict[str, Any]:
    """One tile of a calibrated light, in ADU.

    Returns
    -------
    dict of ndarray, shape (tile height, tile width)
        "image", float64, or float32 in the order of a file; "uncert" and "mask" if the uncertainty
        is wanted; and "tally": how many are saturated, and, of float32, missing.
    """
    made: dict[str, Any] = {"image": np.empty(tile.shape, ">f4" if dtype == "float32" else "f8")}
    if light.noise is not None:
        made |= {"uncert": np.empty(tile.shape), "mask": np.empty(tile.shape, np.uint8)}
    saturated, missing = 0, 0
    for band in bands(tile, low_of(light)):
        at = slice(band.y - tile.y, band.y - tile.y + band.height)
        more = _band(band, light, {name: plane[at] for name, plane in made.items()})
        saturated, missing = saturated + more[0], missing + more[1]
    return made | {TALLY: (saturated, missing)}


def _band(tile: Tile, light: Light, made: dict[str, Array]) -> tuple[int, int]:
    """A band of `light_tile`, which goes into the rows of its planes; its tally."""
    c, defects = light.calibration, light.fit.defects[tile.plane]
    window = around(tile, defects.reach if defects is not None else 0, light.frame.shape)
    found = calibrated_window(window, light, tile)
    y, x = tile.y - window.y, tile.x - window.x
    inner = slice(y, y + tile.height), slice(x, x + tile.width)
    if defects is not None:
        _correct(found, window, tile, light, defects)
    values = found.values[inner]
    if found.missing is not None:
        dead, missing = np.isnan(values), found.missing[inner]
        if found.variance is not None:
            listed = np.zeros(tile.shape, bool)
            if defects is not None:
                ly, lx = defects.within(tile)
                listed[ly - tile.y, lx - tile.x] = True
            mask = np.where(listed & ~dead, REPLACED, 0).astype(np.uint8)
            mask |= np.where(dead & ~missing, DEAD, 0).astype(np.uint8)
            mask |= np.where(missing, MISSING, 0).astype(np.uint8)
            if found.full is not None:
                mask |= np.where(found.full[inner], SATURATED, 0).astype(np.uint8)
            made["mask"][...] = mask
            np.sqrt(found.variance[inner], out=made["uncert"])
        if c.bad is not None:
            values += c.pedestal or NOTHING
            values[dead & ~missing] = c.bad
    more = NOTHING if c.bad is not None or not c.pedestal else c.pedestal
    if made["image"].dtype == np.float64:
        np.add(values, more, out=made["image"])
        return found.saturated, 0
    return found.saturated, rounded(values, more, made["image"])


def mask_tile(tile: Tile, light: Light, dtype: str = "float64") -> dict[str, Any]:
    """One tile of a mask of the listed pixels: 0 elsewhere."""
    defects = light.fit.defects[tile.plane]
    image = np.zeros(tile.shape)
    read_image(light.frame, tile, counted=tile)  # for its sum, and so that what is damaged is told
    if defects is not None:
        y, x = defects.within(tile)
        image[y - tile.y, x - tile.x] = light.calibration.drawn
    return {"image": image, TALLY: (0, 0)}


def _correct(found: Window, window: Tile, tile: Tile, light: Light, defects: Defects) -> None:
    """Replace bad pixels, in place; the variance of one is that of the mean of its neighbours."""
    origin = window.y, window.x
    y, x = defects.within(tile)
    places = y * defects.shape[1] + x
    y, x = y - window.y, x - window.x
    before = found.values[y, x] if light.calibration.stays else None
    # what is bad has no value, where nothing replaces it
    found.values[y, x] = np.nan
    each = [found.values] if found.variance is None else [found.values, found.variance]
    if found.variance is not None:
        counts = ring_counts(found.values, origin, defects, places)
        found.variance[y, x] = np.nan
    for number, image in enumerate(each):
        stuck = correct(image[None], origin, defects, tile)[1]
        if not len(stuck):
            continue

        def again(part: Tile, number: int = number) -> Array:
            other = calibrated_window(part, light, None)
            values = other.values if number == 0 else other.variance
            assert values is not None
            return values

        value = far_neighbours(tile.plane, stuck, defects, light.frame.shape, again)
        sy, sx = np.divmod(stuck, defects.shape[1])
        image[sy - window.y, sx - window.x] = value
    if found.variance is not None:
        found.variance[y, x] /= counts
    if before is not None:
        new = found.values[y, x]
        found.values[y, x] = np.where(np.isnan(new), before, new)


def light_holds(light: Light) -> Holds:
    """What `light_tile` holds beside its planes."""
    rows, columns = light.frame.shape[-2:]
    reach = max((d.reach for d in light.fit.defects if d is not None), default=0) + light.rim
    blocks = [f.stored.block for f in light.reads if not f.stored.expanded]
    low = min(rows, max((b[0] for b in blocks), default=1))
    rim = min(2 * reach, rows - low) * columns
    if any(b[1] < columns for b in blocks):
        rim += 2 * reach * (low + 2 * reach)
    reading = reading_holds(light.reads)
    conversion = max(conversion_bytes(f.pixels) for f in light.reads)
    noisy = light.noise is not None
    kept = 8 + (1 if not light.as_stored else 0) + (40 if noisy else 0)
    read = (
        sum(f.pixels.stored.itemsize for f in light.reads)
        if light.as_stored
        else 8 * (len(light.reads) + (10 if noisy else 0)) + conversion
    )
    passing = max((sum(p.pixel.values()) for p in reading.phases), default=0)
    decoded = sum(reading.pixel.values()) + passing
    defects = sum(len(d.places) for d in light.fit.defects if d is not None)
    area = max(BAND, low * columns) + rim
    return (
        reading
        + Holds(
            thread={
                "band of a light": area * (kept + read + decoded),
                "correction": CORRECTION_BYTES + 24 * defects if defects else 0,
            },
            process={"bad pixels": DEFECT_BYTES * defects},
        ).passing
    )
