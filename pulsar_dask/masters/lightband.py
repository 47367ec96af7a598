"""Calibrated lights: ``C = ((R - B - k*D')*M)/F``.

R is the light, B the bias, D' the dark without its bias, F the flat, M the level of the flat (of
each colour its own). Where the dark holds the bias and k = 1, B falls out: ``((R - D)*M)/F``. In
float64, from left to right, so that NumPy gives the same bits: `kernels.light` does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.engine.layer import token
from pulsar_dask.formats.buffers import thread_buffer
from pulsar_dask.formats.reading import read_image, read_tile
from pulsar_dask.frames.colour import patterns
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.correct import around
from pulsar_dask.kernels.light import FLOAT64, Formula, as_stored, calibrate
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.calibration import Calibration, Fit
from pulsar_dask.masters.expected import expected
from pulsar_dask.masters.lightnoise import Noise, variance

Array = np.ndarray[Any, Any]
#: Pixels of a band that is calibrated at a time: with its masters it stays in the cache.
BAND = 1 << 19
_ROLES = ("dark", "bias", "flat")


@dataclass(frozen=True)
class Light:
    """One light and all that is done to it; small, so that it travels."""

    frame: Frame
    calibration: Calibration
    fit: Fit
    saturation: float | None = None
    noise: Noise | None = None
    """Where the uncertainty is wanted."""

    @property
    def token(self) -> object:
        """What it is known by."""
        images = [token(f) for f in self.reads]
        c, fit = self.calibration, self.fit
        listed = [None if d is None else d.places for d in fit.defects]
        level = None if isinstance(c.bias, Frame) else c.bias
        numbers = level, c.scale, c.pedestal, c.bad, c.bias_times, c.dark_times
        noise = self.noise, self.saturation
        return images, c.formula, noise, numbers, fit.levels, listed, fit.cells

    @property
    def reads(self) -> tuple[Frame, ...]:
        return (self.frame, *(f for _, f in self.calibration.images))

    @property
    def as_stored(self) -> bool:
        """Whether pixels are calibrated as they are stored; else as float64, as where it matters
        which of them the light lacks."""
        masters = [f.pixels for _, f in self.calibration.images]
        whole = self.noise is None and self.calibration.bad is None
        return whole and as_stored(self.frame.pixels, masters)

    @property
    def rim(self) -> int:
        """Pixels around a window that are looked at besides."""
        return 0 if self.noise is None else len(self.fit.cells)

    def formula(self, plane: int) -> Formula:
        """All but the pixels."""
        c, fit = self.calibration, self.fit
        return Formula(
            k=c.scale,
            bias=c.bias if c.uses_bias and not isinstance(c.bias, Frame) and c.bias else 0.0,
            bias_times=c.bias_times,
            dark_times=c.dark_times,
            from_light=c.uses_bias,
            from_dark=c.uses_bias and c.dark_holds_bias,
            levels=fit.levels[plane] if c.flat is not None else (1.0,) * fit.kinds,
            floors=fit.floors[plane] if c.flat is not None else (-np.inf,) * fit.kinds,
            cells=fit.cells,
            saturation=self.saturation,
        )


@dataclass
class Window:
    """A tile and what lies around it, calibrated."""

    values: Array
    saturated: int = 0
    """Pixels of the tile."""
    missing: Array | None = None
    """Where the light has no value; None: that is not asked."""
    full: Array | None = None
    """Where it is saturated, likewise."""
    variance: Array | None = None

    def part(self, *inside: slice) -> Window:
        """Some rows and columns."""
        images = self.values, self.missing, self.full, self.variance
        values, missing, full, variance = (
            None if image is None else np.ascontiguousarray(image[inside]) for image in images
        )
        assert values is not None
        return Window(values, self.saturated, missing, full, variance)


def low_of(light: Light) -> int:
    """Rows that are only read together."""
    return max((f.stored.block[0] for f in light.reads if not f.stored.expanded), default=1)


def bands(tile: Tile, low: int) -> Iterator[Tile]:
    """A tile in bands that stay in the cache; none much smaller than the others."""
    most = max(1, BAND // tile.width // low) * low
    step = -(-tile.height // -(-tile.height // most) // low) * low
    for y in range(0, tile.height, step):
        yield Tile(tile.plane, tile.y + y, tile.x, min(step, tile.height - y), tile.width)


def calibrated_window(window: Tile, light: Light, counted: Tile | None) -> Window:
    """The formula, over a window; `counted` is the tile in it, whose bytes and saturated pixels are
    counted."""
    wide = around(window, light.rim, light.frame.shape)
    found = _calibrated(wide, light, counted)
    y, x = window.y - wide.y, window.x - wide.x
    return found.part(slice(y, y + window.height), slice(x, x + window.width))


def _calibrated(window: Tile, light: Light, counted: Tile | None) -> Window:
    shape = window.shape
    # what lies further out is looked at while the values of a tile are needed
    own = counted is not None
    found = Window(thread_buffer("light", shape, np.dtype("f8")) if own else np.empty(shape))
    if not light.as_stored:
        found.missing = np.zeros(shape, bool)
    if light.noise is not None:
        found.variance = np.empty(shape)
        found.full = np.zeros(shape, bool) if light.saturation is not None else None
    # a band and what lies around it is one
    whole = counted is not None and window.height < 2 * max(1, BAND // window.width)
    for band in [window] if whole or light.noise is not None else bands(window, low_of(light)):
        at = slice(band.y - window.y, band.y - window.y + band.height)
        _calibrate(band, light, _common(band, counted), found, at)
    return found


def _common(band: Tile, counted: Tile | None) -> Tile | None:
    """What a band and a tile have in common."""
    if counted is None:
        return None
    first, end = max(band.y, counted.y), min(band.y + band.height, counted.y + counted.height)
    if first >= end:
        return None
    return Tile(band.plane, first, counted.x, end - first, counted.width)


def _calibrate(band: Tile, light: Light, counted: Tile | None, found: Window, at: slice) -> None:
    """The formula, over a band, which goes to some rows of a window."""
    c, formula = light.calibration, light.formula(band.plane)
    images = dict(c.images)
    if light.as_stored:
        pixels, raw = light.frame.pixels, _stored("raw", band, light.frame, counted)
        masters = [_stored(role, band, images[role]) if role in images else None for role in _ROLES]
    else:
        pixels, raw = FLOAT64, read_image(light.frame, band, counted=counted)
        masters = [read_image(images[role], band) if role in images else None for role in _ROLES]
    dark, bias, flat = masters
    inside = slice(0, 0), slice(0, 0)
    if counted is not None:
        y, x = counted.y - band.y, counted.x - band.x
        inside = slice(y, y + counted.height), slice(x, x + counted.width)
    out = found.values[at]
    found.saturated += calibrate(
        raw, pixels, dark, bias, flat, formula, (band.y, band.x), inside, out
    )
    if found.missing is not None:
        np.isnan(raw, out=found.missing[at])
    if found.full is not None and light.saturation is not None:
        np.greater_equal(raw, light.saturation, out=found.full[at])
    if light.noise is not None and found.variance is not None:
        found.variance[at] = _variance(band, light, raw, masters, out)


def _variance(
    band: Tile, light: Light, raw: Array, masters: list[Array | None], out: Array
) -> Array:
    """That of a band; see `lightnoise.variance`."""
    c, fit = light.calibration, light.fit
    dark, bias, flat = masters
    with np.errstate(over="ignore", invalid="ignore"):
        assert light.noise is not None
        zero: Any = c.bias if bias is None else bias * c.bias_times
        net = raw - zero
        own = None if dark is None else dark * c.dark_times
        if own is not None and c.dark_holds_bias:
            own -= zero
        level = None
        if flat is not None:
            level = np.empty(band.shape)
            for rows, columns, colour in patterns(band, fit.cells):
                some = flat[rows, columns]
                some[~(some > fit.floors[band.plane][colour])] = np.nan
                level[rows, columns] = fit.levels[band.plane][colour]
        noise, step = light.noise, light.rim
        of_dark: Any = 0.0 if own is None else c.scale * own
        counts = expected(net, of_dark, step, noise.gain, noise.read_variance)
        return variance(noise, counts, own, c.scale, out, level, flat)


def _stored(role: str, tile: Tile, frame: Frame, counted: Tile | None = None) -> Array:
    """A tile of one frame as it is stored, in this thread's buffer for it."""
    out = thread_buffer(role, (1, *tile.shape), frame.pixels.stored)
    read_tile([frame], tile, out, counted=counted)
    image: Array = out[0]
    return image
