"""Which images of stacks a lazy array is: whether somebody has only chosen some of them, or changed
something.

What dask would do to the pixels is done to their places: blocks of the stacks are replaced by
`_Places`, which can be indexed and put together, and nothing else. What comes through that is a
selection, and says of what.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
from dask.optimization import cull

from pulsar_dask.kernels.pixels import Grid

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Places:
    """Where the pixels of a block come from: of each axis that is left, its number among those of
    the stack and the places along it."""

    axes: tuple[tuple[int, Array], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(places) for _, places in self.axes)

    @property
    def ndim(self) -> int:
        return len(self.axes)

    def __array__(self, *args: Any, **more: Any) -> Any:
        raise TypeError("these are no pixels")

    def __getitem__(self, index: Any) -> _Places:
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in [i for i in index if i is Ellipsis]:
            raise TypeError("not told apart")
        index += (slice(None),) * (self.ndim - len(index))
        lists = [i for i in index if not isinstance(i, (slice, int, np.integer))]
        if len(lists) > 1:
            raise TypeError("points, not rows and columns")
        kept = []
        for (axis, places), i in zip(self.axes, index, strict=True):
            taken = places[operator.index(i) if isinstance(i, (int, np.integer)) else i]
            if taken.ndim:
                kept.append((axis, taken))
        return _Places(tuple(kept))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.take:
            places, index, *rest = args
            axis = kwargs.get("axis", rest[0] if rest else 0)
            return places[(*(slice(None),) * axis, np.asarray(index))]
        if function is not np.concatenate:
            return NotImplemented
        parts, *rest = args
        axis = kwargs.get("axis", rest[0] if rest else 0)
        first = parts[0]
        for part in parts[1:]:
            for i, (a, b) in enumerate(zip(first.axes, part.axes, strict=True)):
                if a[0] != b[0] or (i != axis and not np.array_equal(a[1], b[1])):
                    raise TypeError("blocks of different places")
        joined = np.concatenate([part.axes[axis][1] for part in parts])
        return _Places((*first.axes[:axis], (first.axes[axis][0], joined), *first.axes[axis + 1 :]))


def chosen_images(array: Any, stacks: Mapping[str, tuple[int, Grid]]) -> list[int] | None:
    """Which whole images, in order, a dask array has.

    Parameters
    ----------
    array : dask array
        With as many axes as the stacks.
    stacks : mapping
        By the names of the arrays that it is made of: how many images each has, over which grid.

    Returns
    -------
    list of int or None
        Numbers of images, counted on from stack to stack; None where it is anything else than whole
        images as they are.
    """
    graph, first, shape = dict(array.__dask_graph__()), 0, None
    for name, (count, grid) in stacks.items():
        shape = grid.shape if shape in (None, grid.shape) else ()
        for index, tile in grid:
            rows = np.arange(tile.y, tile.y + tile.height)
            columns = np.arange(tile.x, tile.x + tile.width)
            planes = (np.array([tile.plane]),) if len(grid.shape) == 3 else ()
            axes = (np.arange(first, first + count), *planes, rows, columns)
            graph[(name, 0, *index)] = _Places(tuple(enumerate(axes)))
        first += count
    if shape is None or tuple(array.shape[1:]) != shape:
        return None
    keys = list(dask.core.flatten(array.__dask_keys__()))
    try:
        found = dask.get(cull(graph, keys)[0], keys)
    except Exception:  # whatever says that these are no pixels
        return None
    starts = [np.concatenate([[0], np.cumsum(sizes)]) for sizes in array.chunks]
    images: dict[int, Array] = {}
    for (_, *index), block in zip(keys, found, strict=True):
        if not isinstance(block, _Places) or [axis for axis, _ in block.axes] != [
            *range(array.ndim)
        ]:
            return None
        for axis, (_, places) in enumerate(block.axes):
            start, size = starts[axis][index[axis]], array.chunks[axis][index[axis]]
            if axis == 0:
                same = np.array_equal(images.setdefault(index[0], places), places)
            else:
                same = np.array_equal(places, np.arange(start, start + size))
            if not same or len(places) != size:
                return None
    return [int(i) for part in sorted(images) for i in images[part]]
