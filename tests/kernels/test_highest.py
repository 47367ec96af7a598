"""The highest pixels of an image that comes in tiles, and the lists that name them."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers import names, run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from night import hottest, noted, pixels, points, stack, tool, write

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs.pixellists import read_list
from pulsar_dask.kernels.highest import HotPixels
from pulsar_dask.kernels.tile import Grid
from pulsar_dask.output.lists import write_list
from pulsar_dask.tools.make_cosme import make_cosme
from pulsar_dask.tools.options import Options

# --- the highest pixels --------------------------------------------------------------------

shapes = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 12)),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)),
)
elements = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, np.nan, 5.0, -1e300, 1e300, np.inf, -np.inf]),
    st.integers(-3, 3).map(float),
    st.floats(-1e6, 1e6),
)


def fed(image, count, tile, order=None):
    """Positions from an image that is fed in tiles."""
    hot = HotPixels(image.shape, count)
    tiles = [t for _, t in Grid(image.shape, *tile)]
    if order is not None:
        order.shuffle(tiles)
    for t in tiles:
        plane = image[t.plane] if image.ndim == 3 else image
        hot.write(t, plane[t.y : t.y + t.height, t.x : t.x + t.width])
    x, y = hot.positions()
    return list(zip(x.tolist(), y.tolist(), strict=True))


@given(
    shapes.flatmap(lambda s: hnp.arrays("f8", s, elements=elements)),
    st.integers(0, 40),
    st.tuples(st.integers(1, 10), st.integers(1, 13)),
    st.randoms(use_true_random=False),
)
def test_the_highest_whatever_the_tiles_and_their_order(image, count, tile, order):
    assert fed(image, count, tile, order) == hottest(image, count)


@given(st.integers(1, 60), st.integers(0, 2**32), st.sampled_from([1, 2, 5, 1000]))
def test_ties_go_by_row_then_column(count, seed, values):
    image = np.random.default_rng(seed).integers(0, values, (17, 23)).astype("f8")
    assert fed(image, count, (4, 7), random.Random(seed)) == hottest(image, count)


def test_all_alike():
    image = np.full((5, 4), 7.0)
    assert fed(image, 6, (2, 3)) == [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1)]
    assert fed(image, 100, (2, 3)) == hottest(image, 20)


def test_missing_pixels_are_never_hot():
    image = np.full((4, 4), np.nan)
    assert fed(image, 5, (3, 3)) == []
    image[2, 1] = -5.0
    assert fed(image, 5, (3, 3)) == [(1, 2)]


def test_a_colour_image_counts_each_pixel_once():
    image = np.zeros((3, 3, 4))
    image[0, 1, 2] = 9
    image[2, 1, 2] = 8
    image[1, 0, 3] = 7
    assert fed(image, 3, (2, 2)) == [(2, 1), (3, 0), (0, 0)]


def test_values_that_float32_cannot_tell_apart():
    image = np.zeros((2, 3))
    image[0, 1], image[1, 2] = 2.0**30, 2.0**30 + 1
    assert fed(image, 2, (1, 2)) == [(2, 1), (1, 0)]


def test_a_large_image_is_not_held():
    """Ten thousand of 1.5 million, in tiles: what is kept is no more than a few times that."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 10, (1000, 1500)).astype("f4")
    hot = HotPixels(image.shape)
    for _, t in Grid(image.shape, 50, 1500):
        hot.write(t, image[t.y : t.y + t.height].astype("f8"))
        kept = [array for h in hot._planes.values() for array in (*h._values, *h._places)]
        assert 0 < sum(array.size for array in kept) <= 2 * 2 * 10_000
    x, y = hot.positions()
    assert list(zip(x.tolist(), y.tolist(), strict=True)) == hottest(image, 10_000)


# --- writing lists -------------------------------------------------------------------------


def test_the_bytes_of_a_list(tmp_path):
    path = tmp_path / "c.lst"
    write_list(str(path), np.array([1234, 0, 7]), np.array([567, 0, 9]))
    assert path.read_bytes() == b"P 1234 567\r\nP 0 0\r\nP 7 9\r\n"
    write_list(str(path), np.array([1234, 0, 7]), np.array([567, 0, 9]), rows=600)
    assert path.read_bytes() == b"P 1234 32\r\nP 0 599\r\nP 7 590\r\n"
    write_list(str(path), np.array([], int), np.array([], int))
    assert path.read_bytes() == b""
    assert names(tmp_path) == ["c.lst"]


# --- reading lists -------------------------------------------------------------------------

SIZE = (20, 30)


def read(path, content, size=SIZE, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    places = read_list(str(path), size, **options)
    assert places.tolist() == sorted(set(places.tolist()))
    return {(p % size[-1], p // size[-1]) for p in places.tolist()}


COLUMN = {(4, y) for y in range(20)}
ROW = {(x, 3) for x in range(30)}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", set()),
        (b"P 1 2\r\nP 3 4\r\n", {(1, 2), (3, 4)}),
        (b"P 1 2\nP 3 4\n", {(1, 2), (3, 4)}),
        (b"P 1 2\rP 3 4\r", {(1, 2), (3, 4)}),
        (b"P 1 2\rP 3 4\nP 5 6\r\nP 7 8", {(1, 2), (3, 4), (5, 6), (7, 8)}),
        (b"\xef\xbb\xbfP 1 2\r\n", {(1, 2)}),
        (b"# hot pixels\r\n\r\n   \nP 1 2\n  # more\n#\n", {(1, 2)}),
        (b"# " + b"long " * 200 + b"\nP 1 2\n", {(1, 2)}),
        (b"#" + b"x" * 199 + b"\nP 1 2\n#" + b"x" * 200 + b"\nP 3 4\n", {(1, 2), (3, 4)}),
        (b"#" + b"x" * 398 + b"\nP 1 2\n#" + b"x" * 399, {(1, 2)}),
        (b"# caf\xe9 \xff\nP 1 2\n", {(1, 2)}),
        (b"P 1 2 H\r\nP 3 4 C\r\n", {(1, 2), (3, 4)}),
        (b"p 1 2 h\n", {(1, 2)}),
        (b"  P\t1   2  \n", {(1, 2)}),
        (b"P 1 2\nP 1 2\n", {(1, 2)}),
        (b"P 0 0\nP 29 19\n", {(0, 0), (29, 19)}),
        (b"C 4 0\n", COLUMN),
        (b"L 3 0\r\n", ROW),
        (b"C 4 0 H\nL 3 0 H\nP 5 5 H\n", COLUMN | ROW | {(5, 5)}),
    ],
)
def test_every_form_of_a_list(tmp_path, content, found):
    assert read(tmp_path / "c.lst", content) == found


def test_a_list_for_a_colour_image(tmp_path):
    assert read(tmp_path / "c.lst", b"P 29 19\n", (3, 20, 30)) == {(29, 19)}


def test_a_list_that_counts_from_the_top(tmp_path):
    content = b"P 1 0\nL 2 0\nC 4 0\n"
    row = {(x, 17) for x in range(30)}
    assert read(tmp_path / "c.lst", content, origin_top=True) == {(1, 19)} | row | COLUMN


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("P 1 2\nP 3\n", 2),
        ("\n# a\n\nX 1 2\n", 4),
        ("P 1.5 2\n", 1),
        ("P 1 2\r\nP one 2\r\n", 2),
        ("P 1 2\rP 1 2 3\r", 2),
        ("P 1 2 HH\n", 1),
        ("1 2\n", 1),
        ("P1 2\n", 1),
        ("P 1,2\n", 1),
        ("C 4\n", 1),
        ("# fine\nP 1 2 # not fine\n", 2),
        ("P 30 0\n", 1),
        ("P 1 2\nP 0 20\n", 2),
        ("P -1 0\n", 1),
        ("P 0 -1\n", 1),
        ("C 30 0\n", 1),
        ("L 20 0\n", 1),
        ("P 1 2\nL -1 0\n", 2),
        ("P 99999999999999999999 0\n", 1),
        ("P 1 2\n" + "P" * 1000 + "\n", 2),
        ("\0" * 5000, 1),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, content, line):
    with pytest.raises(PulsarError) as error:
        read(tmp_path / "c.lst", content)
    text = str(error.value)
    assert re.search(rf"c\.lst, line {line}\b", text)
    assert text.isprintable()
    assert len(text) < 400


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(PulsarError, match=r"c\.lst"):
        read_list(str(tmp_path / "c.lst"), SIZE)
    with pytest.raises(PulsarError, match=re.escape(str(tmp_path))):
        read_list(str(tmp_path), SIZE)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.booleans(),
    st.sampled_from([b"\r\n", b"\n", b"\r"]),
    st.data(),
)
def test_lists_come_back_as_they_were_written(tmp_path, size, top, ending, data):
    rows, columns = size
    point = st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1))
    wanted = data.draw(st.lists(point, max_size=30, unique=True))
    path = tmp_path / "c.lst"
    x, y = np.array(wanted, int).reshape(-1, 2).T
    write_list(str(path), x, y, rows=rows if top else None)
    assert points(path) == [(a, rows - 1 - b if top else b) for a, b in wanted]
    path.write_bytes(path.read_bytes().replace(b"\r\n", ending))
    found = read_list(str(path), size, origin_top=top)
    assert found.tolist() == sorted(b * columns + a for a, b in wanted)


@pytest.mark.slow
def test_a_million_lines(tmp_path):
    """Read in a process of its own, to see the memory that it takes."""
    path = tmp_path / "c.lst"
    path.write_bytes(b"".join(b"P %d %d\r\n" % (n % 4000, n // 4000) for n in range(1_000_000)))
    code = (
        "import resource, sys, numpy\n"
        "from pulsar_dask.hotpixels import read_list\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "places = read_list(sys.argv[1], (4000, 4000))\n"
        "assert places.tolist() == list(range(1_000_000))\n"
        "places = None\n"
        "print(peak() - before)\n"
    )
    resource = pytest.importorskip("resource")
    assert resource is not None
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 150e6


# --- the commands --------------------------------------------------------------------------


def listed(tmp_path, image, count=10_000, *, top=False, **cards):
    path = write(tmp_path / "m.fit", image, **cards)
    make_cosme(
        str(path),
        str(tmp_path / "c.lst"),
        hot_pixels=count,
        origin_top=top,
        options=Options(quiet=True, overwrite=True),
    )
    return points(tmp_path / "c.lst")


@given(
    st.sampled_from(["u1", "i2", "u2", "i4", "i8", "f4", "f8"]),
    shapes,
    st.integers(0, 30),
    st.booleans(),
    st.data(),
)
def test_make_cosme_on_any_image(tmp_path, dtype, shape, count, top, data):
    kind = np.dtype(dtype)
    if kind.kind == "f":
        some = st.one_of(
            st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0, 2.0]),
            st.floats(-(2.0**90), 2.0**90, width=kind.itemsize * 8, allow_subnormal=False),
        )
    else:
        info = np.iinfo(kind)
        low, high = max(info.min, -(2**53)), min(info.max, 2**53)
        some = st.one_of(st.integers(low, high), st.sampled_from([low, high, high - 1, 0, 1]))
    image = data.draw(hnp.arrays(dtype, shape, elements=some))
    truth = image.astype("f8")
    truth[~np.isfinite(truth)] = np.nan
    rows = shape[-2]
    wanted = hottest(truth, count)
    assert listed(tmp_path, image, count, top=top) == [
        (x, rows - 1 - y if top else y) for x, y in wanted
    ]


@pytest.mark.parametrize("name", ["make_cosme", "find_hot"])
def test_both_names(tmp_path, name):
    image = stack(0, 1, 500, shape=(40, 60))[0]
    write(tmp_path / "master_dark.fit", image)
    out, err = tool(name, "master_dark.fit", "cosme.lst", "--hot-pixels", 50, cwd=tmp_path)
    assert points(tmp_path / "cosme.lst") == hottest(image, 50)
    assert "cosme.lst: 50 hottest pixels" in out
    assert err == ""
    before = (tmp_path / "cosme.lst").read_bytes()
    tool(name, "master_dark.fit", "cosme.lst", "--hot-pixels", 50, cwd=tmp_path)
    assert (tmp_path / "cosme.lst").read_bytes() == before
    assert names(tmp_path) == ["cosme.lst", "master_dark.fit"]


def test_make_cosme_lists_ten_thousand(tmp_path):
    image = np.random.default_rng(3).normal(100, 9, (120, 130)).astype("f4")
    assert listed(tmp_path, image) == hottest(image, 10_000)


def test_make_cosme_lists_all_pixels_of_a_small_image(tmp_path):
    image = np.array([[3, 1, 2], [3, 9, 0]], "i2")
    assert listed(tmp_path, image) == [(1, 1), (0, 0), (0, 1), (2, 0), (1, 0), (2, 1)]
    image = np.array([[3, np.nan], [np.inf, 0]], "f4")
    assert listed(tmp_path, image) == [(0, 0), (1, 1)]


def test_a_list_of_others_is_not_replaced(tmp_path):
    write(tmp_path / "m.fit", np.arange(6, dtype="i2").reshape(2, 3))
    mine = b"# found by eye\nP 1 1\n"
    (tmp_path / "c.lst").write_bytes(mine)
    _, err = tool("make_cosme", "m.fit", "c.lst", cwd=tmp_path, status=1)
    assert "c.lst" in err
    assert "--overwrite" in err
    assert (tmp_path / "c.lst").read_bytes() == mine
    tool("make_cosme", "m.fit", "c.lst", "--overwrite", "--hot-pixels", 1, cwd=tmp_path)
    assert (tmp_path / "c.lst").read_bytes() == b"P 2 1\r\n"


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (("m.fit",), 2, "OUTPUT"),
        (("none.fit", "c.lst"), 1, "none.fit"),
        (("m.fit", "m.fit"), 1, "m.fit is an input"),
        (("m.fit", "no/c.lst"), 1, "does not exist"),
        (("text.fit", "c.lst"), 1, "text.fit: not a FITS file"),
        (("m.fit", "c.lst", "--hot-pixels", "-1"), 2, "--hot-pixels"),
        (("m.fit", "c.lst", "--origin", "left"), 2, "--origin"),
        (("m.fit", "c.lst", "--memory", "0.001"), 1, "at least"),
    ],
)
def test_what_make_cosme_refuses(tmp_path, args, status, says):
    write(tmp_path / "m.fit", np.arange(6, dtype="i2").reshape(2, 3))
    (tmp_path / "text.fit").write_text("hello")
    before = names(tmp_path)
    done = run("make_cosme", *args, cwd=tmp_path, status=status)
    assert says in done.stderr
    assert names(tmp_path) == before


def test_a_list_is_its_masters_own(tmp_path):
    """What make_cosme finds in a master dark is what makedark listed."""
    for i, image in enumerate(stack(5, 3, 800)):
        write(tmp_path / "darks" / f"d{i}.fit", image + np.uint16(i), "Dark Frame", 10.0)
    tool("makedark", "darks/", 0.1, cwd=tmp_path)
    with noted() as notes:
        make_cosme(
            str(tmp_path / "dark10s.fit"),
            str(tmp_path / "again.lst"),
            hot_pixels=10_000,
            origin_top=False,
            options=Options(quiet=True),
        )
    assert notes == []
    assert points(tmp_path / "again.lst") == hottest(pixels(tmp_path / "dark10s.fit"), 10_000)
    assert (tmp_path / "again.lst").read_bytes() == (tmp_path / "cosme10s.lst").read_bytes()
