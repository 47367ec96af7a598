"""The exact median of a frame that comes in tiles, and what flats are scaled by."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import exact_median, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from night import XTRANS, colour_map, corrected, flat_by_colours, write

from pulsar_dask.combine import method
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.colour import QUAD, Colours, colours
from pulsar_dask.kernels import medianfinder
from pulsar_dask.kernels.correct import find_rings
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.masters import levels as module
from pulsar_dask.masters.calibrated import flat_tile
from pulsar_dask.masters.flatgroup import FlatGroup, Minus
from pulsar_dask.masters.flatscales import frame_scales
from pulsar_dask.masters.levels import frame_levels


def truth(values):
    return float(exact_median(np.ravel(values).astype("f8"))) if np.size(values) else np.nan


# --- frames --------------------------------------------------------------------------------


def levels(path, images, *, dark=0.0, listed=(), bayer=False, rows=3, known=None, **constants):
    frames = [scan_frame(write(path / f"l{i}.fit", image)) for i, image in enumerate(images)]
    shape = frames[0].shape
    places = np.array(sorted(y * shape[-1] + x for x, y in listed), np.int64)
    defects = find_rings(places, shape, *([QUAD] if bayer else [])) if listed else None
    group = FlatGroup(tuple(frames), (Minus.of(dark),), defects, known)
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
        st.tuples(st.integers(2, 3), st.integers(2, 4), st.integers(2, 5)),
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
    group = FlatGroup(tuple(frames), (Minus.of(0.0),), None)
    parts = [frame_levels(group, i, i + 1, 2) for i in range(2)]
    same(frame_scales(frames, 5000.0, *parts), [[625.0, 625.0], [250.0, 125.0]])


# --- colours -------------------------------------------------------------------------------

KNOWN = {"abcd": Colours(QUAD), XTRANS: colours({"BAYERPAT": XTRANS}, 1)}


@given(
    st.sampled_from(list(KNOWN)),
    st.sampled_from(["u2", "f4", "f8"]),
    st.tuples(st.integers(1, 9), st.integers(1, 14)),
    st.tuples(st.integers(1, 9), st.integers(1, 14)),
    st.sampled_from([1, 500_000]),
    st.sampled_from([1, 3, 64]),
    st.data(),
)
def test_levels_and_flats_of_colours(tmp_path, pattern, dtype, shape, tile, kept, sampled, data):
    """Any size, any tiles, missing values: NumPy's medians, and the formula in float64."""
    some = st.integers(200, 65535) if dtype == "u2" else st.one_of(
        st.integers(200, 65535).map(float), st.just(np.nan)
    )  # fmt: skip
    images = [data.draw(hnp.arrays(dtype, shape, elements=some)) for _ in range(2)]
    for image in images:
        image[0, 0] = 300
    point = st.tuples(st.integers(1, shape[1]), st.integers(1, shape[0]))
    listed = data.draw(st.sets(point.map(lambda p: (p[0] - 1, p[1] - 1)), max_size=3)) - {(0, 0)}
    known = KNOWN[pattern]
    frames = [scan_frame(write(tmp_path / f"l{i}.fit", image)) for i, image in enumerate(images)]
    places = np.array(sorted(y * shape[-1] + x for x, y in listed), np.int64)
    group = FlatGroup(
        tuple(frames), (Minus.of(100.0),), find_rings(places, shape, known.cells), known
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medianfinder, "MOST_KEPT", kept)
        patch.setattr(module, "SAMPLE_ROWS", sampled)
        found = frame_levels(group, 0, 2, tile)
    step = {"step": 2} if pattern == "abcd" else {"pattern": pattern}
    nets = [corrected(image.astype("f8") - 100, listed, **step) for image in images]
    same(found.medians, [[truth(net)] for net in nets])
    letters = colour_map(shape, pattern)
    order = sorted(set(pattern))
    same(found.colours, [[[truth(net[letters == one]) for one in order]] for net in nets])
    scales = frame_scales(frames, 5000.0, found)
    out = np.empty(shape)
    for _, t in Grid(shape, *tile):
        made = flat_tile(t, group, scales, method=method("median"))["image"]
        out[t.y : t.y + t.height, t.x : t.x + t.width] = made
    wanted = flat_by_colours(np.array(images), pattern, 100.0, listed)
    np.testing.assert_allclose(out, wanted, rtol=4e-16)


def test_a_twilight_that_changes_its_colour(tmp_path):
    """Blue goes 5 % against red over the set, noise and a vignette: each colour of the master is
    true to 0.05 %, and the ratios of the colours are those of the set."""
    rng = np.random.default_rng(4)
    shape, drift = (300, 320), np.linspace(-0.025, 0.025, 20)
    letters = colour_map(shape, "RGgB")
    y, x = np.mgrid[: shape[0], : shape[1]]
    vignette = 1 - 0.3 * ((y / 150 - 1) ** 2 + (x / 160 - 1) ** 2) / 2
    base = {"R": 16000.0, "G": 30000.0, "g": 29000.0, "B": 12000.0}
    images = []
    for at in drift:
        image = np.empty(shape)
        for one, level in base.items():
            part = letters == one
            image[part] = level * (1 + at * {"R": -1, "B": 1}.get(one, 0)) * vignette[part]
        images.append(rng.normal(image, np.sqrt(image)) * rng.uniform(0.5, 1))
    frames = [scan_frame(write(tmp_path / f"t{i}.fit", x)) for i, x in enumerate(images)]
    group = FlatGroup(tuple(frames), (Minus.of(0.0),), None, Colours(QUAD))
    scales = frame_scales(frames, 5000.0, frame_levels(group, 0, 20, 50))
    ((_, tile),) = Grid(shape, *shape)
    made = flat_tile(tile, group, scales, method=method("median"))["image"]
    flat = {one: float(np.median(made[letters == one] / vignette[letters == one])) for one in base}
    for one, level in base.items():
        assert abs(flat[one] / flat["G"] / (level / base["G"]) - 1) < 5e-4
        quarter = (letters == one) & (y < 150) & (x < 160)
        assert abs(np.mean((made / vignette)[quarter]) / flat[one] - 1) < 5e-4
    same(made, flat_by_colours(np.array(images), "RGGB"))


@pytest.mark.parametrize("level", [0.0, -5.0])
def test_a_colour_without_light_goes_with_the_others(tmp_path, level):
    """Behind a narrow filter; where nobody can be told of it the frame is named."""
    images = [np.full((4, 4), 9.0), np.full((4, 4), 18.0)]
    images[1][1::2, 1::2] = level
    images[1][::2, ::2] = 9.0
    found = levels(tmp_path, images, known=Colours(QUAD))
    frames = [scan_frame(tmp_path / f"l{i}.fit") for i in range(2)]
    scales = frame_scales(frames, 5000.0, found)[:, 0]
    ratios = (1 + 9 / 13.5) / 2, (1 + 18 / 13.5) / 2  # 13.5: median of (9, 18, 18, 0)
    lit = [[5000 * r / c for r, c in zip(ratios, two, strict=True)] for two in ((9, 9), (9, 18))]
    others = [(a + 2 * b) / 3 for a, b in lit]
    wanted = [(a, b, b, c) for (a, b), c in zip(lit, others, strict=True)]
    np.testing.assert_allclose(scales, wanted, rtol=1e-14)
    with pytest.raises(PulsarError, match=r"l1\.fit.*one of its colours.*not positive"):
        frame_scales(frames, 5000.0, found, each_lit=True)


def test_all_colours_are_in_the_sample(tmp_path):
    """Rows of one parity alone would leave the median of the others to be looked for in vain."""
    for rows, columns, pattern in [(512, 40, "abcd"), (1024, 20, XTRANS), (70, 17_000, XTRANS)]:
        image = np.random.default_rng(0).integers(900, 1100, (rows, columns)).astype("u2")
        frame = scan_frame(write(tmp_path / "s.fit", image))
        group = FlatGroup((frame,), (Minus.of(0.0),), None, KNOWN[pattern])
        low, high, _ = module._sample(0, group, [frame])
        assert low.shape == (1, 1 + KNOWN[pattern].count)
        assert np.isfinite(low).all()
        assert (high - low < 20).all()
