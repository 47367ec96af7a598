"""What calibrates agrees with what it calibrates."""

from __future__ import annotations

import pytest

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.gates import cautions, choose_calibrator, disagreements, replaced
from pulsar_dask.frames.group import Ways
from pulsar_dask.frames.groups import dark_groups

SETTINGS = [
    ("camera", {"INSTRUME": "A"}, {"INSTRUME": "B"}, "INSTRUME B, not A"),
    ("binning", {"XBINNING": 1}, {"XBINNING": 2}, "XBINNING 2x2, not 1x1"),
    ("place", {"XORGSUBF": 0}, {"XORGSUBF": 8, "YORGSUBF": 1}, "XORGSUBF 8x1, not 0x0"),
    ("gain", {"GAIN": 0}, {"GAIN": 100}, "GAIN 100, not 0"),
    ("gain", {"EGAIN": 1.0}, {"EGAIN": 1.2}, "EGAIN 1.2, not 1"),
    ("offset", {"OFFSET": 0}, {"OFFSET": 9}, "OFFSET 9, not 0"),
    ("readout", {"READOUTM": "a"}, {"READOUTM": "b"}, "READOUTM b, not a"),
    ("roworder", {"ROWORDER": "TOP-DOWN"}, {"ROWORDER": "BOTTOM-UP"}, "BOTTOM-UP, not TOP-DOWN"),
    ("bayer", {"BAYERPAT": "RGGB"}, {"BAYERPAT": "GBRG"}, "BAYERPAT GBRG, not RGGB"),
    ("unit", {}, {"BUNIT": "electron"}, "BUNIT electron, not adu"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "ours", "theirs", "says"), SETTINGS)
def test_each_setting_is_a_gate(frame, word, ours, theirs, says):
    frames, bias = [frame(**ours)], [frame(**theirs)]
    (text,) = disagreements(bias, frames)
    assert text.endswith(says)
    assert disagreements(bias, frames, Ways(frozenset({word}))) == []
    assert disagreements([frame()], frames) == []
    with pytest.raises(PulsarError) as error:
        choose_calibrator([bias], frames)
    assert says in error.value.text
    assert f"\u27e6mix\u27e7 {word}" in error.value.text


def test_cautions(frame):
    dark = [frame(EXPTIME=60.0, CCD_TEMP=-10.0, DATE_OBS="2024-05-20T20:00:00")]
    assert cautions("dark", dark, dark) == []
    for cards, says in (
        ({"CCD_TEMP": -7.0}, "temperature -10 degC, not -7"),
        ({"DATE_OBS": "2026-01-01T00:00:00"}, "590 days between it and the frames"),
        ({"EXPTIME": 61.0}, "an exposure of 60 s, not 61 s"),
    ):
        given = {"EXPTIME": 60.0, "CCD_TEMP": -10.0, "DATE_OBS": "2024-05-20T20:00:00"} | cards
        (text,) = cautions("dark", dark, [frame(**given)])
        assert says in text
    assert cautions("bias", dark, [frame(CCD_TEMP=-1.0, EXPTIME=9.0)]) == []
    assert cautions("bias", dark, [frame(CCD_TEMP=1.0)]) != []


def test_the_one_that_states_more_wins(frame):
    frames = [frame(GAIN=100, OFFSET=10)]
    vague, exact, other = (
        [frame(GAIN=100)],
        [frame(GAIN=100, OFFSET=10)],
        [frame(GAIN=0, OFFSET=10)],
    )
    assert choose_calibrator([vague, other, exact], frames) == 2
    assert choose_calibrator([vague, other], frames) == 0


def test_what_the_frames_do_not_state_cannot_choose(frame):
    two = [[frame(GAIN=0)], [frame(GAIN=100)]]
    with pytest.raises(PulsarError, match="differ in GAIN"):
        choose_calibrator(two, [frame()], option="dark")
    assert choose_calibrator(two, [frame(GAIN=100)]) == 1


def test_nearest_then_newest_then_by_name(frame):
    flats = [frame(CCD_TEMP=-10.0)]
    cold, near = [frame(CCD_TEMP=-20.0)], [frame(CCD_TEMP=-11.0)]
    assert choose_calibrator([cold, near], flats, newest=True) == 1
    old, new = ([frame(DATE_OBS=f"202{y}-01-01T00:00:00")] for y in (0, 4))
    assert choose_calibrator([old, new], flats, newest=True) == 1
    a, b = [frame()], [frame()]
    assert choose_calibrator([b, a], flats, newest=True) == 1  # their files are of one time


def test_a_master_of_other_settings_is_not_replaced(frame):
    (group,) = dark_groups([frame(EXPTIME=60.0, GAIN=0, CCD_TEMP=-10.0, SET_TEMP=-10)]).groups
    assert replaced(frame(GAIN=100), group) == ["GAIN 100, not 0"]
    assert replaced(frame(GAIN=0, CCD_TEMP=-8.0), group) == []
    assert replaced(frame(CCD_TEMP=-2.0), group) == ["temperature -2 degC, not -10"]
    (group,) = dark_groups([frame(EXPTIME=60.0, CCD_TEMP=t) for t in (-10.0, -7.5)]).groups
    assert replaced(frame(CCD_TEMP=20.0), group) == []  # which is not held
