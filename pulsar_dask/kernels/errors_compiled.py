"""The compiled half of `errors`."""

from __future__ import annotations

import math

from pulsar_dask.kernels.codecache import part


@part
def errors(count, low, high, outlier, image, deviation, spread, table, by_spread, noise, std, error):  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: E501
    """See `errors.errors`; what is not wanted, or not there, is empty."""
    known = noise.shape[0] > 0
    for i in range(count.shape[0]):
        kept = count[i]
        own = deviation[i] / table[0, kept]
        if std.shape[0]:
            std[i] = own
        if not error.shape[0]:
            continue
        every = kept + low[i] + high[i]
        seen = deviation[i]
        if by_spread:
            factor = table[1, every]
            seen = spread[i]
            own = seen / table[2, every] * table[3, every] / table[4, every]
        else:
            factor = table[1, every] if outlier[i] > 0 else table[5, kept]
            own = own * factor
        found = own
        if known:
            above = image[i] - noise[3]
            bright = above if above > 0.0 else 0.0
            variance = noise[0] + noise[1] * above + noise[2] * bright * bright
            variance = noise[4] if variance < noise[4] else variance
            modelled = factor * math.sqrt(variance)
            noisy = kept > 2 and seen * seen > variance * table[6, kept]
            found = own if noisy or modelled != modelled else modelled
        error[i] = found if kept > 0 else math.nan
