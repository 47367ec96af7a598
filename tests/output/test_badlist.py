"""Lists of what stands out: pixels by deviations, columns and rows, dead pixels of flats."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from helpers import write_frame
from night import pixels, points, tool, verify, write_stack

from pulsar_dask.inputs.pixellists import read_list

SHAPE = (90, 120)


def image(rng):
    values = rng.normal(0, 1, SHAPE).astype("f4")
    values[3, 5], values[70, 100], values[40, 41] = 60, 30, -50
    values[np.abs(values) > 5] *= 1
    return values


def lines(path):
    """P lines as (x, y), the others as they are."""
    found = path.read_bytes().decode("ascii").split("\r\n")
    assert found.pop() == ""
    of_pixels = [tuple(map(int, line.split()[1:])) for line in found if line[0] == "P"]
    assert all(line[0] in "CL" for line in found[len(of_pixels) :])
    return of_pixels, found[len(of_pixels) :]


@pytest.mark.parametrize(
    ("options", "right"),
    [
        (("--hot", 10), [(5, 3), (100, 70)]),
        (("--hot", 40), [(5, 3)]),
        (("--cold", 10), [(41, 40)]),
        (("--hot", 10, "--cold", 10), [(5, 3), (100, 70), (41, 40)]),
        (("--hot", 10, "--origin", "top"), [(5, 86), (100, 19)]),
        (("--hot", 1000), []),
    ],
)
def test_pixels_by_deviations(options, right, here):
    write_frame(here / "m.fit", image(np.random.default_rng(1)))
    tool("make_cosme", "m.fit", "m.lst", *options, cwd=here)
    assert points(here / "m.lst") == right


def test_columns_and_rows(here):
    values = image(np.random.default_rng(2))
    values[:, 60] += 15
    values[20] -= 15
    values[48:, 90] += 15
    write_frame(here / "m.fit", values)
    out, _ = tool("make_cosme", "m.fit", "m.lst", "--hot", 10, cwd=here)
    assert "1 column and 1 row" in out
    found, whole = lines(here / "m.lst")
    assert whole == ["C 60 0", "L 20 0"]
    right = {(5, 3), (100, 70)} | {(90, y) for y in range(48, SHAPE[0])}
    assert right <= set(found)
    assert len(found) == len(set(found))
    assert all(x == 90 for x, _ in set(found) - right)
    listed = read_list(str(here / "m.lst"), SHAPE)
    assert {60, 60 + SHAPE[1]} <= set(listed.tolist())
    tool("make_cosme", "m.fit", "m.lst", "--hot", 12, cwd=here)
    (here / "m.lst").write_bytes(b"P 1 1\r\nC 5 0\r\n")  # perhaps the user's
    tool("make_cosme", "m.fit", "m.lst", "--hot", 12, cwd=here)
    assert (here / "m.lst.bak").read_bytes() == b"P 1 1\r\nC 5 0\r\n"


def test_dead_pixels_of_a_flat(here):
    rng = np.random.default_rng(3)
    values = rng.normal(5000, 30, SHAPE).astype("f4")
    values[::2, ::2] *= 0.45  # a colour of its own
    values[10, 10], values[50, 71], values[60, 61] = 20, 2000, 4000
    cards = {"IMAGETYP": "Master Flat", "BAYERPAT": "RGGB"}
    write_frame(here / "f.fit", values, cards=cards)
    tool("make_cosme", "f.fit", "f.lst", "--dead", cwd=here)
    assert sorted(points(here / "f.lst")) == [(10, 10), (71, 50)]


def test_makedark(here, executing):
    rng = np.random.default_rng(4)
    darks = np.rint(rng.normal(500, 4, (8, *SHAPE))).astype("u2")
    darks[:, 7, 9] += 300
    darks[:, :, 33] += 60
    write_stack(here / "d", "d", darks, "Dark", 1.0)
    tool("makedark", "d", "--hot", 30, *executing, cwd=here)
    found, whole = lines(here / "cosme1s.lst")
    assert found == [(9, 7)]
    assert whole == ["C 33 0"]
    assert "whole" in verify(here, "dark1s.fit")
    tool("makedark", "d", "--hot", 20, *executing, cwd=here)  # the master vouches for it
    flats = np.rint(rng.normal(20000, 40, (4, *SHAPE))).astype("u2")
    flats[:, 7, 9] = 60000
    flats[:, :, 33] = 100
    write_stack(here / "f", "f", flats, "Flat", 1.0, "V")
    tool("makeflat", "f", cwd=here)
    assert (np.abs(pixels(here / "flat_v.fit") / 5000 - 1) < 0.02).all()
    assert "flat_v.fit" in verify(here, "flat_v.fit")
    with fits.open(here / "dark1s.fit") as hdus:
        assert "cosme1s.lst" in "\n".join(hdus[0].header["HISTORY"])


def test_what_is_refused(here):
    write_frame(here / "m.fit", image(np.random.default_rng(1)))
    _, err = tool("make_cosme", "m.fit", "m.lst", "--hot", 5, "--hot-pixels", 7, cwd=here, status=1)
    assert "--hot-pixels lists by number" in err
    _, err = tool("make_cosme", "m.fit", "m.lst", "--hot", "x", cwd=here, status=2)
    assert "how many deviations" in err
