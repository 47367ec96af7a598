"""Tiles that are one task for a worker: none is lost, and what waits is bounded."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.engine.groups import MOST, Groups
from pulsar_dask.engine.layer import layer
from pulsar_dask.engine.worker import SMALL, Job
from pulsar_dask.kernels.pixels import Grid, Tile


@given(
    rows=st.integers(1, 400),
    threads=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    made=st.lists(st.integers(1, MOST), min_size=1, max_size=30),
)
def test_every_tile_comes_once(rows, threads, made):
    """Whatever the threads there are from time to time, and however few of a group are made."""
    tiles = [tile for _, tile in Grid((rows, 10), 1, 10)]
    turn = {"threads": 0, "made": 0}

    def of(name: str, values: list[int]) -> int:
        turn[name] += 1
        return values[turn[name] % len(values)]

    groups = Groups(tiles, lambda: of("threads", threads))
    found = []
    for group, call in groups:
        assert 1 <= len(group) <= MOST
        places = [(tile.plane, tile.y, tile.x, tile.height, tile.width) for tile in group]
        assert call(Asked()) == places
        done = group[: of("made", made)]
        found += done
        groups.put_back(group[len(done) :])
    assert found == tiles


class Asked:
    def tiles(self, places):
        return places


def test_groups_shrink_towards_the_end():
    tiles = [tile for _, tile in Grid((100, 10), 1, 10)]
    sizes = [len(group) for group, _ in Groups(tiles, lambda: 4)]
    assert sizes[0] == MOST
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-12:] == [1] * 12


def ramp(tile: Tile, start: float) -> dict[str, np.ndarray]:
    return {"image": np.full((tile.height, tile.width), start + tile.y)}


def whole(tile: Tile, planes: dict[str, np.ndarray]) -> np.ndarray:
    return planes["image"]


def mean(tile: Tile, planes: dict[str, np.ndarray]) -> float:
    return float(planes["image"].mean())


def test_no_more_waits_than_a_tile_may_send():
    one = layer("ramp", ramp, 5.0)
    wide = SMALL // 8
    grid = Grid((12, wide), 2, wide)  # twice what does not count
    places = [(tile.plane, tile.y, tile.x, tile.height, tile.width) for _, tile in grid]
    for taker, sends, made in ((whole, 8, 1), (whole, 17, 2), (whole, 0, 1), (mean, 0, 6)):
        found, _ = Job([one], [(one.name, taker)], {}, grid, sends=sends).tiles(places)
        assert len(found) == made
        assert [np.mean(results[0]) for results in found] == [5.0 + 2 * i for i in range(made)]
