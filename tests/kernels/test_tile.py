"""Tiles of an image."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.kernels.pixels import Grid

lengths = st.one_of(st.integers(1, 40), st.integers(1, 12_000))
shapes = st.one_of(st.tuples(lengths, lengths), st.tuples(st.integers(1, 4), lengths, lengths))


@given(st.tuples(st.integers(1, 30), st.integers(1, 30)), st.integers(1, 40), st.integers(1, 40),
       st.integers(0, 3))  # fmt: skip
def test_a_grid_covers_each_pixel_once(shape, height, width, planes):
    shape = (planes, *shape) if planes else shape
    grid = Grid(shape, height, width)
    seen = np.zeros(shape, int).reshape(-1, *shape[-2:])
    indices = []
    for index, tile in grid:
        part = seen[tile.plane, tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        assert part.shape == tile.shape
        part += 1
        indices.append(index)
    assert (seen == 1).all()
    assert len(set(indices)) == len(indices) == len(grid)


@given(st.tuples(st.integers(1, 30), st.integers(1, 30)), st.integers(1, 40), st.integers(1, 40),
       st.integers(0, 3))  # fmt: skip
def test_chunks_are_the_lengths_of_the_tiles(shape, height, width, planes):
    shape = (planes, *shape) if planes else shape
    grid = Grid(shape, height, width)
    assert tuple(sum(c) for c in grid.chunks) == shape
    for index, tile in grid:
        assert tuple(c[i] for c, i in zip(grid.chunks, index, strict=True))[-2:] == tile.shape
