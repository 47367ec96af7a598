"""The exact median of a frame that comes in parts."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import exact_median, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from night import corrected, write

from pulsar_dask import flats
from pulsar_dask.errors import PulsarError
from pulsar_dask.flats import FlatGroup, _MedianFinder, frame_levels, frame_scales
from pulsar_dask.hotpixels import find_rings
from pulsar_dask.scan import scan_frame

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
        patch.setattr(flats, "MOST_KEPT", kept)
        finder = _MedianFinder(low, high)
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


# --- frames --------------------------------------------------------------------------------


def levels(path, images, *, dark=0.0, listed=(), bayer=False, rows=3, **constants):
    frames = [scan_frame(write(path / f"l{i}.fit", image)) for i, image in enumerate(images)]
    shape = frames[0].shape
    places = np.array(sorted(y * shape[-1] + x for x, y in listed), np.int64)
    defects = find_rings(places, shape, bayer=bayer) if listed else None
    group = FlatGroup(tuple(frames), dark, defects)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in constants.items():
            patch.setattr(flats, name, value)
        return frame_levels(group, 0, len(frames), (rows, shape[-1]))


def net(image, dark, listed, step=1):
    image = np.where(np.isfinite(image), image, np.nan) - dark
    planes = image if image.ndim == 3 else image[None]
    return [corrected(plane, set(listed), step) for plane in planes]


@given(
    st.sampled_from(["u1", "i2", "u2", "i4", "f4", "f8"]),
    st.one_of(
        st.tuples(st.integers(1, 8), st.integers(1, 9)),
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
    ),
    st.integers(1, 4),
    st.sampled_from([1, 6, 500_000]),
    st.sampled_from([1, 2, 64]),
    st.data(),
)
def test_levels_of_any_frames(tmp_path, dtype, shape, rows, kept, sampled, data):
    if dtype[0] == "f":
        some = st.one_of(
            st.floats(-(2.0**20), 2.0**20, width=int(dtype[1]) * 8, allow_subnormal=False),
            st.sampled_from([np.nan, np.inf, 5.0]),
        )
    else:
        info = np.iinfo(dtype)
        some = st.one_of(st.integers(info.min, info.max), st.integers(0, 5))
    images = [
        data.draw(hnp.arrays(dtype, shape, elements=some))
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    point = st.tuples(st.integers(0, shape[-1] - 1), st.integers(0, shape[-2] - 1))
    listed = data.draw(st.sets(point, max_size=4))
    dark = data.draw(st.sampled_from([0.0, 100.0, -3.5]))
    found = levels(
        tmp_path,
        images,
        dark=dark,
        listed=listed,
        rows=rows,
        MOST_KEPT=kept,
        SAMPLE_ROWS=sampled,
    )
    same(
        found.medians,
        [[truth(plane) for plane in net(i.astype("f8"), dark, listed)] for i in images],
    )


def test_a_sample_that_misleads(tmp_path):
    """The rows that are looked at first are all brighter than the others."""
    image = np.random.default_rng(1).normal(1000, 10, (90, 40)).astype("f4")
    chosen = ((np.arange(8) + 0.5) * 90 / 8).astype(int)
    image[chosen] += 5000
    for kept in (20, 500, 10**6):
        found = levels(tmp_path, [image, -image], SAMPLE_ROWS=8, MOST_KEPT=kept)
        wanted = np.median(image.astype("f8"))
        same(found.medians, [[wanted], [-wanted]])


def test_frames_of_one_value(tmp_path):
    images = [np.full((70, 9), v, "u2") for v in (0, 7, 65535)]
    found = levels(tmp_path, images, MOST_KEPT=4)
    same(found.medians, [[0.0], [7.0], [65535.0]])
    same(found.raw, [[0.0], [7.0], [65535.0]])


def test_bayer_and_dark_count_before_the_median(tmp_path):
    rng = np.random.default_rng(2)
    image = rng.integers(0, 50, (12, 14)).astype("i2")
    listed = {(x, y) for x in range(14) for y in range(12) if rng.random() < 0.4}
    found = levels(tmp_path, [image], dark=7.0, listed=listed, bayer=True)
    same(found.medians, [[np.median(net(image.astype("f8"), 7.0, listed, 2)[0])]])
    assert found.medians[0, 0] != np.median(net(image.astype("f8"), 7.0, listed, 1)[0])


def test_pixels_that_stay_are_counted_over_planes(tmp_path):
    image = np.ones((3, 2, 2), "f4")
    every = {(0, 0), (1, 0), (0, 1), (1, 1)}
    assert levels(tmp_path, [image], listed=every).uncorrected == 12
    assert levels(tmp_path, [image], listed=every - {(0, 1)}).uncorrected == 0


@pytest.mark.parametrize("level", [0.0, -5.0, np.nan])
def test_a_median_that_is_not_positive_names_the_frame(tmp_path, level):
    images = [np.full((3, 4), 9.0), np.full((3, 4), level)]
    found = levels(tmp_path, images)
    frames = [scan_frame(tmp_path / f"l{i}.fit") for i in range(2)]
    with pytest.raises(PulsarError, match=r"l1\.fit.*not positive") as error:
        frame_scales(frames, 5000.0, found)
    assert "l0.fit" not in str(error.value)


def test_scales(tmp_path):
    images = [np.full((2, 3, 4), 8.0), np.full((2, 3, 4), 20.0)]
    images[1][1] = 40.0
    frames = [scan_frame(write(tmp_path / f"s{i}.fit", image)) for i, image in enumerate(images)]
    group = FlatGroup(tuple(frames), 0.0, None)
    parts = [frame_levels(group, i, i + 1, (2, 4)) for i in range(2)]
    same(frame_scales(frames, 5000.0, *parts), [[625.0, 625.0], [250.0, 125.0]])
