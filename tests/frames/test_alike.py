"""Images that are combined, whatever they are: what differs among them is told."""

from __future__ import annotations

import pytest

from pulsar_dask.frames.alike import differences
from pulsar_dask.frames.group import Ways


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ({"IMAGETYP": "Bias"}, {"IMAGETYP": "Dark"}, ["IMAGETYP", "bias", "dark"]),
        ({"EXPTIME": 60.0}, {"EXPTIME": 61.0}, ["EXPTIME", "60", "61"]),
        ({"CCD_TEMP": -10.0}, {"CCD_TEMP": -8.9}, ["temperature", "-10", "-8.9"]),
        ({"GAIN": 100}, {"GAIN": 200}, ["GAIN", "100", "200"]),
        ({"ISOSPEED": 800}, {"ISOSPEED": 1600}, ["ISOSPEED", "800", "1600"]),
        ({"INSTRUME": "A"}, {"INSTRUME": "B"}, ["INSTRUME", "A", "B"]),
        ({"READOUTM": "fast"}, {"READOUTM": "slow"}, ["READOUTM", "fast", "slow"]),
        ({"XBINNING": 1, "YBINNING": 1}, {"XBINNING": 2, "YBINNING": 2}, ["1x1", "2x2"]),
        ({"ROWORDER": "TOP-DOWN"}, {"ROWORDER": "BOTTOM-UP"}, ["ROWORDER"]),
        ({"FILTER": "Ha"}, {"FILTER": "OIII"}, ["FILTER", "h", "o"]),
    ],
)
def test_what_differs(frame, a, b, says):
    (note,) = differences([frame(**a) for _ in range(3)] + [frame(**b)])
    for part in [*says, "f", "Do they belong into one median?"]:
        assert part in note


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"GAIN": 100}, {"GAIN": "100"}),
        ({"GAIN": 100}, {}),
        ({"INSTRUME": "ZWO ASI2600MM Pro(1)"}, {"INSTRUME": "zwo asi2600mm pro (2)"}),
        ({"EXPTIME": 300.0047}, {"EXPTIME": 300.0011}),
        ({"IMAGETYP": "Bias", "EXPTIME": 0.001}, {"IMAGETYP": "Zero", "EXPTIME": 0.0}),
        ({"CCD_TEMP": -10.0}, {"CCD_TEMP": -9.2}),
        ({"IMAGETYP": "Bias", "CCD_TEMP": -10.0}, {"IMAGETYP": "Bias", "CCD_TEMP": -2.0}),
        ({"FILTER": "Ha"}, {"FILTER": "H-alpha"}),
        ({"BUNIT": "ADU"}, {}),
    ],
)
def test_what_counts_as_one(frame, a, b):
    assert differences([frame(**a), frame(**b)]) == []


def test_what_is_mixed_on_purpose_is_not_told(frame):
    frames = [frame(GAIN=1, EXPTIME=1.0, CCD_TEMP=0.0), frame(GAIN=2, EXPTIME=9.0, CCD_TEMP=9.0)]
    ways = Ways(frozenset({"gain", "exposure", "temperature"}))
    assert differences(frames, ways) == []
    assert len(differences(frames)) == 1
