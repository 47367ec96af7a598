"""Darks told apart by their temperature."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.frames.group import Ways
from pulsar_dask.frames.groups import dark_groups
from pulsar_dask.frames.temperature import GAP, SHARE, SIDE, split


def make(frame, *values):
    """Darks of (measured, set point)."""
    found = []
    for measured, point in values:
        cards = {"CCD_TEMP": measured, "SET_TEMP": point}
        found.append(frame(EXPTIME=60.0, **{k: v for k, v in cards.items() if v is not None}))
    return found


def sizes(frames):
    return {w.name: len(w.frames) for w in split(frames)[0]}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([(-10.0, -10), (-9.8, -10), (5.1, 5)], {"-10C": 2, "5C": 1}),
        ([(None, -10), (None, 10)], {"-10C": 1, "10C": 1}),  # set points alone
        ([(-10.1, -10), (-9.6, -9.5)], {"-10C": 2}),  # set points within 1 degC are one
        ([(-7.9, -40), (-8.0, -40)], {"-8C": 2}),  # none holds it
        ([(-10.0, -10), (-9.0, None), (-5.0, None)], {"-10C": 2, "-5C": 1}),
        ([(t, None) for t in (-20, -20, -20, 10, 10, 10)], {"-20C": 3, "10C": 3}),
        ([(20 + i / 2, None) for i in range(16)], {"24C": 16}),  # it drifts
        ([(20.0, None)] * 20 + [(24.0, None)], {"20C": 21}),  # too few to be split
        ([(20.0, None)] * 20 + [(24.0, None)] * 5, {"20C": 20, "24C": 5}),
        ([(None, None), (-10.0, None)], {"-10C": 1, "": 1}),
    ],
)
def test_rules(frame, values, wanted):
    assert sizes(make(frame, *values)) == wanted


def test_a_frame_that_does_not_hold_its_set_point_is_left_out(frame):
    frames = make(frame, *[(-10.0, -10)] * 4, (-5.0, -10))
    grouped = dark_groups(frames)
    assert [g.name for g in grouped.groups] == ["dark60s"]
    ((odd, why),) = grouped.left_out
    assert odd is frames[4]
    assert "-5 degC where SET-TEMP is -10" in why
    mixed = dark_groups(frames, Ways(frozenset({"temperature"})))
    assert len(mixed.groups[0].frames) == 5
    assert mixed.left_out == ()


def test_frames_without_a_temperature(frame):
    some = make(frame, (None, None), (-10.0, -10))
    assert [g.name for g in dark_groups(some).groups] == ["dark60s"]
    groups = dark_groups([*some, *make(frame, (10.0, 10))]).groups
    assert [g.name for g in groups] == ["dark60s_-10C", "dark60s_10C", "dark60s_notemperature"]


def test_what_is_said(frame):
    (warmth,) = split(make(frame, *[(20.0, None)] * 20, (24.0, None)))[0]
    assert any("far from the temperature of the others" in note for note in warmth.notes)
    (warmth,) = split(make(frame, (-10.0, -10), (-8.5, -10)))[0]
    assert any("from -10 to -8.5 degC" in note for note in warmth.notes)
    (warmth,) = split(make(frame, (-10.0, -10), (-9.5, -10)))[0]
    assert warmth.notes == ()


measured = st.integers(-40, 60).map(lambda n: n / 2)


@given(
    st.lists(
        st.tuples(measured | st.none(), st.sampled_from([None, -10.0, -9.5, 15.0])),
        min_size=1,
        max_size=24,
    )
)
def test_any_night(frame, values):
    """By the rules: every frame once; no set points apart in one group; wide gaps are split."""
    frames = make(frame, *values)
    warmths, out = split(frames)
    there = [f.path for w in warmths for f in w.frames] + [f.path for f, _ in out]
    assert sorted(there) == sorted(f.path for f in frames)
    named = [w.name for w in warmths]
    assert len(set(named)) == len(named)

    def held(about):
        return about.set_point is not None and (
            about.temperature is None or abs(about.temperature - about.set_point) <= 3
        )

    some_hold = {f.about.set_point for f in frames if held(f.about)}
    for f, _ in out:
        assert not held(f.about)
        assert any(abs(f.about.set_point - p) <= 1 for p in some_hold)
    for w in warmths:
        points = [f.about.set_point for f in w.frames if held(f.about)]
        assert not points or max(points) - min(points) <= 1
        rest = sorted(f.about.temperature for f in w.frames if f.about.temperature is not None)
        if w.name and not points:
            for i, (a, b) in enumerate(itertools.pairwise(rest), 1):
                assert b - a < GAP or min(i, len(rest) - i) < min(SIDE, SHARE * len(rest))
