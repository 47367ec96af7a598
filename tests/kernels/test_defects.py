"""Bad columns and rows, and pixels that get less light than their neighbours."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from pulsar_dask.kernels.defects import SEGMENT, bad_lines, dim, level_of, medians, neighbours

QUAD = ((0, 1), (2, 3))
XTRANS = tuple(
    tuple("RGB".index(c) for c in row)
    for row in ("GGRGGB", "GGBGGR", "BRGRBG", "GGBGGR", "GGRGGB", "RBGBRG")
)


def test_medians_of_segments():
    rng = np.random.default_rng(1)
    for rows in (1, 7, 16, 23, 24, 40, 48):
        values = rng.normal(0, 1, (rows, 13))
        values[rng.random(values.shape) < 0.2] = np.nan
        values[:, 4] = np.nan
        found = medians(values)
        starts = list(range(0, rows, SEGMENT))
        if len(starts) > 1 and rows - starts[-1] < SEGMENT // 2:
            starts.pop()
        for row, (a, b) in zip(found, zip(starts, [*starts[1:], rows], strict=True), strict=True):
            there = np.delete(values[a:b], 4, axis=1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                np.testing.assert_array_equal(np.delete(row, 4), np.nanmedian(there, axis=0))
            assert np.isnan(row[4])


def test_level():
    rng = np.random.default_rng(2)
    values = rng.normal(7, 2, 100_000)
    values[:500] += 1e4
    level, sigma = level_of(values)
    assert abs(level - 7) < 0.05
    assert abs(sigma - 2) < 0.05
    assert level_of(np.full(5, 3.0)) == (3.0, 0.0)
    assert all(map(np.isnan, level_of(np.full(5, np.nan))))
    coarse = np.where(rng.random(10_000) < 0.2, 4.0, 0.0)  # most are equal
    assert 1 < level_of(coarse)[1] < 5


def planted(rng, rows=1000, columns=600):
    """A master whose columns and rows stand out by 100 deviations over the root of their length."""
    image = rng.normal(0, 1, (rows, columns))
    tall, wide = 100 / np.sqrt(rows), 100 / np.sqrt(columns)
    image[:, 0] += tall
    image[:, 300] -= tall
    image[: rows // 2, 450] += tall
    image[700] += wide
    image[200, 300:] -= wide
    return image


def test_planted_columns_and_rows():
    for seed in range(5):
        image = planted(np.random.default_rng(seed))
        columns, rows = bad_lines(medians(image), 1.0), bad_lines(medians(image.T), 1.0)
        assert [line.at for line in columns] == [0, 300, 450]
        assert [line.at for line in rows] == [200, 700]
        count = len(medians(image))
        assert [line[1:] for line in columns[:2]] == [(0, count)] * 2
        half = columns[2]
        assert half.first == 0
        assert abs(half.last * SEGMENT - 500) <= 2 * SEGMENT


@pytest.mark.parametrize("what", ["plain", "columns of their own", "glow", "slope", "hot", "steps"])
def test_clean_masters_have_none(what):
    rng = np.random.default_rng(9)
    for _ in range(12):
        rows, columns = rng.integers(40, 500, 2)
        y, x = np.mgrid[:rows, :columns]
        image = rng.normal(0, 1, (rows, columns))
        if what == "columns of their own":
            image += rng.normal(0, 0.3, columns)
        elif what == "glow":
            image += 40 * np.exp(-((x - columns) ** 2 + y**2) / 2 / 60**2)
        elif what == "slope":
            image += 0.5 * x - 0.2 * y
        elif what == "hot":
            hot = rng.random(image.shape) < 0.01
            image[hot] += rng.exponential(100, hot.sum())
        elif what == "steps":
            image = np.rint(image)
        noise = level_of((image[:, 2:] - image[:, :-2]).ravel())[1] / np.sqrt(2)
        assert bad_lines(medians(image), noise) == []
        assert bad_lines(medians(image.T), noise) == []


def test_few_lines_and_flat_ones():
    assert bad_lines(np.zeros((3, 5)), 1.0) == []
    assert bad_lines(np.zeros((3, 50)), 0.0) == []
    assert bad_lines(np.full((3, 50), np.nan), 1.0) == []


@pytest.mark.parametrize("cells", [((0,),), QUAD, XTRANS])
def test_dim_pixels(cells):
    rng = np.random.default_rng(3)
    period, near = len(cells), list(neighbours(cells))
    colours = np.array(cells)
    assert all(len(n) == 24 for n in near)
    for cell, offsets in enumerate(near):
        y, x = divmod(cell, period)
        for dy, dx in offsets:
            assert colours[(y + dy) % period, (x + dx) % period] == colours[y, x]
    shape, around = (17, 22), 2 * period
    image = rng.uniform(50, 100, shape) * (1 + np.tile(colours, (17, 22))[:17, :22])
    image[rng.random(shape) < 0.1] *= 0.3
    image[rng.random(shape) < 0.1] = np.nan
    wide = np.pad(image, around, constant_values=np.nan)
    found = dim(wide, tuple(slice(around, around + n) for n in shape), 0.5, near)
    for y in range(shape[0]):
        for x in range(shape[1]):
            offsets = near[(y % period) * period + x % period]
            others = np.array([wide[y + around + dy, x + around + dx] for dy, dx in offsets])
            others = others[np.isfinite(others)]
            assert found[y, x] == (2 * (others > image[y, x] / 0.5).sum() > len(others))
