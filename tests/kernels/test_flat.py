"""Flats as stored, calibrated block by block, against the same in NumPy's float64."""

from __future__ import annotations

import numpy as np
import pytest

from pulsar_dask.kernels.flat import LEAST_WIDTH, Window
from pulsar_dask.kernels.pixels import PixelType

TYPES = [
    PixelType(8),
    PixelType(16, 1.0, 32768.0),
    PixelType(16, blank=5),
    PixelType(16, 2.5, 7.0, blank=3),
    PixelType(32),
]
PATTERNS = [[[0]], [[0, 1], [2, 3]], np.arange(36).reshape(6, 6) % 3]


def flats(pixels, frames, shape):
    """A window, and its calibrated values by NumPy."""
    rng = np.random.default_rng(frames + shape[1])
    stored = rng.integers(0, 60, (frames, *shape)).astype(pixels.stored)
    dark = rng.normal(3, 1, shape)
    if frames % 2:
        dark[2, 5:9] = np.nan
    values = stored.astype("f8") * pixels.bscale + pixels.bzero - dark
    values[stored == pixels.blank] = np.nan
    return Window(stored, pixels, dark), values


@pytest.mark.few(2)
@pytest.mark.parametrize("pixels", TYPES, ids=str)
@pytest.mark.parametrize("frames", [1, 2, 5, 16, 33, 70])
@pytest.mark.parametrize("width", [LEAST_WIDTH, 40, 131])
def test_medians(pixels, frames, width):
    window, values = flats(pixels, frames, (9, width + 6))
    rng = np.random.default_rng(width)
    for pattern in PATTERNS:
        cells = np.array(pattern)
        scales = rng.uniform(0.5, 2, (frames, cells.max() + 1))
        y, x = np.indices((5, width)) % len(cells)
        scaled = values[:, 2:7, 3 : 3 + width] * scales[:, cells[y, x]]
        image, count = window.median((2, 3, 5, width), scales, cells)
        assert np.array_equal(count, (scaled == scaled).sum(axis=0))
        some = count > 0
        assert np.array_equal(image[some], np.nanmedian(scaled[:, some], axis=0))
        assert np.isnan(image[~some]).all()


@pytest.mark.parametrize(
    ("pattern", "whole"), [(p, w) for p in PATTERNS for w in (True, False) if w or len(p) > 1]
)
@pytest.mark.parametrize("pixels", TYPES, ids=str)
def test_what_lies_near_a_level(pixels, pattern, whole):
    """Of all pixels and of each colour, but for one of which nothing is asked."""
    window, values = flats(pixels, 3, (9, 700))
    cells = np.array(pattern)
    brackets = ((-1.0, 30.0), (0.0, 0.0), (-np.inf, np.inf), (5.0, 9.0), (9.0, 9.0))
    cells = np.where(cells == cells.max(), -1, cells + whole)
    count = max(whole, 1 + cells.max())
    low, high = np.array([brackets[k] for k in range(count)]).reshape(-1, 2).T.copy()
    for height, width in ((7, 690), (1, 3)):
        part = values[1, 1 : 1 + height, 4 : 4 + width]
        y, x = np.indices(part.shape) % len(cells)
        found = np.empty(2 * part.size)
        near = window.near(1, (1, 4, height, width), low, high, cells, found, whole=whole)
        near = list(near)
        assert len(near) == count
        for k, (*counts, inside) in enumerate(near):
            some = part if whole and k == 0 else part[cells[y, x] == k]
            within = some[(some > low[k]) & (some < high[k])]
            assert sorted(inside) == sorted(within)
            at_high = (some == high[k]).sum() if high[k] > low[k] else 0
            expected = [(some == some).sum(), (some < low[k]).sum(), (some == low[k]).sum()]
            assert counts == [*expected, at_high]


def test_the_same_values_everywhere():
    window, values = flats(PixelType(16, 2.5, 7.0, blank=3), 5, (9, 40))
    assert np.array_equal(window.image(2), values[2], equal_nan=True)
    places = np.array([0, 45, 359])
    assert np.array_equal(window.at(places), values.reshape(5, -1)[:, places], equal_nan=True)


@pytest.mark.parametrize("pixels", [PixelType(16), PixelType(8)], ids=str)
def test_no_minus_zero_and_no_overflow(pixels):
    """The median of -0.0 is 0.0; two values whose sum is beyond float64 have a mean."""
    window = Window(np.ones((2, 1, 16), pixels.stored), pixels, np.ones((1, 16)))
    image, _ = window.median((0, 0, 1, 16), np.array([[-1.0], [-1.0]]), np.zeros((1, 1), int))
    assert not np.signbit(image).any()
    window = Window(np.full((2, 1, 16), 3, pixels.stored), pixels, np.zeros((1, 16)))
    image, _ = window.median((0, 0, 1, 16), np.full((2, 1), 5e307), np.zeros((1, 1), int))
    assert np.array_equal(image, np.full((1, 16), 1.5e308))
