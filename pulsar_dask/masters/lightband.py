"""Calibrated lights: ``C = ((R - B - k*D')*M)/F``.

R is the light, B the bias, D' the dark without its bias, F the flat, M the level of the flat (of
each colour its own). Where the dark holds the bias and k = 1, B falls out: ``((R - D)*M)/F``. In
float64, from left to right, so that NumPy gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.engine.layer import token
from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames.colour import patterns
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.calibration import Calibration, Fit
from pulsar_dask.masters.lightnoise import Noise, variance

Array = np.ndarray[Any, Any]
#: Pixels of a band that is calibrated at a time.
BAND = 1 << 17


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


@dataclass
class Window:
    """A tile and what lies around it, calibrated."""

    values: Array
    missing: Array
    """Where the light has no value."""
    saturated: Array | None
    variance: Array | None = None


def calibrated_window(window: Tile, light: Light, counted: Tile | None) -> Window:
    """The formula, over a window, in bands that stay in the cache."""
    shape = window.shape
    found = Window(np.empty(shape), np.zeros(shape, bool), None)
    if light.saturation is not None:
        found.saturated = np.zeros(shape, bool)
    if light.noise is not None:
        found.variance = np.empty(shape)
    low = max((f.stored.block[0] for f in light.reads if not f.stored.expanded), default=1)
    step = max(1, low, BAND // window.width // low * low)
    for y in range(0, window.height, step):
        height = min(step, window.height - y)
        band = Tile(window.plane, window.y + y, window.x, height, window.width)
        _calibrate(band, light, _common(band, counted), found, slice(y, y + height))
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
    c, fit = light.calibration, light.fit
    raw = read_light(band, light.frame, counted)
    if light.frame.pixels.native.kind == "f":
        np.isnan(raw, out=found.missing[at])
    if found.saturated is not None and light.saturation is not None:
        np.greater_equal(raw, light.saturation, out=found.saturated[at])
    bias = _bias(band, light)
    dark = read_light(band, c.dark) if c.dark is not None else None
    out = found.values[at]
    with np.errstate(over="ignore", invalid="ignore"):
        if dark is not None and c.dark_times != 1:
            dark *= c.dark_times
        net = raw - bias if bias is not None else raw
        own = None  # the dark without its bias
        if dark is None:
            out[...] = net
        else:
            own = dark - bias if c.dark_holds_bias and bias is not None else dark
            if c.scale != 1:
                np.subtract(net, c.scale * own, out=out)
            elif c.uses_bias or not c.dark_holds_bias:  # of k = 1 nothing is left to multiply
                np.subtract(net, own, out=out)
            else:
                np.subtract(raw, dark, out=out)
        flat = read_light(band, c.flat) if c.flat is not None else None
        gain = np.empty(band.shape) if flat is not None and light.noise is not None else None
        if flat is not None:
            for rows, columns, colour in patterns(band, fit.cells):
                some = flat[rows, columns]
                bad = ~(some > fit.floors[band.plane][colour])
                if bad.any():
                    some[bad] = np.nan
                out[rows, columns] *= fit.levels[band.plane][colour]
                if gain is not None:
                    gain[rows, columns] = fit.levels[band.plane][colour]
            out /= flat
        if light.noise is not None and found.variance is not None:
            found.variance[at] = variance(light.noise, net, own, c.scale, out, gain, flat)


def _bias(band: Tile, light: Light) -> Array | float | None:
    """B of a band; None where it is not needed."""
    c = light.calibration
    if c.bias is None or not (c.uses_bias or light.noise is not None):
        return None
    if not isinstance(c.bias, Frame):
        return c.bias
    values = read_light(band, c.bias)
    if c.bias_times != 1:
        values *= c.bias_times
    return values


def read_light(tile: Tile, frame: Frame, counted: Tile | None = None) -> Array:
    """Values of a tile of one frame."""
    values: Array = read_values([frame], tile, np.dtype("f8"), counted=counted)[0]
    return values
