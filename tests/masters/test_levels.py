"""The exact median of a frame that comes in tiles, and what flats are scaled by."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import exact_median, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from night import corrected, write

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.kernels import medianfinder
from pulsar_dask.kernels.correct import find_rings
from pulsar_dask.masters import levels as module
from pulsar_dask.masters.calibrated import FlatGroup
from pulsar_dask.masters.levels import frame_levels, frame_scales


def truth(values):
    return float(exact_median(np.ravel(values).astype("f8"))) if np.size(values) else np.nan


# --- frames --------------------------------------------------------------------------------


def levels(path, images, *, dark=0.0, listed=(), bayer=False, rows=3, **constants):
    frames = [scan_frame(write(path / f"l{i}.fit", image)) for i, image in enumerate(images)]
    shape = frames[0].shape
    places = np.array(sorted(y * shape[-1] + x for x, y in listed), np.int64)
    defects = find_rings(places, shape, bayer=bayer) if listed else None
    group = FlatGroup(tuple(frames), dark, defects)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in constants.items():
            place = medianfinder if hasattr(medianfinder, name) else module
            patch.setattr(place, name, value)
        return frame_levels(group, 0, len(frames), rows)


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
    parts = [frame_levels(group, i, i + 1, 2) for i in range(2)]
    same(frame_scales(frames, 5000.0, *parts), [[625.0, 625.0], [250.0, 125.0]])
