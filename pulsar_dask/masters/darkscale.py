"""How much of a dark is in a light, by its hot pixels: k of ``calibrate -o``.

Model: r = s + k*d + noise, r = R - B, s smooth. With h(a) = a minus the median of its 8 neighbours
of one colour, the sky drops out of h(r) = k*h(d) + noise; stars are outliers, which Tukey's
biweight leaves out. Variances come from the model, as those of what is observed would pull k low.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, warn
from pulsar_dask.formats.reading import read_header, read_image
from pulsar_dask.frames.colour import Colours, colours_of
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.biweight import Scale, biweight, least_squares
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.calibration import Calibration, with_scale
from pulsar_dask.masters.lightnoise import GAIN, READ, number_in, share_of

Array = np.ndarray[Any, Any]
#: Hot pixels at most; below the first number a warning, below the second none.
_MOST, _FEW, _NONE = 10_000, 50, 10
#: Times the scatter of h(d) that a hot pixel has; share of full scale that none exceeds.
_HOT, _FULL = 10.0, 0.9
#: Of the median of 8 neighbours beside that of a pixel, in its variance.
_NEIGHBOURS = 1.17
#: Pixels of a band, and how many of those are looked at for the scatter.
_BAND, _SAMPLE = 400_000, 24
#: Degrees in which a dark current doubles; from where to where k is believed.
_DOUBLES, _LEAST, _HIGHEST = 6.0, 0.2, 5.0
#: Share of k above which its error is too large.
_ERROR = 0.1


@dataclass(frozen=True)
class Hot:
    """Hot pixels of a dark: their places, and what is known of them in it."""

    places: Array
    contrast: Array
    """h(d), ADU."""


def _steps(colours: Colours | None) -> int:
    """Pixels to the next of one colour: that of a pattern whose colours stand alone in it."""
    return 1 if colours is None else colours.period


def _around(image: Array, y: Array, x: Array, step: int) -> Array:
    """The values of the 8 neighbours of some pixels, NaN outside the image."""
    rows, columns = image.shape
    found = np.full((8, len(y)), np.nan)
    offsets = [(a, b) for a in (-step, 0, step) for b in (-step, 0, step) if a or b]
    for i, (dy, dx) in enumerate(offsets):
        ny, nx = y + dy, x + dx
        inside = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
        found[i, inside] = image[ny[inside], nx[inside]]
    return found


def _windows(shape: tuple[int, ...], step: int) -> list[tuple[Tile, int, int]]:
    """Bands with as many rows around as neighbours need: where the band begins in its window, and
    how many rows it has."""
    rows, columns = shape[-2:]
    found = []
    for _, tile in Grid((rows, columns), max(1, min(rows, _BAND // columns)), columns):
        top, end = max(0, tile.y - step), min(rows, tile.y + tile.height + step)
        found.append((Tile(0, top, 0, end - top, columns), tile.y - top, tile.height))
    return found


def _contrasts(window: Array, first: int, height: int, step: int) -> Array:
    """h of all pixels of a band."""
    columns = window.shape[1]
    y, x = np.divmod(np.arange(height * columns), columns)
    y = y + first
    contrast: Array = (window[y, x] - _sky(window, y, x, step)).reshape(height, columns)
    return contrast


def _sky(image: Array, y: Array, x: Array, step: int) -> Array:
    """Medians of the neighbours of some pixels."""
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a pixel all whose neighbours miss
        found: Array = np.nanmedian(_around(image, y, x, step), axis=0)
    return found


def _candidates(image: Array, limit: float, step: int) -> tuple[Array, Array]:
    """Rows and columns of the pixels that lie so far above the lowest of their neighbours, as all
    do that lie so far above the median of them."""
    rows, columns = image.shape
    wide = np.full((rows + 2 * step, columns + 2 * step), np.nan)
    wide[step : step + rows, step : step + columns] = image
    lowest = np.full(image.shape, np.nan)
    for y in (0, step, 2 * step):
        for x in (0, step, 2 * step):
            if (y, x) != (step, step):
                np.fmin(lowest, wide[y : y + rows, x : x + columns], out=lowest)
    rows_of, columns_of = np.nonzero(image - lowest > limit)
    return rows_of, columns_of


def hot_pixels(c: Calibration, colours: Colours | None) -> Hot:
    """The hot pixels of a dark.

    Raises
    ------
    PulsarError
        There are too few.
    """
    assert c.dark is not None
    step, shape = _steps(colours), c.dark.shape
    windows = _windows(shape, step)
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _SAMPLE)).astype(int))
    sample = np.concatenate([_contrast_of(c, windows[i], step).ravel() for i in chosen])
    sample = sample[~np.isnan(sample)]
    spread = 1.4826 * float(np.median(np.abs(sample - np.median(sample)))) if len(sample) else 0.0
    limit = _HOT * spread
    top = _full_scale(c.dark)
    places: Array = np.empty(0, np.int64)
    contrast: Array = np.empty(0)
    for window, first, height in windows:
        values = _dark(c, window)
        y, x = _candidates(values, limit, step)
        inside = (y >= first) & (y < first + height) & (values[y, x] < _FULL * top)
        y, x = y[inside], x[inside]
        h = values[y, x] - _sky(values, y, x, step)
        hot = (h > limit) & (h > 0)
        places = np.concatenate([places, ((y + window.y) * shape[-1] + x)[hot]])
        contrast = np.concatenate([contrast, h[hot]])
        if len(places) > 4 * _MOST:
            places, contrast = _hottest(places, contrast)
    places, contrast = _hottest(places, contrast)
    if len(places) < _NONE:
        raise PulsarError(
            f"{c.dark.name} has {len(places)} hot pixels, too few to find k by; scale it by "
            "⟦scale_dark⟧ exposure"
        )
    if len(places) < _FEW:
        warn(f"{c.dark.name} has only {len(places)} hot pixels to find k by", "dark-scale")
    return Hot(places, contrast)


def _hottest(places: Array, contrast: Array) -> tuple[Array, Array]:
    order = np.lexsort((places, -contrast))[:_MOST]
    order = order[np.argsort(places[order])]
    return places[order], contrast[order]


def _full_scale(frame: Frame) -> float:
    native = frame.pixels.native
    if native.kind in "iu":
        return float(np.iinfo(native).max)
    return 65535.0 if frame.about.saturation is None else frame.about.saturation


def _dark(c: Calibration, window: Tile) -> Array:
    """D' of a window."""
    assert c.dark is not None
    values: Array = read_image(c.dark, window) * c.dark_times
    if c.dark_holds_bias and c.bias is not None:
        values = values - _bias(c, window)
    return values


def _bias(c: Calibration, window: Tile) -> Array | float:
    if isinstance(c.bias, Frame):
        return read_image(c.bias, window) * c.bias_times
    return c.bias or 0.0


def _contrast_of(c: Calibration, window: tuple[Tile, int, int], step: int) -> Array:
    """h of all pixels of a band of the dark."""
    tile, first, height = window
    return _contrasts(_dark(c, tile), first, height, step)


def fitted(light: Frame, c: Calibration, hot: Hot, *, robust: bool = True) -> Scale:
    """k of a light.

    Raises
    ------
    PulsarError
        It is not above 0, beyond 0.2 to 5, or its error is too large.
    """
    step = _steps(colours_of(light))
    contrast, level = _in_light(light, c, hot, step)
    assert c.dark is not None
    noise = _Noise.of(light, c.dark)
    top = _FULL * _full_scale(light)
    good = ~np.isnan(contrast) & ~np.isnan(level[0]) & (level[1] < top)
    y, x, sky = contrast[good], hot.contrast[good], level[0][good]
    if len(y) < _NONE:
        raise PulsarError(f"{light.name}: only {len(y)} hot pixels of {c.dark.name} can be seen")
    scale = biweight(y, x, noise.of_contrasts(x, sky)) if robust else least_squares(y, x)
    k, error = scale.k, scale.error
    if not (k > 0 and error <= _ERROR * k and _LEAST <= k <= _HIGHEST):
        raise PulsarError(
            f"{light.name}: the hot pixels of the dark give k = {k:.4g} +- {error:.2g}, which is "
            "not to be believed; ⟦fallback⟧ exposure takes the exposures instead"
        )
    return scale


def _in_light(
    light: Frame, c: Calibration, hot: Hot, step: int
) -> tuple[Array, tuple[Array, Array]]:
    """h(r) of the hot pixels, and what is around them, and what they have before anything is
    subtracted."""
    columns = light.shape[-1]
    h, sky, raw_level = (np.full(len(hot.places), np.nan) for _ in range(3))
    for window, first, height in _windows(light.shape, step):
        begin, end = np.searchsorted(
            hot.places, [(window.y + first) * columns, (window.y + first + height) * columns]
        )
        if begin == end:
            continue
        raw = read_image(light, window)
        net = raw - _bias(c, window)
        y, x = np.divmod(hot.places[begin:end], columns)
        y = y - window.y
        sky[begin:end] = _sky(net, y, x, step)
        h[begin:end] = net[y, x] - sky[begin:end]
        raw_level[begin:end] = raw[y, x]
    return h, (sky, raw_level)


@dataclass(frozen=True)
class _Noise:
    """What noise a pixel has."""

    gain: float | None
    """Electrons per ADU; None: not known."""
    read: float
    """Variance of reading one, ADU²."""
    dark: float
    """Variance of the dark in that of its frames."""

    @staticmethod
    def of(light: Frame, dark: Frame) -> _Noise:
        gain = number_in(read_header(light), GAIN)
        read = number_in(read_header(light), READ) or 0.0
        gain = gain if gain and gain > 0 else None
        return _Noise(gain, (read / gain) ** 2 if gain else 0.0, share_of(dark).factor)

    def of_contrasts(self, dark: Array, sky: Array) -> Callable[[float], Array] | None:
        """From k the variance of each h(r) by the model, ADU²; None: the gain is not known."""
        gain = self.gain
        if gain is None:
            return None

        def variance(k: float) -> Array:
            own: Array = np.maximum(sky + k * dark, 1.0) / gain + self.read
            return _NEIGHBOURS * own + k**2 * self.dark * (dark / gain + self.read)

        return variance


def expected(light: Frame, dark: Frame) -> float | None:
    """k by exposures and temperatures: t/t_d, twice as much for 6 degrees."""
    if not light.exposure or not dark.exposure:
        return None
    warmer = 0.0
    if light.temperature is not None and dark.temperature is not None:
        warmer = light.temperature - dark.temperature
    return float(light.exposure / dark.exposure * 2 ** (warmer / _DOUBLES))


def scaled_by(light: Frame, c: Calibration, hot: Hot, *, robust: bool = True) -> Calibration:
    """The calibration with the k of a light; a word where exposures tell another."""
    assert c.dark is not None
    found = fitted(light, c, hot, robust=robust)
    k = found.k
    wanted = expected(light, c.dark)
    if wanted is not None and abs(k - wanted) > max(5 * found.error, 0.2 * wanted):
        warn(
            f"{light.name}: the hot pixels of {c.dark.name} give k = {k:.4g}, its exposure and "
            f"temperature {wanted:.4g}; is it the right dark?",
            "dark-scale",
            frames=(light.path,),
        )
    words = f"fitted to {found.pixels} hot pixels, error {found.error:.2g}"
    return with_scale(c, k, words)
