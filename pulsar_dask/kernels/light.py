"""Lights from pixels as stored, calibrated in one pass without copies as float64."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.kernels.native import Compiled, if_loaded
from pulsar_dask.kernels.pixels import SWAP, PixelType, bits_type

Array = np.ndarray[Any, Any]
_calibrate = Compiled("light_compiled.calibrate")
_values = Compiled("light_compiled.values")
_rounded, _unfit = Compiled("light_compiled.rounded"), Compiled("light_compiled.unfit")
#: Pixels that are calibrated together.
_LANES = 8
#: A number to add that changes no other, not even the sign of a zero.
NOTHING = -0.0
FLOAT32, FLOAT64 = PixelType(-32), PixelType(-64)
#: Of how a light is stored that is taken as it is.
_AS_STORED = (8, 16, 32, -32)


@dataclass(frozen=True)
class Formula:
    """``((R - B - k*D')*M)/F``, all but the pixels."""

    k: float = 1.0
    bias: float = 0.0
    """B where it is a number."""
    bias_times: float = 1.0
    dark_times: float = 1.0
    from_light: bool = False
    from_dark: bool = False
    """Whether B is subtracted from them."""
    levels: tuple[float, ...] = (1.0,)
    """M of each colour."""
    floors: tuple[float, ...] = (-np.inf,)
    """What the flat is above, of each colour."""
    cells: tuple[tuple[int, ...], ...] = ((0,),)
    saturation: float | None = None


def as_stored(light: PixelType, masters: list[PixelType]) -> bool:
    """Whether `calibrate` takes them as they are stored, else as float64."""
    return light.bitpix in _AS_STORED and all(master == FLOAT32 for master in masters)


def calibrate(
    raw: Array,
    pixels: PixelType,
    dark: Array | None,
    bias: Array | None,
    flat: Array | None,
    formula: Formula,
    place: tuple[int, int],
    counted: tuple[slice, slice],
    out: Array,
) -> int:
    """The formula, in float64 from left to right.

    Parameters
    ----------
    raw : ndarray, shape (rows, columns), C-contiguous
        As stored; see `as_stored`.
    pixels : PixelType
    dark, bias, flat : ndarray of the shape of `raw`, C-contiguous, optional
        As stored; or, if `pixels` are `FLOAT64`, all float64 in native order.
    formula : Formula
    place : (int, int)
        Row and column of the first pixel in the image.
    counted : (slice, slice)
        Where saturated pixels are counted.
    out : ndarray of float64, C-contiguous
        Filled; what is missing, or not above the floor in the flat, is NaN.

    Returns
    -------
    int
        How many are saturated.
    """
    if out.shape[1] < _LANES:
        return _narrow(raw, pixels, dark, bias, flat, formula, place, counted, out)
    f, period = formula, len(formula.cells)
    none = np.empty((0, 0), "f8" if pixels == FLOAT64 else "u4")
    zero = NOTHING if pixels.bzero == 0 and not pixels.scaled else pixels.bzero
    limit = np.inf if f.saturation is None else f.saturation
    blank = pixels.blank or 0
    constants = pixels.bscale, zero, blank, f.k, f.bias, f.bias_times, f.dark_times, limit
    y, x = (range(n)[part] for n, part in zip(out.shape, counted, strict=True))
    found: int = _calibrate(
        _bits(raw, pixels),
        *(none if m is None else m.view(none.dtype) for m in (dark, bias, flat)),
        SWAP and pixels != FLOAT64,
        pixels.blank is not None,
        np.array(constants, np.float64),
        np.array([f.from_light, f.from_dark], np.int64),
        _table(f.cells, f.levels),
        _table(f.cells, f.floors),
        np.array([place[0] % period, place[1] % period]),
        np.array([y.start, y.stop, x.start, x.stop]),
        out,
    )
    return found


def _narrow(
    raw: Array, pixels: PixelType, dark: Any, bias: Any, flat: Any, formula: Formula,
    place: tuple[int, int], counted: tuple[slice, slice], out: Array,
) -> int:  # fmt: skip
    """The same of fewer columns than are calibrated together."""
    width = out.shape[1]

    def wide(image: Array | None) -> Array | None:
        return image if image is None else np.pad(image, ((0, 0), (0, _LANES - width)))

    made = np.empty((len(out), _LANES))
    inside = counted[0], slice(*counted[1].indices(width))
    images = wide(dark), wide(bias), wide(flat)
    found = calibrate(np.pad(raw, ((0, 0), (0, _LANES - width))), pixels, *images, formula, place,
                      inside, made)  # fmt: skip
    out[...] = made[:, :width]
    return found


def _bits(raw: Array, pixels: PixelType) -> Array:
    if pixels == FLOAT64:
        return raw
    return raw.view("u4" if pixels.floating else bits_type(raw.dtype))


@functools.lru_cache(maxsize=64)
def _table(cells: tuple[tuple[int, ...], ...], values: tuple[float, ...]) -> Array:
    """The value of each colour, row by row of the pattern, for eight columns from any of it on."""
    columns = np.arange(len(cells) + _LANES) % len(cells)
    return np.ascontiguousarray(np.array(values, np.float64)[np.array(cells)[:, columns]])


def rounded(values: Array, more: float, out: Array) -> int:
    """Values plus a number, rounded once.

    Parameters
    ----------
    values : ndarray of float64, shape (rows, columns)
        Whose rows lie together.
    more : float
        `NOTHING` changes none.
    out : ndarray of big-endian float32
        Filled.

    Returns
    -------
    int
        How many are missing.
    """
    missing: int = _rounded(values, float(more), SWAP, out.view("u4"))
    return missing


def unfit(
    stored: Array,
    place: tuple[int, int],
    cells: tuple[tuple[int, ...], ...] = ((0,),),
    floors: tuple[float, ...] = (-np.inf,),
) -> bool:
    """Whether pixels of a master are missing, or not above the floor of their colour.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns), C-contiguous
        Big-endian float32.
    place : (int, int)
        Row and column of the first pixel in the image.
    cells : tuple of tuples of int
    floors : tuple of float
        Of each colour; one of infinity counts for nothing.
    """
    if stored.shape[1] < _LANES:
        return True  # it may be so
    period = len(cells)
    cell = np.array([place[0] % period, place[1] % period])
    return bool(_unfit(stored.view("u4"), SWAP, _table(cells, floors), cell))


def values(stored: Array, out: Array) -> bool:
    """Fill `out`, float64 and C-contiguous, with big-endian float32, the infinite ones missing; not
    where no compiled code is in use."""
    code = if_loaded(_values)
    if code is not None:
        code(stored.view("u4").ravel(), SWAP, out.reshape(-1))
    return code is not None


def warm_up(pixels: PixelType) -> None:
    """Load (or, the first time, compile) what a light takes."""
    raw, out = np.zeros((1, 1), pixels.stored.newbyteorder("=")), np.zeros((1, 1))
    everything = slice(None), slice(None)
    calibrate(raw, pixels, None, None, None, Formula(), (0, 0), everything, out)
    rounded(out, NOTHING, np.zeros((1, 1), "u4"))
