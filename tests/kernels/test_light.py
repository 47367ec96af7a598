"""Lights calibrated as they are stored, against the formula in NumPy's float64, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from pulsar_dask.kernels.light import (
    FLOAT64,
    NOTHING,
    Formula,
    calibrate,
    rounded,
    unfit,
    values,
    warm_up,
)
from pulsar_dask.kernels.pixels import PixelType

TYPES = [
    PixelType(8),
    PixelType(16, 1.0, 32768.0),
    PixelType(16, 2.5, 7.0, blank=3),
    PixelType(32, blank=-5),
    PixelType(-32),
    PixelType(-32, -1.5, 0.25),
    FLOAT64,
]
PATTERNS = [[[0]], [[0, 1], [2, 3]], np.arange(36).reshape(6, 6) % 3]


def image(rng, shape, pixels):
    """Pixels as stored, and their values."""
    if pixels.floating:
        stored = rng.normal(20, 30, shape).astype(pixels.stored)
        stored[rng.random(shape) < 0.1] = -0.0
        stored[rng.random(shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    else:
        stored = rng.integers(0 if pixels.bitpix == 8 else -9, 60, shape).astype(pixels.stored)
    values = stored.astype("f8")
    if pixels.scaled or pixels.other_sign:
        values = values * pixels.bscale + pixels.bzero
    values[~np.isfinite(values)] = np.nan
    if pixels.blank is not None:
        values[stored == pixels.blank] = np.nan
    return stored.astype("f8") if pixels == FLOAT64 else stored, values


@pytest.mark.few(2)
@pytest.mark.parametrize("pixels", TYPES, ids=str)
@pytest.mark.parametrize("width", [1, 7, 8, 40, 131])
@pytest.mark.parametrize("pattern", PATTERNS, ids=len)
def test_the_formula(pixels, width, pattern):
    rng = np.random.default_rng(width)
    shape, cells = (9, width), np.array(pattern)
    kind = FLOAT64 if pixels == FLOAT64 else PixelType(-32)
    colours = cells.max() + 1
    for n in range(16):
        raw, r = image(rng, shape, pixels)
        dark, d = image(rng, shape, kind)
        bias, b = image(rng, shape, kind)
        flat, f = image(rng, shape, kind)
        k = rng.choice([1.0, 0.4])
        light, own = rng.random(2) < 0.5
        levels, floors = rng.uniform(1, 9, colours), rng.choice([-5.0, 12.0, np.inf], colours)
        place = int(rng.integers(0, 9)), int(rng.integers(0, 9))
        at = (np.indices(shape) + np.reshape(place, (2, 1, 1))) % len(cells)
        colour = cells[at[0], at[1]]
        formula = Formula(
            k=k, bias=3.5, bias_times=1.5, dark_times=0.5, from_light=bool(light),
            from_dark=bool(own), levels=tuple(levels), floors=tuple(floors),
            cells=tuple(map(tuple, cells.tolist())), saturation=30.0,
        )  # fmt: skip
        zero = b * 1.5 if n & 1 else 3.5
        right = r - zero if light else r
        if n & 2:
            right = right - k * (d * 0.5 - zero if own else d * 0.5)
        if n & 4:
            with np.errstate(invalid="ignore", divide="ignore"):
                right = right * levels[colour] / np.where(f > floors[colour], f, np.nan)
        inside = slice(2, 8), slice(width // 3, width - width // 4)
        out = np.empty(shape)
        masters = dark if n & 2 else None, bias if n & 1 else None, flat if n & 4 else None
        full = calibrate(raw, pixels, *masters, formula, place, inside, out)
        assert np.array_equal(out, right, equal_nan=True)
        there = ~np.isnan(right)
        assert np.array_equal(np.signbit(out[there]), np.signbit(right[there]))
        with np.errstate(invalid="ignore"):
            assert full == np.count_nonzero(r[inside] >= 30)
            whole = calibrate(raw, pixels, *masters, formula, place, (slice(None),) * 2, out)
            assert whole == np.count_nonzero(r >= 30)


def test_rounding():
    rng = np.random.default_rng(1)
    wide = np.ldexp(rng.normal(0, 1, (40, 33)), rng.integers(-160, 135, (40, 33)))
    wide[3, 6], wide[5], wide[6, 2] = np.nan, -0.0, np.inf
    for some in (wide, wide[2:30, 5:20]):
        for more in (NOTHING, 100.0):
            out = np.empty(some.shape, ">f4")
            assert rounded(some, more, out) == 1
            with np.errstate(over="ignore"):
                right = (some + more).astype("f4")
            assert out.astype("f4").tobytes() == right.tobytes()


def test_values():
    warm_up(PixelType(16))
    stored, right = image(np.random.default_rng(2), (5, 33), PixelType(-32))
    out = np.empty(stored.shape)
    assert values(stored, out)
    assert np.array_equal(out, right, equal_nan=True)
    assert np.array_equal(np.signbit(out), np.signbit(right))


def test_masters_that_fit():
    floors, cells = (2.0, np.inf), ((0, 1), (1, 0))
    for width in (8, 31):
        stored = np.full((6, width), 3, ">f4")
        at = np.indices(stored.shape).sum(axis=0) % 2
        assert not unfit(stored, (0, 0))
        assert not unfit(stored, (1, 0), cells, floors)
        for bad in (np.nan, np.inf, 1.0):
            for place in ((0, 0), (3, width - 1), (5, 5)):
                some = stored.copy()
                some[place] = bad
                assert unfit(some, (0, 0)) == (bad != 1)
                assert unfit(some, (1, 4), cells, floors) == (at[place] == 1)
