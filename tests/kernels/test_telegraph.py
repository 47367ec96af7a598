"""Pixels of two levels, and how much values scatter: against NumPy, value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pulsar_dask.kernels import telegraph
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.values import to_values

TYPES = [
    PixelType(8),
    PixelType(16),
    PixelType(16, 1.0, 32768.0),
    PixelType(16, blank=3),
    PixelType(16, 0.5, 10.0),
    PixelType(32),
    PixelType(64),
    PixelType(-32),
    PixelType(-64),
]


def stored(rng, pixels, frames, n):
    values = rng.integers(0, 90, (frames, n))
    if pixels.floating:
        values = values + rng.random((frames, n))
        values[rng.random((frames, n)) < 0.2] = np.nan
        values[0, 0] = np.inf
    return np.ascontiguousarray(values.astype(pixels.stored))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("pixels", TYPES, ids=str)
def test_half_of_the_values_reach_a_limit(pixels, compiled):
    rng = np.random.default_rng(3)
    for frames in (1, 2, 7, 12):
        stack = stored(rng, pixels, frames, 501)
        values = to_values(stack, pixels).astype("f8")
        limit = float(np.nanquantile(values, 0.6))
        over, there = (values >= limit).sum(axis=0), np.isfinite(values).sum(axis=0)
        before = stack.copy()
        full, two = telegraph.seen_of(stack, pixels, None, limit, compiled=compiled)
        assert stack.tobytes() == before.tobytes()
        np.testing.assert_array_equal(full, (over > 0) & (2 * over >= there))
        assert not two.any()


@pytest.mark.parametrize("pixels", TYPES, ids=str)
def test_moments(pixels):
    stack = stored(np.random.default_rng(4), pixels, 9, 100)
    values = to_values(stack[:, 20:80], pixels).astype("f8")
    found = telegraph.moments(values)
    n = np.isfinite(values).sum(axis=0)
    np.testing.assert_array_equal(found.number, n)
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=0), rtol=1e-12)
    squares = (values - np.nanmean(values, axis=0)) ** 2
    np.testing.assert_allclose(found.squares, np.nansum(squares, axis=0), rtol=1e-9)
    for column, inner in zip(values.T, found.inner, strict=True):
        left = np.sort(column[np.isfinite(column)])[1:-1]
        first = column[np.isfinite(column)][0]
        # the first is among the ends of a range that begins with nothing
        if left.size and first not in (column.min(), column.max()):
            np.testing.assert_allclose(inner, ((left - left.mean()) ** 2).sum(), rtol=1e-9)


def split(values):
    """The best split of values: squares left, distance of the means, values on each side."""
    x = np.sort(values[np.isfinite(values)])
    return min(
        (
            ((x[:k] - x[:k].mean()) ** 2).sum() + ((x[k:] - x[k:].mean()) ** 2).sum(),
            x[k:].mean() - x[:k].mean(),
            k,
            len(x) - k,
        )
        for k in range(1, len(x))
    )


def test_the_best_split():
    rng = np.random.default_rng(5)
    values = rng.normal(0, 1, (30, 400))
    values[:, :200] += 5 * (rng.random((30, 200)) < rng.uniform(0.05, 0.6, 200))
    values[rng.random(values.shape) < 0.05] = np.nan
    found = telegraph.two_levels(values.copy(), Noise(1.0, 0.0, 0.0, 0.0, 1.0))[0]
    for column, two in zip(values.T, found, strict=True):
        left, apart, low, high = split(column)
        n = low + high
        right = min(low, high) >= max(3, math.ceil(0.15 * n)) and apart > 3.5 * math.sqrt(
            max(1, left / (n - 2))
        )
        bound = (n - 2) * (1 - 2 / (9 * (n - 2)) + 2.3263 * math.sqrt(2 / (9 * (n - 2)))) ** 3
        assert two == (right and left < bound)


@pytest.mark.parametrize(("n", "low", "share"), [(50, 0.3, 0.98), (20, 0.3, 0.9)])
def test_planted_telegraph_pixels(n, low, share):
    rng = np.random.default_rng(6)
    values = np.rint(rng.normal(500, 5, (n, 4000)))
    values[:, :2000] += 25 * (rng.random((n, 2000)) < rng.uniform(low, 0.7, 2000))
    hit = rng.random(values.shape) < 0.01  # cosmic rays
    values[hit] += np.rint(5 * 10 ** rng.uniform(1, 3, hit.sum()))
    noise = Noise(25.0, 0.0, 0.0, 500.0, 25.0)
    clean = ~hit[:, :2000].any(axis=0)
    stack = values.astype(">i2")
    full, two = telegraph.seen_of(stack, PixelType(16), noise, math.inf, compiled=True)
    assert not full.any()
    assert two[:2000][clean].mean() >= share
    assert two[2000:].sum() == 0
