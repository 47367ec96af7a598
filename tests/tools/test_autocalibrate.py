"""autocalibrate: PULSAR's line, its traps, names, what is passed over, and the right values."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from astropy.io import fits
from helpers import same
from night import pixels, stack, tool, write

SHAPE = (24, 31)
CAMERA = {"INSTRUME": "Cam A", "GAIN": 100, "SET_TEMP": -10.0, "CCD_TEMP": -10.0}
TONIGHT = "2026-01-10T22:{:02}:00"


def master(path, image, kind, exposure=None, filter=None, **cards):
    usual = CAMERA | {"DATE_OBS": "2026-01-01T12:00:00", "NCOMBINE": 20}
    write(path, image, f"Master {kind}", exposure, filter, **usual | cards)


def light(path, number=0, exposure=120.0, filter="R", **cards):
    image = stack(100 + number, 1, 1500, shape=SHAPE)[0]
    usual = CAMERA | {"DATE_OBS": TONIGHT.format(number), "SITELONG": 0.0}
    write(path, image, "Light Frame", exposure, filter, **usual | cards)
    return image.astype("f8")


@pytest.fixture
def night(tmp_path):
    """Two lights of R, one of Ha; darks without their bias, which lies beside them; flats."""
    rng = np.random.default_rng(5)
    for n in (1, 2):
        light(tmp_path / f"lights/light_{n:04}.fit", n)
    light(tmp_path / "lights/light_0003.fit", 3, filter="Ha")
    bias = (500 + rng.integers(-3, 4, SHAPE)).astype("f4")
    master(tmp_path / "darks/bias.fit", bias, "Bias")
    for seconds in (60, 120):
        dark = rng.integers(20, 40, SHAPE).astype("f4") * (seconds // 60)
        master(tmp_path / f"darks/dark{seconds}s.fit", dark, "Dark", float(seconds), BIASSUB=True)
    (tmp_path / "darks/cosme120s.lst").write_text("P 3 4\nP 10 0\n")
    for name in ("R", "Ha"):
        flat = rng.uniform(4000, 6000, SHAPE).astype("f4")
        master(
            tmp_path / f"flats/a/flat_{name[0].lower()}.fit", flat, "Flat", 3.0, name, BIASSUB=True
        )
    return tmp_path


LINE = ("lights/", "out/", "darks", "flats")


def image(night, name):
    return pixels(night / name).astype("f8")


def calibrated(night, raw, *, k=1.0, dark="dark120s.fit", flat="flat_r.fit", listed=True):
    """What is right, before listed pixels are replaced; those are NaN."""
    flat = image(night, f"flats/a/{flat}")
    out = raw - image(night, "darks/bias.fit") - k * image(night, f"darks/{dark}")
    out = (out * np.median(flat)) / flat
    if listed:
        out[4, 3] = out[0, 10] = np.nan
    return out


def same_but_listed(path, right):
    found = pixels(path)
    assert np.isfinite(found).all()
    there = ~np.isnan(right)
    same(found[there], right.astype("f4")[there])


@pytest.mark.parametrize(
    "line",
    [
        ("lights/", "out/", "darks", "flats"),
        ("lights/*.fit", "out/out.fit", "darks", "flats", "--bestflat"),
        ("--flat-future-days", "2", "lights/light_0001.fit", "out/", "darks", "flats", "--debug"),
        (*(f"lights/light_000{n}.fit" for n in (1, 2, 3)), "out/out", "darks", "flats"),
        ("frames.dat", "out/", "--selection", "darks", "flats"),
        ("@frames.dat", "--ignore", "gain", "out/", "darks", "flats"),
    ],
)  # fmt: skip
def test_pulsars_lines(night, line):
    """Options anywhere, masks that a shell made names of, lists of any name with both comments."""
    (night / "frames.dat").write_text("# of tonight\n; and more\nlights/light_0001.fit\n"
                                      "lights/light_0002.fit\nlights/light_0003.fit\n")  # fmt: skip
    (night / "out").mkdir()
    out, err = tool("autocalibrate", *line, cwd=night)
    assert sorted(os.listdir(night / "out")) == [
        "out_exp120_Ha_1.fit", "out_exp120_R_1.fit", "out_exp120_R_2.fit",
    ]  # fmt: skip
    asked = {"--bestflat", "--selection"} & set(line)
    assert ("are not built" in err) == bool(asked)
    assert "[1/3] light_0001.fit -> out/out_exp120_R_1.fit | BIAS=bias.fit DARK=dark120s.fit" in out
    assert " FLAT=flat_r.fit k=1 M=" in out
    assert "3 lights calibrated" in out
    right = calibrated(night, image(night, "lights/light_0001.fit"))
    same_but_listed(night / "out/out_exp120_R_1.fit", right)


def test_a_numbered_file_alone(night):
    tool("autocalibrate", "lights/light_0002.fit", *LINE[1:], "--no-sequence", cwd=night)
    assert os.listdir(night / "out") == ["out_exp120_R_1.fit"]


def test_cards_and_verify(night):
    tool("autocalibrate", *LINE, "--filter", "R", cwd=night)
    header = fits.getheader(night / "out/out_exp120_R_3.fit")
    assert (header["CALIB"], header["CALSTAT"], header["OPTIMIZ"]) == ("AUTO", "BDFC", 1.0)
    assert header["FILTER"] == "R"  # by force
    assert header["IMAGETYP"] == "Light Frame"
    out, _ = tool("verify", "out", "--all", cwd=night)
    assert out.count(f"{np.prod(SHAPE)} pixels computed again are the same") == 3


def test_a_dark_is_scaled_by_its_hot_pixels(night):
    rng = np.random.default_rng(8)
    dark, bias = image(night, "darks/dark120s.fit"), image(night, "darks/bias.fit")
    dark[2::3, 1::3] += rng.uniform(800, 4000, dark[2::3, 1::3].shape)
    master(night / "darks/dark120s.fit", dark.astype("f4"), "Dark", 120.0, BIASSUB=True)
    raw = bias + 0.6 * dark + rng.normal(300, 5, SHAPE)  # warmer than its exposure says
    usual = CAMERA | {"DATE_OBS": TONIGHT.format(9), "SITELONG": 0.0}
    write(night / "warm.fit", raw.astype("u2"), "Light Frame", 90.0, "R", **usual)
    line = ("autocalibrate", "warm.fit", "out/", "darks", "flats")
    tool(*line, cwd=night)
    assert fits.getheader(night / "out/out_exp90_R_1.fit")["OPTIMIZ"] == 0.75
    for more in ((), ("--dark-scale", "ls")):
        out, _ = tool(*line, "-o", *more, cwd=night)
        assert "was made of other files or in another way: again" in out
        header = fits.getheader(night / "out/out_exp90_R_1.fit")
        assert abs(header["OPTIMIZ"] - 0.6) < 0.006
        assert "error" in " ".join(header["HISTORY"])
    out, _ = tool("verify", "out", "--all", cwd=night)
    assert "pixels computed again are the same" in out


def test_the_nearest_dark_is_scaled_and_said(night):
    """Never used as it is without a word."""
    raw = light(night / "lights/light_0004.fit", 4, exposure=90.0)
    (night / "darks/dark120s.fit").unlink()
    _, err = tool("autocalibrate", "=lights/light_0004.fit", *LINE[1:], cwd=night)
    assert "no dark of 90 s; dark60s.fit of 60 s is scaled by 1.5" in err
    assert "no list of hot pixels lies beside dark60s.fit" in err
    right = calibrated(night, raw, k=1.5, dark="dark60s.fit", listed=False)
    same(pixels(night / "out/out_exp90_R_1.fit"), right.astype("f4"))
    history = "".join(map(str, fits.getheader(night / "out/out_exp90_R_1.fit")["HISTORY"]))
    assert "is scaled by 1.5" in history.replace("&", "")
    line = ("=lights/light_0004.fit", "near/", *LINE[2:], "--bias", "=5*$GAIN", "--nearest-dark")
    _, err = tool("autocalibrate", *line, cwd=night)
    assert "has an exposure of 60 s, not 90 s" in err
    assert fits.getheader(night / "near/out_exp90_R_1.fit")["OPTIMIZ"] == 1


def test_no_bias_stays_in_lights(night):
    """The guide's own workflow: a dark without its bias, and autocalibrate knows no bias."""
    shutil.move(night / "darks/bias.fit", night / "bias.fit")
    _, err = tool("autocalibrate", *LINE, cwd=night, status=1)
    assert "dark120s.fit lacks its bias, which is not there (--bias gives it)" in err
    assert not (night / "out").exists()
    tool("autocalibrate", *LINE, "--bias", "bias.fit", cwd=night)
    shutil.copy(night / "bias.fit", night / "darks/bias.fit")
    right = calibrated(night, image(night, "lights/light_0001.fit"))
    same_but_listed(night / "out/out_exp120_R_1.fit", right)
    tool("autocalibrate", *LINE[:1], "insisted/", *LINE[2:], "--no-bias", cwd=night)
    off = image(night, "insisted/out_exp120_R_1.fit") - image(night, "out/out_exp120_R_1.fit")
    assert 400 < np.median(off) < 600


def test_one_folder_for_all(night):
    """Lights carry all that a dark and a flat need, and are none."""
    for folder in ("darks", "flats/a"):
        for name in os.listdir(night / folder):
            shutil.move(night / folder / name, night / "lights" / name)
    out, _ = tool("autocalibrate", "lights", "lights/", "lights", "lights", cwd=night)
    assert "DARK=dark120s.fit FLAT=flat_r.fit" in out.replace("BIAS=bias.fit ", "")
    # outputs lie among the inputs, and are neither masters nor raw lights in the next run
    before = {n: (night / "lights" / n).read_bytes() for n in os.listdir(night / "lights")}
    out, _ = tool("autocalibrate", "lights/*.fit", "lights/", "lights", "lights", cwd=night)
    assert "3 calibrated lights" in out
    assert "0 lights calibrated, 3 lights there already" in out
    after = {n: (night / "lights" / n).read_bytes() for n in os.listdir(night / "lights")}
    assert after == before
    _, err = tool(
        "autocalibrate", "lights/out_*.fit", "x/", "lights", "lights", cwd=night, status=1
    )
    assert "are calibrated" in err
    assert "--again" in err


def test_raws_and_masters_are_never_replaced(night):
    raw = night / "lights/light_0003.fit"
    before = raw.read_bytes()
    for line in (
        ("lights/light_0001.fit", "lights/light_0003.fit"),
        ("lights/*.fit", "darks/bias.fit"),
    ):
        _, err = tool("autocalibrate", *line, "darks", "flats", "--overwrite", cwd=night, status=1)
        assert "is a file that is there; behind the lights come OUT" in err
    assert raw.read_bytes() == before
    _, err = tool("autocalibrate", "lights", "darks", "flats", cwd=night, status=2)
    assert "lights, OUT, DARKDIR and FLATDIR are needed" in err
    _, err = tool("autocalibrate", "lights", "out/", "dark", "flats", cwd=night, status=1)
    assert "dark: no such file or folder; did you mean darks/?" in err


def test_each_light_costs_only_itself(night):
    """No EXPTIME, a number as FILTER, a size of its own, a file that is cut off."""
    light(night / "lights/light_0004.fit", 4, exposure=None)
    light(night / "lights/light_0005.fit", 5, filter=7)
    write(night / "lights/light_0006.fit", np.zeros((5, 5), "u2"), "Light Frame", 120.0, "R")
    cut = (night / "lights/light_0001.fit").read_bytes()[:3000]
    (night / "lights/light_0007.fit").write_bytes(cut)
    dry, err = tool("autocalibrate", *LINE, "--dry-run", cwd=night, status=1)
    assert "4 of 7 lights could not be calibrated" in err
    assert "3 lights would be calibrated" in dry
    assert "not dark60s.fit" not in dry
    assert not (night / "out").exists()
    out, err = tool("autocalibrate", *LINE, cwd=night, status=1)
    assert "light_0004.fit: no dark, as it states no exposure; give it with --exposure" in err
    assert "light_0005.fit: no flat of filter '7', but of filter 'Ha', of filter 'R'" in err
    assert "light_0006.fit: no dark: bias" not in err
    assert "size 31 x 24, not 5 x 5" in err
    assert "light_0007.fit" in err
    assert "4 of 7 lights could not be calibrated" in err
    assert "3 lights calibrated" in out
    assert len(os.listdir(night / "out")) == 3


def test_numbers_stay(night):
    """Of a light by its pixels, whatever its file is called; and of no light another's."""
    tool("autocalibrate", *LINE, cwd=night)
    first = (night / "out/out_exp120_R_1.fit").read_bytes()
    # one that comes before the others, and a light of another night under an old name
    light(night / "lights/light_0000.fit", 10)
    os.rename(night / "lights/light_0002.fit", night / "lights/m31.fit")
    light(night / "lights/light_0002.fit", 12)
    out, _ = tool("autocalibrate", *LINE, cwd=night)
    assert "light_0000.fit -> out/out_exp120_R_3.fit |" in out
    assert "light_0001.fit -> out/out_exp120_R_1.fit is there, of the same files" in out
    assert "light_0002.fit -> out/out_exp120_R_4.fit |" in out
    assert "out/out_exp120_R_2.fit was made of other files or in another way: again" in out
    assert "m31.fit -> out/out_exp120_R_2.fit |" in out
    assert (night / "out/out_exp120_R_1.fit").read_bytes() == first
    out, _ = tool("autocalibrate", *LINE, "--pedestal", 7, cwd=night)  # made anew where it is
    assert out.count("in another way: again") == 5
    assert len(os.listdir(night / "out")) == 5


def test_lights_of_one_datasum(night):
    """Which does not see the order of pixels."""
    raw = pixels(night / "lights/light_0001.fit")
    for n in range(4, 8):
        image = np.roll(raw.ravel(), 2 * n).reshape(raw.shape)
        date = TONIGHT.format(n)
        write(night / f"lights/light_{n:04}.fit", image, "Light Frame", 120.0, "R", DATE_OBS=date)
    tool("autocalibrate", *LINE, cwd=night)
    before = {n: (night / "out" / n).read_bytes() for n in os.listdir(night / "out")}
    assert len(before) == 7
    out, _ = tool("autocalibrate", *LINE, cwd=night)
    assert "0 lights calibrated, 7 lights there already" in out
    assert {n: (night / "out" / n).read_bytes() for n in os.listdir(night / "out")} == before


def test_names(night):
    shutil.rmtree(night / "lights")
    for n, (seconds, name) in enumerate(
        [(300.0047, "Ha"), (300.0011, "HA"), (0.5, "Ha"), (0.5, None)]
    ):
        light(night / f"lights/l{n}.fit", n, exposure=seconds, filter=name)
    rng = np.random.default_rng(1)
    master(
        night / "flats/b/none.fit",
        rng.uniform(4000, 6000, SHAPE).astype("f4"),
        "Flat",
        3.0,
        BIASSUB=True,
    )
    line = ("lights", "new/m31.fits", "darks", "flats", "--bias", 500)
    tool("autocalibrate", *line, "--pad", cwd=night)
    assert sorted(os.listdir(night / "new")) == [
        "m31_exp0p5_Ha_0001.fits", "m31_exp0p5_L_0001.fits", "m31_exp300_HA_0002.fits",
        "m31_exp300_Ha_0001.fits",
    ]  # fmt: skip


def test_a_log_that_splits_the_night(night):
    (night / "log.csv").write_text("2026-01-01,Cam A\n2026-01-10T22:02:00,Cam A,dust\n")
    _, err = tool("autocalibrate", *LINE, "--flatlog", "log.csv", "--dry-run", cwd=night)
    assert "the log of flats splits its night" in err
    (night / "log.csv").write_text("yesterday,Cam A\n")
    _, err = tool("autocalibrate", *LINE, "--flatlog", "log.csv", cwd=night, status=1)
    assert "log.csv, line 1: 'yesterday' is no time" in err


def test_an_unlabelled_dark(night):
    with fits.open(night / "darks/dark120s.fit", "update") as hdus:
        del hdus[0].header["IMAGETYP"]
        del hdus[0].header["NCOMBINE"]
    os.rename(night / "darks/dark120s.fit", night / "d.fit")
    (night / "darks/dark60s.fit").unlink()
    _, err = tool("autocalibrate", *LINE, cwd=night, status=1)
    assert "no dark" in err
    tool("autocalibrate", *LINE, "--dark-is", "d.fit", cwd=night)


def test_strict_and_quiet(night):
    (night / "darks/cosme120s.lst").unlink()
    out, err = tool("autocalibrate", *LINE, "-q", cwd=night)
    assert not out
    assert err.count("no list of hot pixels") == 2  # once for each choice of masters
    _, err = tool("autocalibrate", *LINE, "--strict", cwd=night, status=1)
    assert "--strict makes an error of this warning" in err
