"""Arrays that are computed once: all blocks in one go, whatever they share, each handed over as
soon as it is there."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from dask.core import flatten
from dask.optimization import cull

Array = np.ndarray[Any, Any]
#: Tasks of one block, as a share of all tasks by the number of blocks, from which on blocks are
#: taken to share some (a mean of all pixels, the levels of flats).
_SHARED, _FEW = 3, 50


class _Taker:
    """What `dask.array.store` writes to."""

    def __init__(self, take: Callable[[tuple[slice, ...], Array], None]) -> None:
        self._take = take

    def __setitem__(self, place: tuple[slice, ...], block: Array) -> None:
        self._take(place, block)


def each_block(array: da.Array, take: Callable[[tuple[slice, ...], Array], None]) -> None:
    """Compute an array on threads here, and hand over each block with its place; several threads
    do so."""
    da.store(array, _Taker(take), lock=False, scheduler="threads")


def shares(array: da.Array) -> bool:
    """Whether computing an array block by block computes something again for each of them."""
    graph = dict(array.__dask_graph__())
    first = next(iter(flatten(array.__dask_keys__())))
    return bool(len(cull(graph, [first])[0]) > _SHARED * len(graph) / array.npartitions + _FEW)


class Scratch:
    """An array in a temporary file, which is gone when nobody refers to it."""

    def __init__(self, path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype, self.ndim = path, shape, dtype, len(shape)

    def __getitem__(self, index: Any) -> Array:
        return np.array(np.load(self.path, mmap_mode="r")[index])


def kept(array: da.Array) -> da.Array:
    """An array computed now, its values in a temporary file."""
    handle, path = tempfile.mkstemp(prefix="pulsar-dask-", suffix=".npy")
    os.close(handle)
    scratch = Scratch(path, array.shape, array.dtype)
    weakref.finalize(scratch, _remove, path)
    file = np.lib.format.open_memmap(path, "w+", array.dtype, array.shape)
    each_block(array, file.__setitem__)
    file.flush()
    del file
    return da.from_array(
        scratch, chunks=array.chunks, name=f"kept-{array.name}", asarray=False, lock=False
    )


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # Windows keeps what is open
        os.remove(path)
