"""What masters are called."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.frames.exposures import name as exposure_name
from pulsar_dask.frames.exposures import tolerance
from pulsar_dask.frames.naming import filter_code, named_exposure


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0.5, "500ms"),
        (1.5, "1500ms"),
        (120, "120s"),
        (1e-4, "100us"),
        (0, "0s"),
        (119.9997, "120s"),
        (120.0004, "120s"),
        (1, "1s"),
        (0.001, "1ms"),
        (2.5e-5, "25us"),
        (0.1 + 0.2, "300ms"),
        (3600, "3600s"),
        (59.25, "59250ms"),
        (300.0047, "300s"),
        (0.0105, "10500us"),
    ],
)
def test_exposure_names(seconds, name):
    assert exposure_name(seconds) == name


@given(
    st.one_of(
        st.floats(0, 1e6),
        st.floats(0, 0.01),
        st.integers(0, 10**6).map(float),
        st.integers(0, 10**7).map(lambda n: n / 1000),
    )
)
def test_names_of_exposures_parse_back(seconds):
    name = exposure_name(seconds)
    assert re.fullmatch(r"(0|[1-9]\d*)(s|ms|us)", name)
    assert abs(named_exposure(name) - seconds) <= max(tolerance(seconds), 0.5e-6) * 1.001


@given(st.integers(0, 10**9))
def test_names_say_whole_units_exactly(n):
    assert exposure_name(float(n)) == f"{n}s"
    assert abs(named_exposure(exposure_name(n / 1000)) - n / 1000) <= tolerance(n / 1000) + 2e-9


@given(st.text(max_size=8))
def test_no_other_text_is_an_exposure(text):
    found = named_exposure(text)
    if not re.fullmatch(r"\d+(s|ms|us|mks)", text):
        assert found is None


SPELLINGS = {
    "l": ["L", "Lum", "Luminance"],
    "r": ["R", "Red"],
    "g": ["G", "Green"],
    "b": ["B", "Blue"],
    "h": ["H", "Ha", "H-alpha", "Halpha", "H_alpha", "H alpha"],
    "o": ["O", "OIII", "O3", "O-III"],
    "s": ["S", "SII", "S2", "S II"],
}


@pytest.mark.parametrize(
    ("code", "name"), [(c, n) for c, names in SPELLINGS.items() for n in names]
)
def test_filter_codes(code, name):
    for text in (name, name.upper(), name.lower(), f"  {name} "):
        assert filter_code(text) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("V", "v"),
        ("I", "i"),
        ("Sloan g'", "sloan_g_"),
        ("Ha 7nm", "ha_7nm"),
        ("L-eXtreme", "l-extreme"),
        ("CLS.2", "cls.2"),
        ("a/b", "a_b"),
        ("filtré", "filtr_"),
    ],
)
def test_other_filters_go_by_their_name(name, code):
    assert filter_code(name) == code


@given(
    st.one_of(
        st.text(min_size=1, max_size=120),
        st.text("./\\ ~:*-\0ab", min_size=1, max_size=12),
        st.sampled_from(["../x", "..", ".", "/etc/passwd", "C:\\x", "...", " ", "con", "K", "İ"]),
    )
)
def test_no_filter_leaves_the_folder(name):
    code = filter_code(name)
    assert re.fullmatch(r"[a-z0-9._-]{1,80}", code)
    assert not code.startswith(".")
    file = os.path.normpath(os.path.join("/out", f"flat_{code}.fit"))
    assert os.path.dirname(file) == "/out"
