"""Listed pixels take the mean of their good neighbours: at borders, in clusters, in any tiling."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from night import XTRANS, colour_map, corrected, write

from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.colour import QUAD, colours
from pulsar_dask.kernels.correct import correct, find_rings
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.calibrated import calibrated
from pulsar_dask.masters.flatgroup import FlatGroup, Minus

MONO = ((0,),)
sizes = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 11)),
    st.sampled_from([(1, 1), (1, 7), (7, 1), (2, 2), (3, 3), (12, 13)]),
)
values = st.one_of(
    st.integers(0, 60000).map(float),
    st.floats(-1e6, 1e6),
    st.sampled_from([np.nan, 0.0, 1.0]),
)


@st.composite
def defects(draw, size):
    """Listed pixels, (x, y): some, clusters, whole columns and rows, everything."""
    rows, columns = size
    listed = draw(
        st.sets(
            st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1)),
            max_size=rows * columns,
        )
    )
    for _ in range(draw(st.integers(0, 2))):
        how = draw(st.sampled_from(["column", "row", "block", "corner", "all but one", "all"]))
        x, y = draw(st.integers(0, columns - 1)), draw(st.integers(0, rows - 1))
        every = {(a, b) for a in range(columns) for b in range(rows)}
        listed |= {
            "column": {(x, b) for b in range(rows)},
            "row": {(a, y) for a in range(columns)},
            "block": {p for p in every if abs(p[0] - x) <= 2 and abs(p[1] - y) <= 2},
            "corner": {p for p in every if p[0] <= x and p[1] <= y},
            "all but one": every - {(x, y)},
            "all": every,
        }[how]
    return listed


def places(listed, columns):
    return np.array(sorted(y * columns + x for x, y in listed), np.int64)


XCELLS = colours({"BAYERPAT": XTRANS}, 1).cells


def stuck_colours(image, listed):
    """The same of an X-Trans sensor."""
    good, colour = ~np.isnan(image), colour_map(image.shape, XTRANS)
    for x, y in listed:
        good[y, x] = False
    return sum(not good[colour == colour[y, x]].any() for x, y in listed)


def stuck(image, listed, step):
    """How many listed pixels have no good pixel of their colour in the image."""
    good = ~np.isnan(image)
    for x, y in listed:
        good[y, x] = False
    return sum(not good[y % step :: step, x % step :: step].any() for x, y in listed)


def in_tiles(path, images, listed, step, tile, dark=0.0, cells=None):
    """Frames corrected tile by tile, as the graph does it, and how many pixels stay."""
    frames = [scan_frame(write(path / f"f{i}.fit", image)) for i, image in enumerate(images)]
    shape = images[0].shape
    found = find_rings(places(listed, shape[-1]), shape, cells or (QUAD if step == 2 else MONO))
    group = FlatGroup(tuple(frames), (Minus.of(dark),), found)
    out = np.full((len(images), *shape), -1.0)
    stays = 0
    for _, t in Grid(shape, *tile):
        values, count = calibrated(t, group, frames)
        plane = out[:, t.plane] if len(shape) == 3 else out
        plane[:, t.y : t.y + t.height, t.x : t.x + t.width] = values
        stays += count
    return out, stays


@given(sizes, st.sampled_from([1, 2]), st.data())
def test_any_list_in_any_tiling(tmp_path, size, step, data):
    listed = data.draw(defects(size))
    images = [
        data.draw(hnp.arrays("f8", size, elements=values))
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    tile = data.draw(st.tuples(st.integers(1, size[0]), st.integers(1, size[1])))
    out, stays = in_tiles(tmp_path, images, listed, step, tile)
    same(out, [corrected(image, listed, step) for image in images])
    assert stays == sum(stuck(image, listed, step) for image in images)


@given(sizes, st.data())
def test_any_list_of_x_trans_in_any_tiling(tmp_path, size, data):
    listed = data.draw(defects(size))
    images = [data.draw(hnp.arrays("f8", size, elements=values)) for _ in range(2)]
    tile = data.draw(st.tuples(st.integers(1, size[0]), st.integers(1, size[1])))
    out, stays = in_tiles(tmp_path, images, listed, 1, tile, cells=XCELLS)
    same(out, [corrected(image, listed, pattern=XTRANS) for image in images])
    assert stays == sum(stuck_colours(image, listed) for image in images)


@given(sizes, st.data())
def test_rings_of_x_trans(size, data):
    """The nearest ring that holds a pixel of the same colour that is not listed."""
    listed = data.draw(defects(size))
    colour = colour_map(size, XTRANS)
    found = find_rings(places(listed, size[1]), size, XCELLS)
    good = [(x, y) for x in range(size[1]) for y in range(size[0]) if (x, y) not in listed]
    for place, ring in zip(found.places.tolist(), found.rings.tolist(), strict=True):
        y, x = divmod(place, size[1])
        away = [max(abs(a - x), abs(b - y)) for a, b in good if colour[b, a] == colour[y, x]]
        assert ring == min(away, default=0)


def test_far_neighbours_of_x_trans(tmp_path):
    """Farther away than the window reaches there is another colour first."""
    image = np.full((60, 50), np.nan)
    colour = colour_map(image.shape, XTRANS)
    y, x = np.argwhere(colour == "R")[4]
    image[y, x] = 9.0
    for letter, value, part in (("G", 5.0, 25), ("B", 6.0, 30), ("R", 7.0, 40)):
        b, a = next((b, a) for b, a in np.argwhere(colour == letter) if b > part and a > part)
        image[b, a] = value
    out, stays = in_tiles(tmp_path, [image], {(x, y)}, 1, (4, 7), cells=XCELLS)
    assert (out[0, y, x], stays) == (7.0, 0)


@given(sizes, st.sampled_from([1, 2]), st.data())
def test_one_window_is_the_whole_image(size, step, data):
    listed = data.draw(defects(size))
    image = data.draw(hnp.arrays("f8", size, elements=values))
    found = find_rings(places(listed, size[1]), size, QUAD if step == 2 else MONO)
    window = image[None].copy()
    frames, where = correct(window, (0, 0), found, Tile(0, 0, 0, *size))
    same(window[0], corrected(image, listed, step))
    assert len(frames) == len(where) == stuck(image, listed, step)


@given(sizes, st.sampled_from([1, 2]), st.data())
def test_rings(size, step, data):
    """The nearest ring of the same colour that holds a pixel not listed."""
    listed = data.draw(defects(size))
    rows, columns = size
    found = find_rings(places(listed, columns), size, QUAD if step == 2 else MONO)
    assert found.step == step
    assert found.places.tolist() == sorted(y * columns + x for x, y in listed)
    good = [(x, y) for x in range(columns) for y in range(rows) if (x, y) not in listed]
    for place, ring in zip(found.places.tolist(), found.rings.tolist(), strict=True):
        y, x = divmod(place, columns)
        away = [
            max(abs(a - x), abs(b - y)) // step
            for a, b in good
            if (a - x) % step == (b - y) % step == 0
        ]
        assert ring == min(away, default=0)
    assert found.reach == max(found.rings.tolist(), default=0) * step


# --- by hand -------------------------------------------------------------------------------

IMAGE = np.array(
    [
        [1.0, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [11, 12, 13, 14, 15],
        [16, 17, 18, 19, 20],
        [21, 22, 23, 24, 25],
    ]
)


@pytest.mark.parametrize(
    ("listed", "step", "pixel", "value"),
    [
        ({(2, 2)}, 1, (2, 2), 13.0),
        ({(0, 0)}, 1, (0, 0), (2 + 6 + 7) / 3),
        ({(4, 4)}, 1, (4, 4), (19 + 20 + 24) / 3),
        ({(2, 0)}, 1, (2, 0), (2 + 4 + 7 + 8 + 9) / 5),
        ({(2, 2), (3, 2)}, 1, (2, 2), (7 + 8 + 9 + 12 + 17 + 18 + 19) / 7),
        ({(2, y) for y in range(5)}, 1, (2, 0), (2 + 4 + 7 + 9) / 4),
        ({(2, 2)}, 2, (2, 2), (1 + 3 + 5 + 11 + 15 + 21 + 23 + 25) / 8),
        ({(0, 0)}, 2, (0, 0), (3 + 11 + 13) / 3),
        ({(1, 1)}, 2, (1, 1), (9 + 17 + 19) / 3),
        ({(2, 2), (1, 1)}, 2, (2, 2), (1 + 3 + 5 + 11 + 15 + 21 + 23 + 25) / 8),
        # a cluster of nine: its middle takes the next ring
        (
            {(x, y) for x in (1, 2, 3) for y in (1, 2, 3)},
            1,
            (2, 2),
            (1 + 2 + 3 + 4 + 5 + 6 + 10 + 11 + 15 + 16 + 20 + 21 + 22 + 23 + 24 + 25) / 16,
        ),
        # nothing is left: the pixel stays
        ({(x, y) for x in range(5) for y in range(5)}, 1, (2, 2), 13.0),
        # only one pixel is left, three away
        ({(x, y) for x in range(5) for y in range(5)} - {(4, 4)}, 1, (1, 1), 25.0),
    ],
)
def test_by_hand(tmp_path, listed, step, pixel, value):
    x, y = pixel
    out, _ = in_tiles(tmp_path, [IMAGE], listed, step, (2, 2))
    assert out[0, y, x] == value
    untouched = np.ones((5, 5), bool)
    for a, b in listed:
        untouched[b, a] = False
    same(out[0][untouched], IMAGE[untouched])


def test_missing_neighbours_do_not_count(tmp_path):
    image = IMAGE.copy()
    image[1, 1] = image[1, 2] = np.nan
    out, stays = in_tiles(tmp_path, [image, IMAGE], {(2, 2)}, 1, (1, 5))
    assert out[0, 2, 2] == (9 + 12 + 14 + 17 + 18 + 19) / 6
    assert out[1, 2, 2] == 13
    assert stays == 0


def test_where_near_neighbours_are_missing_farther_ones_count(tmp_path):
    """In one frame of two, and farther away than the tile's window reaches."""
    image = np.full((40, 30), np.nan)
    image[39, 29] = 77.0
    image[5, 5] = 9.0
    whole = np.ones((40, 30))
    out, stays = in_tiles(tmp_path, [image, whole], {(5, 5)}, 1, (3, 4))
    assert out[0, 5, 5] == 77.0
    assert out[1, 5, 5] == 1.0
    assert stays == 0
    image[39, 29] = np.nan
    out, stays = in_tiles(tmp_path, [image, whole], {(5, 5)}, 1, (3, 4))
    assert out[0, 5, 5] == 9.0
    assert stays == 1


def test_where_next_to_all_is_missing_nothing_is_looked_at_ring_by_ring(tmp_path):
    """Thousands of listed pixels, hundreds of pixels away from the only value."""
    image = np.full((400, 300), np.nan)
    image[399, 299] = 77.0
    y, x = np.nonzero(np.random.default_rng(0).random((399, 299)) < 0.1)
    listed = set(zip(x.tolist(), y.tolist(), strict=True))
    out, stays = in_tiles(tmp_path, [image], listed, 1, (50, 300))
    assert set(out[0, y, x].tolist()) == {77.0}
    assert stays == 0


def test_the_dark_is_subtracted_first(tmp_path):
    dark = scan_frame(write(tmp_path / "dark.fit", (IMAGE * 2).astype("i2")))
    listed = {(0, 0), (3, 2)}
    out, _ = in_tiles(tmp_path, [IMAGE * 3], listed, 1, (2, 3), dark)
    same(out[0], corrected(IMAGE, listed))
    out, _ = in_tiles(tmp_path, [IMAGE], listed, 1, (2, 3), 100.0)
    same(out[0], corrected(IMAGE - 100, listed))


def test_each_plane_on_its_own(tmp_path):
    image = np.stack([IMAGE, IMAGE.T, IMAGE * 7])
    listed = {(1, 0), (2, 2), (3, 2), (4, 4)}
    out, _ = in_tiles(tmp_path, [image], listed, 1, (2, 3))
    same(out[0], [corrected(plane, listed) for plane in image])


def test_everything_listed_is_settled_at_once():
    """A frame of which nothing is left, or nothing of two of its four colours."""
    rows, columns = 1500, 1600
    every = np.arange(rows * columns)
    for bayer in (False, True):
        found = find_rings(every, (rows, columns), QUAD if bayer else MONO)
        assert not found.rings.any()
        assert found.reach == 0
    some = every[(every // columns) % 2 == 1]
    found = find_rings(some, (rows, columns), QUAD)
    assert not found.rings.any()
    assert (find_rings(some, (rows, columns)).rings == 1).all()
