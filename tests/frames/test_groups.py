"""Which frames belong together, what their masters are called, and what is warned about."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from night import noted, write

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.alike import check_group
from pulsar_dask.frames.groups import by_exposure, by_filter, check_one_exposure, choose
from pulsar_dask.frames.keywords import frame_keywords, kind_of
from pulsar_dask.frames.naming import exposure_name, filter_code, named_exposure


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """Makes frames that differ in what their headers say."""
    base = scan_frame(write(tmp_path_factory.mktemp("frames") / "a.fit", np.zeros((2, 2), "i2")))
    number = iter(range(10**9))

    def make(**cards):
        cards = {k.replace("_", "-"): v for k, v in cards.items()}
        return replace(base, path=f"/night/f{next(number)}.fit", **frame_keywords(cards))

    return make


# --- exposures -----------------------------------------------------------------------------


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
    tolerance = 0.5e-3 if seconds >= 1 else 0.5e-6
    assert abs(named_exposure(name) - seconds) <= tolerance * 1.001


@given(st.integers(0, 10**9))
def test_names_say_whole_units_exactly(n):
    assert exposure_name(float(n)) == f"{n}s"
    assert named_exposure(exposure_name(n / 1000)) == n / 1000


@given(st.text(max_size=8))
def test_no_other_text_is_an_exposure(text):
    found = named_exposure(text)
    if not re.fullmatch(r"\d+(s|ms|us)", text):
        assert found is None


times = st.one_of(
    st.sampled_from([0.0, 1e-4, 0.5, 0.5009, 1.0, 1.001, 119.9997, 120.0, 120.0002, 300.0]),
    st.floats(0, 0.02),
    st.integers(0, 40).map(lambda n: n / 2000),
)


@given(st.lists(times, min_size=1, max_size=12), st.sampled_from([0.001, 0.0, 0.1]))
def test_groups_of_exposures(frame, exposures, tolerance):
    frames = [frame(EXPTIME=t) for t in exposures]
    groups = by_exposure(frames, tolerance)
    assert sorted(f.path for g in groups.values() for f in g) == sorted(f.path for f in frames)
    assert list(groups) == sorted(groups)
    place = {f.path: key for key, g in groups.items() for f in g}
    for a in frames:
        for b in frames:
            if abs(a.exposure - b.exposure) <= tolerance:
                assert place[a.path] == place[b.path]
    bounds = [(min(f.exposure for f in g), max(f.exposure for f in g)) for g in groups.values()]
    for (_, high), (low, _) in itertools.pairwise(bounds):
        assert low - high > tolerance
    for key, group in groups.items():
        held = [f.exposure for f in group]
        assert held.count(key) == max(map(held.count, held))


def test_frames_one_millisecond_apart_are_the_same(frame):
    frames = [frame(EXPTIME=t) for t in (1.0, 1.001)]
    assert list(by_exposure(frames)) == [1.0]
    assert len(by_exposure([*frames, frame(EXPTIME=1.0031)])) == 2
    assert list(by_exposure([frame(EXPOSURE=30)])) == [30.0]


@pytest.mark.parametrize(
    ("cards", "says"),
    [
        ({}, "EXPTIME"),
        ({"EXPTIME": "soon"}, "'soon'"),
        ({"EXPTIME": -1.0}, "-1"),
    ],
)
def test_a_frame_without_exposure_is_an_error(frame, cards, says):
    bad = frame(**cards)
    with pytest.raises(PulsarError, match=re.escape(says)) as error:
        by_exposure([frame(EXPTIME=1.0), bad])
    assert bad.path in str(error.value)


def test_flats_of_two_exposures(frame):
    frames = [frame(EXPTIME=t) for t in (2.0, 2.0, 3.0, 2.0005)]
    assert check_one_exposure("flat_l.fit", [frames[0], frames[3]], 0.001) == 2.0
    with pytest.raises(PulsarError) as error:
        check_one_exposure("flat_l.fit", frames, 0.001)
    text = str(error.value)
    assert text.startswith("Inconsistent exposures")
    for f in frames:
        assert os.path.basename(f.path) in text
    assert "2 s:" in text
    assert "3 s:" in text


# --- filters -------------------------------------------------------------------------------

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


def test_two_spellings_are_one_group(frame):
    frames = [frame(FILTER=n) for n in ("Ha", "H-alpha", "V", "Ha")]
    with noted() as notes:
        groups = by_filter(frames)
    assert {code: len(group) for code, group in groups.items()} == {"h": 3, "v": 1}
    (note,) = notes
    assert "'H-alpha', 'Ha'" in note
    assert "flat_h.fit" in note
    with noted() as notes:
        by_filter(frames[2:])
    assert notes == []


def test_a_flat_without_filter_is_an_error(frame):
    bad = frame(EXPTIME=1.0)
    with pytest.raises(PulsarError, match="FILTER") as error:
        by_filter([frame(FILTER="L"), bad])
    assert bad.path in str(error.value)


# --- kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("dark", ["Dark Frame", "Dark", "DARK", " dark "]),
        (
            "flat",
            ["Flat Frame", "Flat", "FLAT", "Flat Field", "Sky Flat", "Dome Flat", "Twilight Flat"],
        ),
        ("bias", ["Bias", "Bias Frame", "Zero", "BIAS"]),
        ("light", ["Light Frame", "LIGHT", "Light"]),
        ("other", ["Focus", "Tricolor Image"]),
        (None, [None]),
    ],
)
def test_kinds(kind, labels):
    assert [kind_of(label) for label in labels] == [(kind, False)] * len(labels)


@pytest.mark.parametrize(
    "label", ["Master Dark", "MASTER FLAT", "masterbias", "Master", "Master Dark Frame"]
)
def test_masters_are_never_taken(frame, label):
    master = frame(IMAGETYP=label, EXPTIME=1.0)
    for kind in ("dark", "flat", "bias"):
        for assume in (False, True):
            assert choose([master], kind, assume_type=assume) == ([], {"masters": 1})


def test_what_is_passed_over_is_counted_by_reason(frame):
    labels = ["Dark", "DARK FRAME", "Flat", "Bias", "Bias", None, "Master Dark", "Light", "Focus"]
    frames = [frame(IMAGETYP=label) if label else frame() for label in labels]
    chosen, passed = choose(frames, "dark")
    assert chosen == frames[:2]
    assert passed == {
        "flat frames": 1,
        "bias frames": 2,
        "without IMAGETYP": 1,
        "masters": 1,
        "light frames": 1,
        "of type 'Focus'": 1,
    }
    chosen, passed = choose(frames, "dark", assume_type=True)
    assert chosen == [*frames[:2], frames[5]]
    assert "without IMAGETYP" not in passed


# --- warnings ------------------------------------------------------------------------------


def notes_of(frames):
    with noted() as notes:
        check_group("dark120s.fit", frames)
    return notes


def test_fifteen_like_frames_give_no_warning(frame):
    cards = {"CCD_TEMP": -10.0, "GAIN": 100, "OFFSET": 20, "INSTRUME": "cam", "XBINNING": 1}
    frames = [frame(**cards, YBINNING=1, READOUTM="fast") for _ in range(15)]
    assert notes_of(frames) == []
    assert (
        notes_of([*frames, frame(**cards | {"CCD_TEMP": -9.0}, YBINNING=1, READOUTM="fast")]) == []
    )


@pytest.mark.parametrize("count", [1, 2, 14])
def test_few_frames(frame, count):
    (note,) = notes_of([frame() for _ in range(count)])
    assert "dark120s.fit" in note
    assert (f"{count} frames" if count > 1 else "one frame") in note


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ({"CCD_TEMP": -10.0}, {"CCD_TEMP": -8.9}, ["CCD-TEMP", "-10", "-8.9"]),
        ({"GAIN": 100}, {"GAIN": 200}, ["GAIN", "100", "200"]),
        ({"OFFSET": 20}, {}, ["OFFSET", "20"]),
        ({"INSTRUME": "A"}, {"INSTRUME": "B"}, ["INSTRUME", "A", "B"]),
        ({"READOUTM": "fast"}, {"READOUTM": "slow"}, ["READOUTM", "fast", "slow"]),
        (
            {"XBINNING": 1, "YBINNING": 1},
            {"XBINNING": 2, "YBINNING": 2},
            ["binning", "1x1", "2x2"],
        ),
    ],
)
def test_frames_that_do_not_belong_together(frame, a, b, says):
    (note,) = notes_of([frame(**a) for _ in range(10)] + [frame(**b) for _ in range(10)])
    for part in ["dark120s.fit", *says]:
        assert part in note
