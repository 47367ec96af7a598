"""Selection networks: which pairs of rows to compare so that wanted ranks are in place."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
NO_NETWORK = np.empty((0, 0), np.int32)
BOTH, MIN, _MAX = 3, 1, 2
#: Rows that compiled code sorts at once, without going back to memory; a power of 2.
GROUP = 16


@functools.lru_cache(maxsize=64)
def comparators(n: int, *ranks: int, sorted_first: int = 1, rows: int = 0) -> Array:
    """Comparators (i, j, which outputs are needed) that put the values of `ranks` in place.

    Knuth, The Art of Computer Programming 3, section 5.2.2, algorithm M, walked backwards
    to leave out each comparator whose outputs nothing needs; and without those that sort the
    first full groups of `sorted_first` rows (a power of 2), which come first. Of `rows` those
    from `n` on hold what is higher than all, so that no comparator changes them.
    """
    pairs = []
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        pairs.append((i, i + k, p))
            k //= 2
        p *= 2
    in_groups = max(n, rows) // sorted_first * sorted_first
    needed = set(ranks)
    kept = []
    for a, b, p in reversed(pairs):
        which = (MIN if a in needed else 0) + (_MAX if b in needed else 0)
        if which:
            needed |= {a, b}
            if p >= sorted_first or b >= in_groups:
                kept.append((a, b, which))
    return np.array(kept[::-1], np.int32).reshape(-1, 3)


def group_comparators() -> list[tuple[int, int]]:
    """What sorts a group."""
    return [(a, b) for a, b, _ in comparators(GROUP, *range(GROUP)).tolist()]


#: Rows beyond full groups from which it is faster to fill up a group, which is sorted without going
#: back to memory, than to compare them one by one (a tenth of the network at 15; measured).
_FILL = 13


def padded(frames: int) -> int:
    """Rows of a block of so many frames."""
    return -(-frames // GROUP) * GROUP if frames % GROUP >= _FILL else frames
