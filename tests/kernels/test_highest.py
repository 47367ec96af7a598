"""The highest pixels of an image that comes in tiles."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from night import hottest

from pulsar_dask.kernels.highest import HotPixels
from pulsar_dask.kernels.pixels import Grid

shapes = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 12)),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)),
)
elements = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, np.nan, 5.0, -1e300, 1e300, np.inf, -np.inf]),
    st.integers(-3, 3).map(float),
    st.floats(-1e6, 1e6),
)


def fed(image, count, tile, order=None):
    """Positions from an image that is fed in tiles."""
    hot = HotPixels(image.shape, count)
    tiles = [t for _, t in Grid(image.shape, *tile)]
    if order is not None:
        order.shuffle(tiles)
    for t in tiles:
        plane = image[t.plane] if image.ndim == 3 else image
        hot.write(t, plane[t.y : t.y + t.height, t.x : t.x + t.width])
    x, y = hot.positions()
    return list(zip(x.tolist(), y.tolist(), strict=True))


@given(
    shapes.flatmap(lambda s: hnp.arrays("f8", s, elements=elements)),
    st.integers(0, 40),
    st.tuples(st.integers(1, 10), st.integers(1, 13)),
    st.randoms(use_true_random=False),
)
def test_the_highest_whatever_the_tiles_and_their_order(image, count, tile, order):
    assert fed(image, count, tile, order) == hottest(image, count)


@given(st.integers(1, 60), st.integers(0, 2**32), st.sampled_from([1, 2, 5, 1000]))
def test_ties_go_by_row_then_column(count, seed, values):
    image = np.random.default_rng(seed).integers(0, values, (17, 23)).astype("f8")
    assert fed(image, count, (4, 7), random.Random(seed)) == hottest(image, count)


def test_all_alike():
    image = np.full((5, 4), 7.0)
    assert fed(image, 6, (2, 3)) == [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1)]
    assert fed(image, 100, (2, 3)) == hottest(image, 20)


def test_missing_pixels_are_never_hot():
    image = np.full((4, 4), np.nan)
    assert fed(image, 5, (3, 3)) == []
    image[2, 1] = -5.0
    assert fed(image, 5, (3, 3)) == [(1, 2)]


def test_a_colour_image_counts_each_pixel_once():
    image = np.zeros((3, 3, 4))
    image[0, 1, 2] = 9
    image[2, 1, 2] = 8
    image[1, 0, 3] = 7
    assert fed(image, 3, (2, 2)) == [(2, 1), (3, 0), (0, 0)]


def test_values_that_float32_cannot_tell_apart():
    image = np.zeros((2, 3))
    image[0, 1], image[1, 2] = 2.0**30, 2.0**30 + 1
    assert fed(image, 2, (1, 2)) == [(2, 1), (1, 0)]


def test_a_large_image_is_not_held():
    """Ten thousand of 1.5 million, in tiles: what is kept is no more than a few times that."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 10, (1000, 1500)).astype("f4")
    hot = HotPixels(image.shape)
    for _, t in Grid(image.shape, 50, 1500):
        hot.write(t, image[t.y : t.y + t.height].astype("f8"))
        kept = [array for h in hot._planes.values() for array in (*h._values, *h._places)]
        assert 0 < sum(array.size for array in kept) <= 2 * 2 * 10_000
    x, y = hot.positions()
    assert list(zip(x.tolist(), y.tolist(), strict=True)) == hottest(image, 10_000)
