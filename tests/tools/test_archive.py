"""A month's archive in one folder: the right masters by one command, each of its own frames."""

from __future__ import annotations

import itertools
import os
import shutil

import numpy as np
import pytest
from astropy.io import fits
from helpers import same
from night import flat64, median64, pixels, stack, tool, write

SHAPE = (20, 24)
CAMERAS = {"A": (1.0, "ZWO ASI2600MM Pro"), "B": (3.0, "QHY 600")}
GAINS, WARMTHS, TIMES, MODES = (0, 100), (-10.0, 5.0), (60.0, 120.0, 300.0047), ("fast", "slow")


def bytes_of(folder):
    return {p.name: fits.getdata(p).tobytes() for p in folder.glob("*.fit")}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Frames by what they are: ("dark", camera, gain, mode, warmth, seconds), ("bias", …), …"""
    folder = tmp_path_factory.mktemp("archive") / "all"
    rng = np.random.default_rng(11)
    number = itertools.count(1)
    truth: dict[tuple, np.ndarray] = {}

    def add(what, kind, level, count, **cards):
        images = np.clip(rng.normal(level, 6, (count, *SHAPE)), 0, 65535).astype("u2")
        truth[what] = images
        for image in images:
            write(folder / f"img_{next(number):05}.fit", image, kind, **cards)

    for camera, (scale, name) in CAMERAS.items():
        for gain, mode in itertools.product(GAINS, MODES):
            cards = {"INSTRUME": name, "GAIN": gain, "READOUTM": mode}
            level = 500 * scale + gain
            add(("bias", camera, gain, mode), "Bias", level, 3, exposure=0.0, **cards)
            for warmth, seconds in itertools.product(WARMTHS, TIMES):
                warm = {"SET_TEMP": warmth, "CCD_TEMP": warmth + 0.2}
                more = level + seconds * (1 + (warmth > 0))
                what = ("dark", camera, gain, mode, warmth, seconds)
                add(what, "Dark", more, 3, exposure=seconds, **cards, **warm)
    add(("light",), "Light", 9000, 2, exposure=60.0)
    write(folder / "dark_stacked.fit", np.ones(SHAPE, "f4"), "Dark", 60.0, STACKCNT=30)
    write(folder / "mdark.fits", np.ones(SHAPE, "f4"), "Dark", 60.0, NCOMBINE=20)
    (folder / "x.xisf").write_bytes(b"XISF0100" + bytes(100))
    return folder, truth


@pytest.fixture(scope="module")
def masters(archive, tmp_path_factory):
    """The folder of the masters of all, and what was said."""
    folder = tmp_path_factory.mktemp("masters")
    out, _ = tool("makedark", os.fspath(archive[0]), os.fspath(archive[0]), cwd=folder)
    return folder, out


def name_of(kind, camera, gain, mode, warmth=None, seconds=None):
    text = f"{kind}{'' if seconds is None else f'{round(seconds)}s'}"
    text += f"_{CAMERAS[camera][1].replace(' ', '_')}_gain{gain}_mode{mode}"
    return text + ("" if warmth is None else f"_{warmth:g}C") + ".fit"


def test_masters_of_an_archive(archive, masters):
    folder, truth = archive
    folder, (tmp_path, out) = os.fspath(folder), masters
    assert "2 light frames" in out
    made = {p.name for p in tmp_path.glob("*.fit")}
    wanted = {name_of(*what): what for what in truth if what[0] != "light"}
    assert made == set(wanted)
    for name, what in wanted.items():
        master = median64(truth[what]).astype("f4").astype("f8")
        if what[0] == "dark":
            bias = median64(truth["bias", *what[1:4]]).astype("f4").astype("f8")
            master = median64(truth[what]) - bias
            header = fits.getheader(tmp_path / name)
            assert (header["GAIN"], header["READOUTM"]) == what[2:4]
            assert header["NCOMBINE"] == 3
        same(pixels(tmp_path / name), master.astype("f4"))
    before = bytes_of(tmp_path)
    tool("makedark", folder, folder, cwd=tmp_path)
    assert bytes_of(tmp_path) == before


def test_flats_find_their_dark_among_many(archive, masters, tmp_path):
    _, truth = archive
    for path in masters[0].iterdir():
        shutil.copy2(path, tmp_path)
    images = stack(5, 3, 20000, shape=SHAPE)
    cards = {"INSTRUME": CAMERAS["B"][1], "GAIN": 100, "READOUTM": "slow", "CCD_TEMP": 4.0}
    for i, image in enumerate(images):
        write(tmp_path / "f" / f"f{i}.fit", image, "Flat", 120.0, "L", **cards)
    tool("makeflat", "f", "--cosme", "none.lst", cwd=tmp_path, status=1)
    (tmp_path / "none.lst").write_bytes(b"")
    _, err = tool("makeflat", "f", "--cosme", "none.lst", cwd=tmp_path)
    dark = truth["dark", "B", 100, "slow", 5.0, 120.0]
    bias = median64(truth["bias", "B", 100, "slow"]).astype("f4").astype("f8")
    whole = (median64(dark) - bias).astype("f4").astype("f8") + bias
    same(pixels(tmp_path / "flat_l.fit"), flat64(images, whole).astype("f4"))
    assert "bias_QHY_600_gain100_modeslow.fit is subtracted from the flats, too" in err


def test_a_group_that_cannot_be_made_costs_only_itself(tmp_path):
    for gain in (0, 100):
        for i, image in enumerate(stack(gain, 3, 500, shape=SHAPE)):
            write(tmp_path / "d" / f"d{gain}_{i}.fit", image, "Dark", 60.0, GAIN=gain)
    bias = stack(7, 1, 300, shape=SHAPE)[0]
    write(tmp_path / "bias.fit", bias.astype("f4"), "Master Bias", GAIN=100)
    _, err = tool("makedark", "d", "bias.fit", cwd=tmp_path, status=1)
    assert (
        "dark60s_gain0.fit: no bias agrees with these frames: bias.fit has GAIN 100, not 0" in err
    )
    assert not (tmp_path / "dark60s_gain0.fit").exists()
    truth = median64(stack(100, 3, 500, shape=SHAPE)) - bias
    same(pixels(tmp_path / "dark60s_gain100.fit"), truth.astype("f4"))
    tool("makedark", "d", "bias.fit", "--mix", "gain", cwd=tmp_path)
    history = list(fits.getheader(tmp_path / "dark60s.fit")["HISTORY"])
    assert "warning: GAIN 0 and 100 are mixed" in history
    assert "GAIN" not in fits.getheader(tmp_path / "dark60s.fit")


def test_an_own_master_of_other_settings_is_kept(tmp_path):
    for gain in (0, 100):
        for i, image in enumerate(stack(gain, 3, 500, shape=SHAPE)):
            write(tmp_path / f"g{gain}" / f"d{i}.fit", image, "Dark", 60.0, GAIN=gain)
    tool("makedark", "g0", cwd=tmp_path)
    before = (tmp_path / "dark60s.fit").read_bytes()
    _, err = tool("makedark", "g100", cwd=tmp_path, status=1)
    assert "a master of other settings has that name (GAIN 0, not 100); it is kept" in err
    assert (tmp_path / "dark60s.fit").read_bytes() == before
    tool("makedark", "g100", "--names", "full", cwd=tmp_path)
    assert (tmp_path / "dark60s_gain100_notemperature.fit").exists()
    out, _ = tool("makedark", "g100", "--overwrite", cwd=tmp_path)
    assert "replaces a master of 3 frames, d0.fit and 2 more of them not among these" in out


def test_dark_flats_sky_flats_and_verify(tmp_path):
    flats = stack(1, 3, 20000, shape=SHAPE)
    darks = stack(2, 3, 500, shape=SHAPE)
    for i in range(3):
        write(tmp_path / "f" / f"f{i}.fit", flats[i], "Flat", 2.0, "L")
        write(tmp_path / "f" / f"d{i}.fit", darks[i], "FlatDark", 2.0)
    tool("makeflat", "f", cwd=tmp_path)
    dark = median64(darks).astype("f4").astype("f8")
    same(pixels(tmp_path / "dark2s.fit"), dark.astype("f4"))
    out, _ = tool("verify", "flat_l.fit", "--all", cwd=tmp_path)
    assert "GOOD" in out.upper() or "same" in out
    times = (1.0, 2.0, 2.04)
    for i, seconds in enumerate(times):
        write(tmp_path / "sky" / f"s{i}.fit", flats[i], "Sky Flat", seconds, "L")
    _, err = tool("makeflat", "sky", "--output-dir", "o", cwd=tmp_path, status=1)
    assert "--mix exposure" in err
    write(tmp_path / "bias.fit", np.full(SHAPE, 300, "f4"), "Master Bias")
    (tmp_path / "cosme2s.lst").write_bytes(b"")
    tool("makeflat", "sky", "--mix", "exposure", "--output-dir", "o", cwd=tmp_path)
    values = [flats[0] - 300.0, flats[1] - dark, flats[2] - dark]
    truth = np.median([v * (5000 / np.median(v)) for v in values], axis=0)
    same(pixels(tmp_path / "o" / "flat_l.fit"), truth.astype("f4"))
    out, _ = tool("verify", "o/flat_l.fit", "--all", cwd=tmp_path)
    assert "EXPTIME" not in fits.getheader(tmp_path / "o" / "flat_l.fit")
