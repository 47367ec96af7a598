"""Squares of an image, put together of tiles, against NumPy on the whole of it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.kernels.squares import Squares, binned, extremes

SIDES = st.integers(1, 40)


@given(
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    st.integers(1, 17),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.6),
)
def test_of_any_tiles_they_are_those_of_the_image(shape, tile, side, seed, gone):
    rng = np.random.default_rng(seed)
    image = rng.integers(-1000, 1000, shape).astype("f8")  # sums are exact
    image[rng.random(shape) < gone] = np.nan
    image[rng.random(shape) < gone / 3] = np.inf
    squares = Squares(shape, side)
    total, missing = np.zeros(squares.counts), np.zeros(squares.counts, int)
    low, high = np.full(squares.counts, np.inf), np.full(squares.counts, -np.inf)
    for _, one in Grid(shape, *tile):
        values = image[one.y : one.y + one.height, one.x : one.x + one.width]
        part, at = binned(values, one, squares), squares.places(one)
        total[at] += part.total
        if part.missing is not None:
            missing[at] += part.missing
        lowest, highest = extremes(values, one, squares)
        low[at], high[at] = np.minimum(low[at], lowest), np.maximum(high[at], highest)
    for i in range(squares.counts[0]):
        for j in range(squares.counts[1]):
            cell = image[i * side : (i + 1) * side, j * side : (j + 1) * side]
            there = cell[np.isfinite(cell)]
            assert squares.pixels()[i, j] == cell.size
            assert missing[i, j] == cell.size - len(there)
            assert total[i, j] == there.sum()
            assert low[i, j] == min(there, default=np.inf)
            assert high[i, j] == max(there, default=-np.inf)


@given(st.tuples(SIDES, SIDES), st.integers(1, 500))
def test_they_are_as_small_as_they_may_be(shape, most):
    squares = Squares.of(shape, most)
    assert np.prod(squares.counts) <= most
    if squares.side > 1:
        assert np.prod(Squares(shape, squares.side - 1).counts) > most
