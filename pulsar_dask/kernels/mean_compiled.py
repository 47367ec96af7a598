"""The compiled half of `means`."""

from __future__ import annotations

import numpy as np

from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.vectors import byteswap


@part
def add_rows(bits, swap, missing, blank, small, sums, counts):  # type: ignore[no-untyped-def]
    """Add integers as stored to int64 sums; where `missing`, those that are not `blank`, and
    their number to `counts`. `bits` has shape (frames, n), the others (n,); `small`, int32, is for
    sums of a block of pixels, which stays in the L1 cache."""
    frames, n = bits.shape
    # 16-bit numbers of so many frames add up in 32 bits, which is twice as many a vector
    narrow = bits.itemsize <= 2 and frames <= 32_768
    block = small.shape[0]
    for start in range(0, n, block):
        total = sums[start : start + block]
        count = counts[start : start + block]
        part = small[: total.shape[0]]
        part[:] = 0
        for i in range(frames):
            row = bits[i, start : start + block]
            if missing:
                for j in range(total.shape[0]):
                    v = byteswap(row[j]) if swap else row[j]
                    there = v != blank
                    total[j] += np.int64(v) if there else 0
                    count[j] += 1 if there else 0
            elif narrow:
                if swap:
                    for j in range(part.shape[0]):
                        part[j] += np.int32(byteswap(row[j]))
                else:
                    for j in range(part.shape[0]):
                        part[j] += np.int32(row[j])
            elif swap:
                for j in range(total.shape[0]):
                    total[j] += np.int64(byteswap(row[j]))
            else:
                for j in range(total.shape[0]):
                    total[j] += np.int64(row[j])
        if narrow:
            for j in range(part.shape[0]):
                total[j] += part[j]


@part
def add_values(values, sums, counts):  # type: ignore[no-untyped-def]
    """Add those of float64 values that are finite, frame by frame, and their number."""
    for i in range(values.shape[0]):
        row = values[i]
        for j in range(row.shape[0]):
            v = row[j]
            there = v - v == 0.0
            sums[j] += v if there else 0.0
            counts[j] += 1 if there else 0
