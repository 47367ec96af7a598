"""What the commands say beside their work: warnings that name files, counts, hints."""

from __future__ import annotations

import numpy as np
import pytest
from many import run_many
from night import noted, pixels, stack, write, write_stack

import pulsar_dask
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.alike import differences
from pulsar_dask.masters.darks import gather_darks
from pulsar_dask.masters.flats import gather_flats

DARKS = stack(2, 4, 400)
FLATS = stack(3, 3, 20000)


def test_a_bias_of_another_setting_is_named(tmp_path):
    write_stack(tmp_path / "d", "d", DARKS, "Dark Frame", 2.0, GAIN=100, CCD_TEMP=-20.0, XBINNING=1,
                YBINNING=1)  # fmt: skip
    bias = write(tmp_path / "b.fit", DARKS[0], "Bias Frame", 0.0, GAIN=120, CCD_TEMP=-10.0,
                 XBINNING=2, YBINNING=2)  # fmt: skip
    with noted(), pytest.raises(PulsarError) as error:
        gather_darks(tmp_path / "d", bias)
    assert "dark2s.fit: no bias agrees with these frames: b.fit has XBINNING 2x2, not 1x1; " in (
        error.value.text
    )
    assert "GAIN 120, not 100" in error.value.text
    assert "\u27e6mix\u27e7 binning,gain" in error.value.text
    write(tmp_path / "b.fit", DARKS[0], "Bias Frame", 0.0, GAIN=100, CCD_TEMP=-5.0)
    with noted() as notes:
        gather_darks(tmp_path / "d", bias)
    assert "dark2s.fit: the bias b.fit has temperature -5 degC, not -20" in notes


def test_a_dark_of_another_setting_is_named(tmp_path):
    write_stack(tmp_path / "f", "f", FLATS, "Flat Frame", 2.0, "L", GAIN=100)
    dark = write(tmp_path / "dark.fit", DARKS[0], "Master Dark", 2.0, GAIN=0)
    with (
        noted(),
        pytest.raises(PulsarError, match=r"dark\.fit does not agree .*GAIN 0, not 100") as error,
    ):
        gather_flats(tmp_path / "f", dark=dark)
    assert "let it pass with" in error.value.text


@pytest.mark.parametrize(
    ("cards", "says"),
    [
        ([{}, {"FILTER": "R"}, {}], "FILTER (none and r); the first odd one is f1.fit"),
        (
            [{"GAIN": 1}, {"GAIN": 1}, {"GAIN": 2}],
            "GAIN (1 and 2); the first odd one is f2",
        ),
        ([{}, {}, {"EXPTIME": 3.0}], "EXPTIME (2 and 3); the first odd one is f2.fit"),
        (
            [{}, {"IMAGETYP": "Flat", "GAIN": 1}, {}],
            "IMAGETYP (dark and flat); the first odd one is f1.fit",
        ),
        ([{"FILTER": "Ha"}, {"FILTER": "H-alpha"}], None),
        ([{"FILTER": name} for name in "LRGB"], "FILTER (l and r and g …); the first odd one"),
        ([{}, {"EXPTIME": 2.0004}], None),
        ([{"OBJECT": "a"}, {"CCD-TEMP": 5}], None),
    ],
)
def test_unlike_frames_of_med_are_one_warning(tmp_path, cards, says):
    found = []
    for i, card in enumerate(cards):
        card = {"IMAGETYP": "Dark", "EXPTIME": 2.0} | card
        path = write(tmp_path / f"f{i}.fit", DARKS[0], **card)
        found += scan_frames([str(path)])
    notes = differences(found)
    assert len(notes) == (says is not None)
    assert says is None or says in notes[0]


def test_what_is_said_of_a_night(tmp_path):
    write_stack(tmp_path / "darks", "d", DARKS[:1], "Dark Frame", 2.0)
    write(tmp_path / "darks" / "light.fit", DARKS[0], "Light Frame", 2.0)
    write(tmp_path / "bias.fits", DARKS[0], "Master Bias", 0.0)
    for name in ("L", "R"):
        write_stack(tmp_path / "flats", f"f{name}", FLATS, "Flat Frame", 2.0, name)
    lines = [
        ("makedark", "darks", "bias.fits", "-v", "--threads", 1),
        ("makeflat", "flats"),
        ("make_cosme", "darks/d0001.fit", "c.lst"),
        ("make_cosme", "darks/d0001.fit", "c.lst", "--hot-pixels", 20),
        ("med", "darks", "m.fit"),
        ("med", "darks/d0001.fit", "n.fit"),
    ]
    dark, flat, cosme, few, med, one = run_many(lines, tmp_path)
    assert "1 dark and 1 bias frame of 31 x 24 pixels" in dark.out
    assert "on 1 thread, " in dark.out
    assert "median of 1 frame, minus bias.fits" in dark.out
    assert "passed over: 1 light frame\n" in dark.out
    assert "light.fit: light frame\n" in dark.out
    hint = "10000 hot pixels are 100% of this small sensor; --hot-pixels N lists fewer"
    assert dark.out.count(hint) == 1
    assert cosme.out.count(hint) == 1
    assert hint not in few.out + flat.out
    assert flat.err.count("so bias.fits is subtracted from the flats, too") == 2
    assert med.err.count("warning: m.fit: the frames differ in IMAGETYP (dark and light)") == 1
    assert "1 frame of 31 x 24" in one.out


def test_hot_pixels_of_a_file(tmp_path):
    path = write(tmp_path / "m1.fit", DARKS[0])
    write(tmp_path / "m2.fit", DARKS[1])
    hot = pulsar_dask.hot_pixels(path, 3)
    image = pixels(path)
    assert image[hot.y.values[0], hot.x.values[0]] == np.max(image)
    assert hot.equals(pulsar_dask.hot_pixels(str(path), 3))
    assert hot.equals(pulsar_dask.hot_pixels(pulsar_dask.median(path, sequence=False), 3))
