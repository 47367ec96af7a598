"""The compiled half of `telegraph`."""

from __future__ import annotations

import numpy as np

from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.vectors import byteswap


@part
def moments(bits, start, swap, mode, special, key, values, first, found):  # type: ignore[no-untyped-def]
    """Of pixels from `start` on: numbers as stored, frame by frame, minus the first that is there.

    `key` has room for one row, `values` are the same bytes as numbers; `mode` as in `clip`. `first`
    and the rows of `found` (number, sum, sum of squares, highest, lowest, how many reach
    ``found[5]``) are filled.
    """
    n = key.shape[0]
    number, total, squares = found[0], found[1], found[2]
    high, low, limit, over = found[3], found[4], found[5], found[6]
    for i in range(bits.shape[0]):
        row = bits[i, start : start + n]
        if swap:
            for j in range(n):
                key[j] = byteswap(row[j])
        else:
            for j in range(n):
                key[j] = row[j]
        for j in range(n):
            x = np.float64(values[j])
            there = True
            if mode == 1:
                there = key[j] != special
            elif mode == 2:
                there = x - x == 0.0
            begins = there and number[j] == 0.0
            first[j] = x if begins else first[j]
            d = x - first[j] if there else 0.0
            number[j] += 1.0 if there else 0.0
            total[j] += d
            squares[j] += d * d
            high[j] = d if d > high[j] else high[j]
            low[j] = d if d < low[j] else low[j]
            over[j] += 1.0 if there and x >= limit[j] else 0.0
