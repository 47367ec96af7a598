"""Tiles in groups, each a task for a worker of a cluster.

A task costs scheduler and client a millisecond each, whatever it does, and a tile is best no
larger than the cache and the memory of a worker like. So a task has many tiles at first, and fewer
as the end comes near, so that no worker waits for another (guided self-scheduling,
C. Polychronopoulos and D. Kuck 1987, IEEE Transactions on Computers C-36, 1425).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller

from pulsar_dask.kernels.pixels import Tile

#: A group has the tiles that are left, over this and the threads of the cluster.
SHARE = 3
#: Most tiles of a group: a run that is interrupted waits for those that are being made.
MOST = 8


class Groups:
    """Groups of tiles, as calls of `worker.Job.tiles`; an iterator that may be given more."""

    def __init__(self, tiles: Iterable[Tile], threads: Callable[[], int]) -> None:
        self._left, self._threads = deque(tiles), threads

    def __iter__(self) -> Groups:
        return self

    def __next__(self) -> tuple[list[Tile], methodcaller]:
        if not self._left:
            raise StopIteration
        count = min(MOST, max(1, int(len(self._left) / (SHARE * self._threads()))))
        group = [self._left.popleft() for _ in range(min(count, len(self._left)))]
        places = [(tile.plane, tile.y, tile.x, tile.height, tile.width) for tile in group]
        return group, methodcaller("tiles", places)

    def put_back(self, tiles: Sequence[Tile]) -> None:
        """Tiles of a group that were not made with it."""
        self._left.extendleft(reversed(tiles))
