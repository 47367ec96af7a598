"""Which frames belong together."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from night import noted

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.groups import by_exposure, by_filter, check_one_exposure, choose

# --- exposures -----------------------------------------------------------------------------


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
