"""The exact median of values that come in parts."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import exact_median, same
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.kernels import medianfinder

anything = st.one_of(
    st.integers(-5, 5).map(float),
    st.floats(allow_nan=True, allow_infinity=False),
    st.sampled_from([0.0, -0.0, np.nan, 1e308, -1e308, 1.5, 5e-324, 3.0, 3.0]),
    st.integers(0, 65535).map(float),
)


small = st.one_of(st.integers(0, 9).map(float), st.floats(0, 1), st.just(np.nan))


lists = st.one_of(
    st.lists(anything, max_size=60), st.lists(small, max_size=200), st.lists(st.just(4.0))
)


def find(values, low, high, *, kept, parts=3):
    """The median, and the number of passes it took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medianfinder, "MOST_KEPT", kept)
        finder = medianfinder.MedianFinder(low, high)
        passes = 0
        while not finder.done:
            assert passes < 12
            for part in np.array_split(values, parts):
                finder.add(part)
            finder.end_pass()
            passes += 1
    return finder.median, passes


def truth(values):
    return float(exact_median(np.ravel(values).astype("f8"))) if np.size(values) else np.nan


@given(
    lists,
    st.lists(st.floats(allow_nan=False), min_size=2, max_size=2).map(sorted),
    st.sampled_from([0, 1, 5, 500]),
    st.integers(1, 5),
)
def test_any_values_and_any_bracket(values, bracket, kept, parts):
    values = np.array(values, "f8")
    median, _ = find(values, *bracket, kept=kept, parts=parts)
    same(median, truth(values))


@given(lists, st.integers(0, 60), st.integers(0, 60), st.sampled_from([1, 20]))
def test_brackets_at_values(values, a, b, kept):
    """Brackets that begin or end at a value, the median itself among them."""
    values = np.array(values, "f8")
    there = np.sort(values[~np.isnan(values)])
    if len(there):
        low, high = sorted([there[a % len(there)], there[b % len(there)]])
        median, _ = find(values, low, high, kept=kept)
        same(median, truth(values))
        same(median, np.median(there) if np.isfinite(np.median(there)) else median)


@pytest.mark.few(2)
@pytest.mark.parametrize("count", [1, 2, 9999, 10_000])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(1000, 30, n),
        lambda rng, n: rng.integers(0, 65536, n).astype("f8"),
        lambda rng, n: rng.integers(500, 503, n).astype("f8"),
        lambda rng, n: np.full(n, 123.25),
        lambda rng, n: np.sort(rng.lognormal(0, 200, n)),
        lambda rng, n: -np.sort(rng.lognormal(0, 200, n)),
        lambda rng, n: np.where(np.arange(n) < n // 2, 1 + 1e-13 * np.arange(n), 1e300),
        lambda rng, n: np.where(np.arange(n) < n // 2, 1e300, np.arange(n) * 1e-300),
        lambda rng, n: np.where(rng.random(n) < 0.3, np.nan, rng.normal(0, 1, n)),
    ],
    ids=["noise", "ints", "few", "same", "huge", "negative", "gap", "gap down", "missing"],
)
@pytest.mark.parametrize("bracket", ["none", "good", "below", "above", "point"])
def test_more_than_can_be_kept(draw, count, bracket):
    values = draw(np.random.default_rng(count), count)
    values[0] = 1.0
    middle = np.nanmedian(values)
    low, high = {
        "none": (-np.inf, np.inf),
        "good": (middle - abs(middle) / 100, middle + abs(middle) / 100),
        "below": (middle - abs(middle) - 2, middle - abs(middle) - 1),
        "above": (middle + abs(middle) + 1, middle + abs(middle) + 2),
        "point": (middle, middle),
    }[bracket]
    median, passes = find(values, low, high, kept=50)
    assert median == middle
    assert passes <= 8


def test_nothing_but_missing_values():
    assert np.isnan(find(np.full(7, np.nan), 0.0, 1.0, kept=10)[0])
    assert np.isnan(find(np.empty(0), 0.0, 1.0, kept=10)[0])


def test_two_passes_at_most_for_a_frame_with_a_fair_bracket():
    values = np.random.default_rng(0).normal(20000, 150, 200_001)
    assert find(values, 19990, 20010, kept=20_000) == (np.median(values), 1)
    assert find(values, 100, 40000, kept=20_000)[1] == 2
