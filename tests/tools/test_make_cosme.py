"""`make_cosme`, run as a user runs it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import names, run, shapes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from night import hottest, noted, pixels, points, stack, tool, write

from pulsar_dask.tools.make_cosme import make_cosme
from pulsar_dask.tools.options import Options


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
