"""Which pixels of a sensor have one colour, as its cards tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from night import XTRANS

from pulsar_dask.frames.colour import QUAD, colours

MONO = [{}, {"BAYERPAT": ""}, {"BAYERPAT": "NONE"}, {"BAYERPAT": " Mono "}, {"COLORTYP": 0},
        {"COLORTYP": "MONO"}, {"CFAIMAGE": "no"}, {"CFAIMAGE": False}, {"COLORTYP": 0.0},
        {"BAYERPAT": "N/A"}, {"XBAYROFF": 1, "ROWORDER": "TOP-DOWN"}]  # fmt: skip
BAYER = [{"BAYERPAT": "RGGB"}, {"BAYERPAT": "gbrg "}, {"BAYERPAT": "RG/GB"}, {"COLORTYP": "GRBG"},
         {"COLORTYP": 2}, {"COLORTYP": 2.0}, {"CFA_TYPE": "BGGR"}, {"CFAIMAGE": "YES"},
         {"CFAIMAGE": True}, {"CFAIMAGE": "T"}, {"COLORTYP": "CMYG"}, {"BAYERPAT": "RG1G2B"},
         {"BAYERPAT": "NONE", "COLORTYP": "RGGB"}, {"BAYERPAT": 7, "COLORTYP": "RGGB"},
         {"BAYERPAT": "RGGB", "XBAYROFF": 1, "YBAYROFF": 1, "ROWORDER": "BOTTOM-UP"}]  # fmt: skip
ODD = [{"BAYERPAT": "XTRANS"}, {"BAYERPAT": 7}, {"BAYERPAT": XTRANS[:35]}, {"COLORTYP": 5},
       {"BAYERPAT": "ABCD"}, {"BAYERPAT": "RGB"}]  # fmt: skip


@pytest.mark.parametrize("cards", MONO)
def test_no_filter(cards):
    assert colours(cards, 41) is None


@pytest.mark.parametrize("cards", BAYER)
def test_two_by_two(cards):
    found = colours(cards, 41)
    assert (found.cells, found.unknown, found.count) == (QUAD, "", 4)


@pytest.mark.parametrize("cards", ODD)
def test_what_is_not_known_says_so(cards):
    found = colours(cards, 41)
    assert found.cells == QUAD
    ((keyword, value),) = cards.items()
    assert found.unknown == f"{keyword} {value!r}"


def letters(found, rows, columns):
    return [[found.cells[y % 6][x % 6] for x in range(columns)] for y in range(rows)]


@given(
    st.integers(1, 20),
    st.integers(-7, 13),
    st.integers(-7, 13),
    st.sampled_from([None, "TOP-DOWN", "BOTTOM-UP", " bottom-up"]),
    st.booleans(),
)
def test_x_trans(rows, x0, y0, order, old):
    names = ("BAYOFFX", "BAYOFFY") if old else ("XBAYROFF", "YBAYROFF")
    cards = {"BAYERPAT": XTRANS.lower(), names[0]: x0, names[1]: float(y0), "ROWORDER": order}
    found = colours({k: v for k, v in cards.items() if v is not None}, rows)
    assert found.count == 3
    up = order is not None and "bottom" in order.lower()
    for y in range(rows):
        for x in range(13):
            if up and y0 % 6:
                continue
            line = (rows - 1 - y if up else y + y0) % 6
            wanted = "BGR".index(XTRANS[6 * line + (x + x0) % 6])
            assert found.cells[y % 6][x % 6] == wanted
    counted = np.bincount(np.ravel(letters(found, rows, 13)), minlength=3)
    assert found.share(rows, 13) == counted.tolist()


def test_a_pattern_of_four():
    found = colours({"BAYERPAT": "RRGGRRGGGGBBGGBB"}, 8)
    assert found.cells == ((2, 2, 1, 1), (2, 2, 1, 1), (1, 1, 0, 0), (1, 1, 0, 0))
