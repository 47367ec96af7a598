"""Frames that do not belong together are warned about."""

from __future__ import annotations

import pytest
from night import noted

from pulsar_dask.frames.stack import check_group


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
