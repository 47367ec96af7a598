"""What is seen of all pixels, with and without compiled code, against NumPy."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from pulsar_dask.formats.reading import to_values
from pulsar_dask.kernels import checksum, survey
from pulsar_dask.kernels.loading import warm_up
from pulsar_dask.kernels.ordersum import PRIME, WEIGHTS, fold, sums_of_words
from pulsar_dask.kernels.pixels import PixelType

warm_up([])  # so that it is used
TYPES = [
    PixelType(8),
    PixelType(16, 1.0, 32768.0),
    PixelType(16, blank=5),
    PixelType(16, 2.0, 7.0),
    PixelType(32),
    PixelType(32, 1.0, 2.0**31, blank=3),
    PixelType(64),
    PixelType(-32),
    PixelType(-64),
]


def images(pixels, n, kind):
    rng = np.random.default_rng(n + kind)
    if pixels.floating:
        values = rng.normal(0, 5, (3, n)).round(kind % 2)
        values[rng.random(values.shape) < 0.1] = np.nan
        values[rng.random(values.shape) < 0.02] = np.inf
        if kind == 2:
            values[0], values[1] = -3.5, np.nan
        return values.astype(pixels.stored)
    low, high = [(0, 4), (-30000, 30000), (0, 1), (-4000, -100)][kind]
    if pixels.bitpix == 8:
        low, high = 0, (3, 255, 1, 200)[kind]
    return np.minimum(rng.integers(low, high + 1, (3, n)), 20000).astype(pixels.stored)


@pytest.mark.parametrize("pixels", TYPES, ids=str)
@pytest.mark.parametrize("compiled", [False, True])
def test_all_pixels(pixels, compiled):
    for n in (1, 5, 31, 32, 33, 64, 5000, 9000):
        for kind in range(4):
            stored = images(pixels, n, kind)
            values = to_values(stored, pixels).astype("f8")
            there = np.isfinite(values)
            limit = 0.25 + (np.median(values[there]) if there.any() else 0)
            seen, more = survey.nothing_seen(3), survey.nothing_seen(3)
            cut = slice(0, n // 3), slice(n // 3, n)
            survey.look(stored, pixels, seen, part=cut[0], limit=limit, compiled=compiled)
            survey.look(stored, pixels, more, part=cut[1], limit=limit, compiled=compiled)
            survey.merge(seen, more)
            for row, image in zip(seen, values, strict=True):
                found = survey.Seen.of(row, pixels, limit=True)
                own = image[np.isfinite(image)]
                distinct, counts = np.unique(own, return_counts=True)
                assert found.number == len(own)
                assert found.over == (own >= limit).sum()
                for i, value, number in (
                    (1, found.top, found.top_count),
                    (2, found.next, found.next_count),
                ):
                    if len(distinct) >= i:
                        assert (value, number) == (distinct[-i], counts[-i])
                    else:
                        assert math.isnan(value)
                        assert number == 0


@pytest.mark.parametrize(("shift", "bits"), [(0, 12), (2, 14), (4, 12)])
def test_how_far_values_are_shifted(shift, bits):
    values = np.random.default_rng(1).integers(0, 1 << bits, 5000) << shift
    stored = (values - 32768).astype(">i2")[None]
    for compiled in (False, True):
        seen = survey.nothing_seen(1)
        pixels = PixelType(16, 1.0, 32768.0)
        survey.look(stored, pixels, seen, compiled=compiled)
        assert survey.Seen.of(seen[0], pixels, limit=False).shift == shift


@pytest.mark.skipif(not hasattr(os, "pread"), reason="compiled code does not read here")
@pytest.mark.parametrize("rows", [1, 7])
def test_files_are_summed_and_looked_at_while_they_are_read(tmp_path, rows):
    """In pieces, from anywhere on; sums and looks of NumPy are the same."""
    pixels, rng = PixelType(16, 1.0, 32768.0), np.random.default_rng(rows)
    length, step, first = 160_006 // rows // 2 * 2, 170_000, 2880 * 7 + 1002
    data = rng.integers(-3000, 3000, (4, rows * step // 2)).astype(">i2")
    path = tmp_path / "all"
    data.tofile(path)
    out, sums = np.zeros((4, rows, length // 2), ">i2"), np.zeros((4, 2), np.uint64)
    looking = survey.Looking(survey.nothing_seen(4), pixels, 2500 + 32768, compiled=True)
    look = looking.over(out)
    with path.open("rb") as file:
        for part in (slice(0, 3), slice(3, 4)):
            checksum.read_rows(
                np.full(4, file.fileno())[part],
                (np.arange(4) * data[0].nbytes)[part],
                step,
                out.view(np.uint8)[part],
                first,
                WEIGHTS,
                sums[part],
                *look.of(part).prepared(),
                2,
                np.zeros(20, np.int64),
            )
    seen = survey.nothing_seen(4)
    wanted = data.reshape(4, rows, -1)[:, :, : length // 2]
    flat = np.ascontiguousarray(wanted).reshape(4, -1)
    survey.look(flat, pixels, seen, limit=2500 + 32768, compiled=False)
    np.testing.assert_array_equal(out, wanted)
    np.testing.assert_array_equal(looking.seen, seen)
    for (words, order), image in zip(sums.tolist(), wanted, strict=True):
        right = [
            sums_of_words(np.ascontiguousarray(row).view(np.uint8), first + k * step)
            for k, row in enumerate(image)
        ]
        assert fold(words) == fold(sum(w for w, _ in right))
        assert order % PRIME == sum(o for _, o in right) % PRIME
