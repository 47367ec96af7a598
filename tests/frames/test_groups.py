"""Which frames belong together: each rule, and drawn archives against an oracle written from the
rules rather than from the code."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.frames.group import Ways
from pulsar_dask.frames.groups import bias_groups, dark_groups, flat_groups
from pulsar_dask.frames.passed import raw_frames, why_passed


def names(grouped):
    return {g.name: len(g.frames) for g in grouped.groups}


def darks(frame, *cards, **common):
    return [frame(**{"IMAGETYP": "Dark", "EXPTIME": 60.0} | common | c) for c in cards]


# --- exposures -----------------------------------------------------------------------------


def test_a_series_of_milliseconds_is_not_chained(frame):
    frames = [frame(EXPTIME=k / 1000) for k in range(1, 11) for _ in range(2)]
    assert names(dark_groups(frames)) == {f"dark{k}ms": 2 for k in range(1, 11)}


def test_what_cameras_report_is_one_exposure(frame):
    frames = [frame(EXPTIME=t) for t in (300.0047, 300.0011, 299.9, 300.0011)]
    (group,) = dark_groups(frames).groups
    assert (group.name, group.list_name, group.exposure) == ("dark300s", "cosme300s", 300.0011)


def test_two_exposures_of_one_name_take_the_finer(frame):
    frames = [frame(EXPTIME=t) for t in (1000.2, 1000.4, 1002.0)]
    ways = Ways(tolerance=0.1)
    assert names(dark_groups(frames, ways)) == {
        "dark1000200ms": 1,
        "dark1000400ms": 1,
        "dark1002s": 1,
    }


def test_a_frame_without_exposure_is_left_out(frame):
    frames = [frame(EXPTIME=1.0), frame(), frame(EXPTIME="soon")]
    grouped = dark_groups(frames)
    assert names(grouped) == {"dark1s": 1}
    assert [f for f, _ in grouped.left_out] == frames[1:]
    assert "\u27e6exposure\u27e7" in grouped.left_out[0][1]
    assert "'soon'" in grouped.left_out[1][1]


# --- settings ------------------------------------------------------------------------------


def test_settings_that_differ_stand_in_the_names_of_that_exposure_alone(frame):
    frames = darks(frame, {"GAIN": 0}, {"GAIN": 100}, {"GAIN": 100, "EXPTIME": 5.0})
    assert names(dark_groups(frames)) == {"dark60s_gain0": 1, "dark60s_gain100": 1, "dark5s": 1}


def test_names_go_in_the_order_of_the_table(frame):
    cards = [
        {"GAIN": g, "XBINNING": b, "YBINNING": 1, "READOUTM": "Low Noise"}
        for g in (0, 9)
        for b in (1, 2)
    ]
    found = names(dark_groups(darks(frame, *cards)))
    assert found == {
        "dark60s_bin1_gain0": 1, "dark60s_bin1_gain9": 1,
        "dark60s_bin2x1_gain0": 1, "dark60s_bin2x1_gain9": 1,
    }  # fmt: skip
    (group, *_) = dark_groups(darks(frame, *cards), Ways(full_names=True)).groups
    assert group.name == "dark60s_bin1_gain0_modeLow_Noise_notemperature"


def test_a_missing_card_splits_only_where_others_have_several(frame):
    one = darks(frame, {"GAIN": 100}, {}, {"GAIN": "100"})
    assert names(dark_groups(one)) == {"dark60s": 3}
    grouped = dark_groups([*one, *darks(frame, {"GAIN": 0})])
    assert names(grouped) == {"dark60s_gain0": 1, "dark60s_gain100": 2, "dark60s_nogain": 1}
    (lone,) = [g for g in grouped.groups if g.name == "dark60s_nogain"]
    assert any("without GAIN" in note for note in lone.notes)


def test_values_that_count_as_one(frame):
    frames = darks(
        frame,
        {"INSTRUME": "ZWO ASI2600MM Pro(1)", "EGAIN": 0.2500, "BUNIT": "ADU"},
        {"INSTRUME": "zwo asi2600mm-pro", "EGAIN": 0.2519, "BUNIT": "counts"},
        {"CAMERA": "ZWO ASI2600MM Pro", "EGAIN": 0.2510},
    )
    assert names(dark_groups(frames)) == {"dark60s": 3}
    assert len(dark_groups([*frames, *darks(frame, {"EGAIN": 0.2531})]).groups) == 2
    assert len(dark_groups([*frames, *darks(frame, {"BUNIT": "electron"})]).groups) == 2


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        ({"ROWORDER": "TOP-DOWN"}, "topdown"), ({"BAYERPAT": "RGGB"}, "rggb"),
        ({"ISOSPEED": 800}, "iso800"), ({"EGAIN": 0.25}, "egain0.25"), ({"OFFSET": 50}, "offset50"),
        ({"BLKLEVEL": 5}, "offset5"), ({"READMODE": 3}, "mode3"), ({"BUNIT": "K"}, "K"),
        ({"XORGSUBF": 100, "YORGSUBF": 200}, "at100x200"), ({"CCDNUM": 7}, "ccd7"),
        ({"INSTRUME": "QHY 600/M"}, "QHY_600_M"),
    ],
)  # fmt: skip
def test_what_stands_in_a_name(frame, cards, name):
    other = {k: ("Other" if isinstance(v, str) else v + 1) for k, v in cards.items()}
    assert f"dark60s_{name}" in names(dark_groups(darks(frame, cards, other)))


def test_mixing_is_told_with_its_values(frame):
    frames = darks(frame, {"GAIN": 0}, {"GAIN": 100})
    (group,) = dark_groups(frames, Ways(frozenset({"gain"}))).groups
    assert group.name == "dark60s"
    assert group.mixed == ("GAIN 0 and 100",)
    assert any("GAIN 0 and 100 are mixed" in note for note in group.notes)


def test_chips_of_one_exposure_are_told(frame):
    frames = [frame(EXPTIME=1.0, DATE_OBS=f"2024-05-20T20:00:0{i % 3}") for i in range(6)]
    (group,) = dark_groups(frames).groups
    assert any("each DATE-OBS occurs 2 times" in note for note in group.notes)
    (group,) = dark_groups(frames[:5]).groups
    assert not any("DATE-OBS" in note for note in group.notes)


# --- flats and biases ----------------------------------------------------------------------


def flats(frame, *filters, **common):
    return [frame(**{"IMAGETYP": "Flat", "EXPTIME": 2.0, "FILTER": f} | common) for f in filters]


def test_two_spellings_are_one_filter(frame):
    (group,) = flat_groups(flats(frame, "Ha", "H-alpha", "Ha")).groups
    assert (group.name, group.filter) == ("flat_h", "Ha")
    assert any("'H-alpha', 'Ha' are taken as one" in note for note in group.notes)


def test_case_is_told_apart_where_it_is_asked_for(frame):
    frames = flats(frame, "R", "r", "R")
    assert names(flat_groups(frames)) == {"flat_r": 3}
    found = {g.name: g.filter for g in flat_groups(frames, Ways(split_case=True)).groups}
    assert found == {"flat_r": "R", "flat_r_lower": "r"}


def test_flats_without_filter(frame):
    (group,) = flat_groups([frame(EXPTIME=2.0), frame(EXPTIME=2.0, FILTER="None")]).groups
    assert group.name == "flat_nofilter"
    assert any("no FILTER" in note for note in group.notes)


def test_filters_that_would_share_a_name_are_no_flat(frame):
    grouped = flat_groups(flats(frame, "a/b", "a b", "V"))
    assert names(grouped) == {"flat_v": 1}
    ((name, reason),) = grouped.failed
    assert name == "flat_a_b.fit"
    assert "would both become" in reason


def test_exposures_of_flats(frame):
    frames = flats(frame, "L", "L") + flats(frame, "L", EXPTIME=3.0) + flats(frame, "R")
    grouped = flat_groups(frames)
    assert names(grouped) == {"flat_r": 1}
    ((_, reason),) = grouped.failed
    assert reason.startswith("Inconsistent exposures for flat_l.fit: 2 s: ")
    assert "\u27e6mix\u27e7 exposure" in reason
    mixed = flat_groups(frames, Ways(frozenset({"exposure"}))).groups
    assert [(g.name, g.exposure) for g in mixed] == [("flat_l", None), ("flat_r", 2.0)]
    wide = flat_groups(frames, Ways(tolerance=5.0)).groups
    assert [g.exposure for g in wide] == [2.0, 2.0]


def test_biases(frame):
    frames = [frame(GAIN=g, EXPTIME=t) for g in (0, 100) for t in (0.0, 0.001)]
    assert names(bias_groups(frames)) == {"bias_gain0": 2, "bias_gain100": 2}
    warm = [frame(CCD_TEMP=t) for t in (-20.0, 15.0)]
    (group,) = bias_groups(warm).groups
    assert any("-20 to 15 degC" in note for note in group.notes)


# --- kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label", ["Master Dark", "MASTER FLAT", "masterbias", "Master", "Dark Master"]
)
def test_masters_are_never_taken(frame, label):
    master = frame(IMAGETYP=label, EXPTIME=1.0)
    for kind in ("dark", "flat", "bias"):
        assert raw_frames([master], kind) == []
    assert why_passed([master]) == {"masters": 1}


def test_what_is_passed_over_is_counted_by_reason(frame):
    labels = ["Dark", "Flat", "Bias", "Bias", None, "Master Dark", "Light", "Odd"]
    frames = [frame(IMAGETYP=label) if label else frame() for label in labels]
    assert raw_frames(frames, "dark") == frames[:1]
    assert why_passed(frames[1:]) == {
        "flat frames": 1, "bias frames": 2, "without IMAGETYP": 1, "masters": 1, "light frames": 1,
        "of type 'Odd'": 1,
    }  # fmt: skip


# --- drawn archives ------------------------------------------------------------------------

CARDS = {
    "INSTRUME": ["ZWO A(1)", "zwo a", "QHY B", None],
    "XBINNING": [1, 2, "1", None],
    "GAIN": [0, 100, "100", "Low", None],
    "OFFSET": [10, 50, None],
    "EGAIN": [0.25, 0.2515, 0.2535, 1.0, None],
    "READOUTM": ["fast", "FAST", "slow", None],
    "ROWORDER": ["TOP-DOWN", "BOTTOM-UP", None],
    "BUNIT": ["adu", "ADU", "electron", None],
}


def told_apart(a, b, keyword):
    """Whether two stated values are not one."""
    if keyword == "EGAIN":
        return max(a, b) - min(a, b) > 0.01 * min(a, b) + 1e-12
    plain = ["".join(c for c in str(v).lower().removesuffix("(1)") if c.isalnum()) for v in (a, b)]
    return plain[0] != plain[1]


@st.composite
def archives(draw):
    varied = draw(st.sets(st.sampled_from(sorted(CARDS)), max_size=4))
    count = draw(st.integers(1, 14))
    cards = []
    for _ in range(count):
        one = {k: draw(st.sampled_from(CARDS[k])) for k in varied}
        one["EXPTIME"] = draw(st.sampled_from([0.001, 0.00101, 60.0, 60.03, 60.5, 120.0]))
        warm = draw(st.sampled_from([None, -10.0, -9.7, 5.0]))
        one["CCD-TEMP"], one["SET-TEMP"] = warm, draw(st.sampled_from([None, -10.0]))
        cards.append({k: v for k, v in one.items() if v is not None})
    return cards


@given(archives(), st.sampled_from([(), ("gain",), ("camera", "temperature")]), st.randoms())
def test_any_archive_of_darks(frame, archive, mix, rng: random.Random):
    ways = Ways(frozenset(mix))
    frames = [frame(**cards) for cards in archive]
    grouped = dark_groups(frames, ways)
    there = [f.path for g in grouped.groups for f in g.frames] + [
        f.path for f, _ in grouped.left_out
    ]
    assert sorted(there) == sorted(f.path for f in frames)
    found = [g.name.lower() for g in grouped.groups]
    assert len(set(found)) == len(found)
    by_path = {f.path: cards for f, cards in zip(frames, archive, strict=True)}
    words = {"INSTRUME": "camera", "GAIN": "gain", "EGAIN": "gain"}
    for group in grouped.groups:
        for a, b in itertools.combinations([by_path[f.path] for f in group.frames], 2):
            assert abs(a["EXPTIME"] - b["EXPTIME"]) <= 0.0011 * max(1.0, a["EXPTIME"])
            for k in CARDS.keys() & a.keys() & b.keys():
                if words.get(k) not in mix and k != "BUNIT":
                    assert not told_apart(a[k], b[k], k)
    shuffled = list(frames)
    rng.shuffle(shuffled)
    again = dark_groups(shuffled, ways)
    assert [(g.name, g.frames) for g in again.groups] == [
        (g.name, g.frames) for g in grouped.groups
    ]
