"""calibrate: PULSAR's line, what is refused and warned of, what is written, what is passed over."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import same
from night import pixels, stack, tool, write

import pulsar_dask

SHAPE = (24, 31)


@pytest.fixture
def night(tmp_path):
    """Lights, a dark without bias and one with it, a bias, a flat, a list."""
    rng = np.random.default_rng(5)
    for i, frame in enumerate(stack(1, 2, 1500, shape=SHAPE), 1):
        write(tmp_path / f"lights/light_{i:04}.fit", frame, "Light Frame", 120.0, "R")
    bias = np.full(SHAPE, 500, "f4") + rng.integers(-3, 4, SHAPE).astype("f4")
    dark = rng.integers(20, 40, SHAPE).astype("f4")
    write(tmp_path / "bias.fit", bias, "Master Bias")
    write(tmp_path / "dark_out.fit", dark, "Master Dark", 120.0, BIASSUB=True)
    write(tmp_path / "dark_in.fit", dark + bias, "Master Dark", 120.0, BIASSUB=False)
    flat = rng.uniform(4000, 6000, SHAPE).astype("f4")
    write(tmp_path / "flat.fit", flat, "Master Flat", None, "R")
    (tmp_path / "bad.lst").write_text("P 3 4\nP 10 0\n")
    return tmp_path


def light(night, n=1):
    return pixels(night / f"lights/light_{n:04}.fit").astype("f8")


def image(night, name):
    return pixels(night / name).astype("f8")


def header(path):
    return fits.getheader(path)


@pytest.mark.parametrize(
    "line",
    [
        "lights/ out/ -d dark_in.fit -f flat.fit 5000",
        "lights/ out/ -F flat.fit 5000 -D dark_in.fit",
        "-d dark_in.fit lights/ -f flat.fit 5000 out/",
        "lights/ out/ -d dark_in.fit --flat flat.fit --level 5000",
    ],
)
def test_pulsars_line(night, line):
    (night / "out").mkdir()
    tool("calibrate", *line.split(), cwd=night)
    for n in (1, 2):
        right = (light(night, n) - image(night, "dark_in.fit")) * 5000.0 / image(night, "flat.fit")
        same(pixels(night / f"out/light_{n:04}.fit"), right.astype("f4"))


def test_a_bias_taken_twice_is_not(night):
    """A dark that holds the bias and a bias beside: it falls out."""
    tool("calibrate", "lights/light_0001.fit", "--no-sequence", "c.fit", "-d", "dark_in.fit",
         "-b", "bias.fit", cwd=night)  # fmt: skip
    same(pixels(night / "c.fit"), (light(night) - image(night, "dark_in.fit")).astype("f4"))
    assert header(night / "c.fit")["CALSTAT"] == "BD"


def test_a_dark_without_bias_brings_it(night):
    _, err = tool("calibrate", "=lights/light_0001.fit", "c.fit", "-d", "dark_out.fit", cwd=night)
    assert "bias.fit is subtracted from the lights" in err
    right = light(night) - image(night, "bias.fit") - image(night, "dark_out.fit")
    same(pixels(night / "c.fit"), right.astype("f4"))
    (night / "bias.fit").unlink()
    _out, err = tool("calibrate", "=lights/light_0001.fit", "d.fit", "-d", "dark_out.fit",
                    cwd=night, status=1)  # fmt: skip
    assert "--bias FILE or --bias NUMBER, or insist with --no-bias" in err
    tool(
        "calibrate", "=lights/light_0001.fit", "d.fit", "-d", "dark_out.fit", "--no-bias", cwd=night
    )
    same(pixels(night / "d.fit"), (light(night) - image(night, "dark_out.fit")).astype("f4"))


def test_a_level_of_cards(night):
    frame = stack(9, 1, 900, shape=SHAPE)[0]
    write(night / "one.fit", frame, "Light Frame", 60.0, OFFSET=8)
    tool("calibrate", "one.fit", "c.fit", "-b", "=64*$OFFSET", cwd=night)
    same(pixels(night / "c.fit"), (frame.astype("f8") - 512).astype("f4"))
    _, err = tool("calibrate", "one.fit", "d.fit", "-b", "=64*$PEDEST", cwd=night, status=1)
    assert "no number in PEDEST" in err
    _, err = tool("calibrate", "one.fit", "d.fit", "-b", "=64+x", cwd=night, status=1)
    assert "no level" in err


def test_what_is_the_same_is_passed_over(night):
    line = ("calibrate", "lights/", "out/", "-d", "dark_in.fit", "-c", "bad.lst")
    tool(*line, cwd=night)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (night / "out").iterdir()}
    out, _ = tool(*line, cwd=night)
    assert "0 lights calibrated, 2 lights there already" in out
    after = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (night / "out").iterdir()}
    assert before == after
    # one that is missing or was made in another way is made again
    (night / "out/light_0002.fit").unlink()
    out, _ = tool(*line, cwd=night)
    assert "1 light calibrated, 1 light there already" in out
    out, _ = tool(*line, "--pedestal", 100, cwd=night)
    assert "2 lights calibrated" in out
    assert header(night / "out/light_0001.fit")["PEDESTAL"] == 100


def test_names(night):
    out, _ = tool("calibrate", "lights/", "calib.fit", "-d", "dark_in.fit", cwd=night)
    assert "calib0001.fit to calib0002.fit" in out
    assert (night / "calib0001.fit").exists()
    assert (night / "calib0002.fit").exists()
    tool("calibrate", "lights/", "x007.fit", "-d", "dark_in.fit", cwd=night)
    assert (night / "x008.fit").exists()


def test_inputs_and_files_of_others_are_kept(night):
    raw = (night / "lights/light_0001.fit").read_bytes()
    for output in ("lights/", "lights/light_0001.fit"):
        _, err = tool("calibrate", "=lights/light_0001.fit", output, "-d", "dark_in.fit",
                      "--overwrite", cwd=night, status=1)  # fmt: skip
        assert "an input is never replaced" in err
    assert (night / "lights/light_0001.fit").read_bytes() == raw
    for name in ("dark_in.fit", "flat.fit"):
        _, err = tool("calibrate", "=lights/light_0001.fit", name, "-d", "dark_in.fit", "-f",
                      "flat.fit", "--overwrite", cwd=night, status=1)  # fmt: skip
        assert "never replaced" in err
    write(night / "other.fit", np.zeros((3, 3), "i2"))
    _, err = tool("calibrate", "=lights/light_0001.fit", "other.fit", "-d", "dark_in.fit",
                  cwd=night, status=1)  # fmt: skip
    assert "was not written by pulsar-dask" in err
    # nor the calibration of another light
    tool("calibrate", "=lights/light_0001.fit", "c.fit", "-d", "dark_in.fit", cwd=night)
    _, err = tool("calibrate", "=lights/light_0002.fit", "c.fit", "-d", "dark_in.fit", cwd=night,
                  status=1)  # fmt: skip
    assert "is no calibration of light_0002.fit" in err


def test_a_light_that_fails_costs_only_itself(night):
    write(night / "lights/light_0003.fit", np.zeros((5, 5), "u2"), "Light Frame", 120.0, "R")
    _out, err = tool("calibrate", "lights/", "out/", "-d", "dark_in.fit", cwd=night, status=1)
    assert "dark_in.fit does not agree with light_0003.fit" in err
    assert "1 of 3 lights could not be calibrated" in err
    assert sorted(os.listdir(night / "out")) == ["light_0001.fit", "light_0002.fit"]


def test_a_step_is_not_done_twice(night):
    tool("calibrate", "lights/", "out/", "-d", "dark_in.fit", cwd=night)
    _, err = tool("calibrate", "=out/light_0001.fit", "twice.fit", "-d", "dark_in.fit", cwd=night,
                  status=1)  # fmt: skip
    assert "taken out already" in err
    assert "--again" in err
    _, err = tool("calibrate", "=out/light_0001.fit", "f.fit", "-f", "flat.fit", cwd=night)
    assert "calibrated already" in err
    assert header(night / "f.fit")["CALSTAT"] == "BDF"


def test_other_exposures_and_settings(night):
    dark = image(night, "dark_out.fit").astype("f4")
    write(night / "dark240s.fit", dark, "Master Dark", 240.0, BIASSUB=True)
    line = ("calibrate", "=lights/light_0001.fit", "c.fit", "-d", "dark240s.fit", "-b", "bias.fit")
    _, err = tool(*line, cwd=night)
    assert "has an exposure of 240 s, not 120 s" in err
    assert "--scale-dark exposure" in err
    tool(*line, "--scale-dark", "exposure", cwd=night)
    right = light(night) - image(night, "bias.fit") - 0.5 * image(night, "dark240s.fit")
    same(pixels(night / "c.fit"), right.astype("f4"))
    assert header(night / "c.fit")["OPTIMIZ"] == 0.5
    write(night / "g.fit", stack(3, 1, 900, shape=SHAPE)[0], "Light Frame", 240.0, GAIN=100)
    write(night / "g0.fit", dark, "Master Dark", 240.0, BIASSUB=True, GAIN=0)
    _, err = tool("calibrate", "g.fit", "o.fit", "-d", "g0.fit", "-b", 500, cwd=night, status=1)
    assert "GAIN 0, not 100" in err
    assert "--mix gain" in err
    tool("calibrate", "g.fit", "o.fit", "-d", "g0.fit", "-b", 500, "--mix", "gain", cwd=night)


def test_masters_in_units_of_one(night):
    dark = ((image(night, "dark_in.fit")) / 65535).astype("f4")
    write(night / "s.fit", dark, "Master Dark", 120.0, BIASSUB=False, PROGRAM="Siril 1.2")
    _, err = tool("calibrate", "=lights/light_0001.fit", "c.fit", "-d", "s.fit", cwd=night)
    assert "multiplied by 65535" in err
    same(pixels(night / "c.fit"), (light(night) - dark.astype("f8") * 65535).astype("f4"))
    write(night / "t.fit", dark, "Master Dark", 120.0, BIASSUB=False)
    _, err = tool(
        "calibrate", "=lights/light_0001.fit", "d.fit", "-d", "t.fit", cwd=night, status=1
    )
    assert "--master-scale" in err


def test_types(night):
    line = ("calibrate", "=lights/light_0001.fit", "-d", "dark_in.fit", "-f", "flat.fit")
    right = light(night) - image(night, "dark_in.fit")
    right = right * np.median(image(night, "flat.fit")) / image(night, "flat.fit")
    tool(*line, "c.fit", "--dtype", "float64", cwd=night)
    same(pixels(night / "c.fit"), right)
    tool(*line, "i.fit", "--dtype", "input", cwd=night)
    same(pixels(night / "i.fit"), np.clip(np.rint(right), 0, 65535).astype("u2"))


def test_nothing_to_do_it_with(night):
    _, err = tool("calibrate", "lights/", "out/", cwd=night, status=1)
    assert "nothing to calibrate with" in err
    _, err = tool("calibrate", "lights/", "out/", "-d", "no.fit", cwd=night, status=1)
    assert "no.fit" in err
    _, err = tool("calibrate", "lights/", "out/", "-d", "dark_in.fit", "-c", "no.lst", cwd=night,
                  status=1)  # fmt: skip
    assert "no.lst" in err


@pytest.mark.parametrize("more", [(), ("--uncertainty", "--egain", 0.8, "--read-noise", 3)])
@pytest.mark.parametrize("pattern", [None, "RGGB"])
def test_verify_makes_a_light_again(night, more, pattern):
    frame = stack(3, 1, 900, shape=SHAPE)[0]
    cards = {} if pattern is None else {"BAYERPAT": pattern}
    write(night / "one.fit", frame, "Light Frame", 60.0, "R", SATURATE=1300, **cards)
    flat = image(night, "flat.fit").astype("f4")
    flat[5, 5] = 0
    flat[10:16, 3:9] = 0
    write(night / "flat.fit", flat, "Master Flat", None, "R", FLATLEV=20000.0, NCOMBINE=20)
    tool("calibrate", "one.fit", "c.fit", "-d", "dark_out.fit", "-f", "flat.fit", "-c", "bad.lst",
         "--scale-dark", "exposure", "--pedestal", 10, *more, cwd=night)  # fmt: skip
    out, _ = tool("verify", "c.fit", "--all", cwd=night)
    assert f"{frame.size} pixels computed again are the same" in out
    if more:
        for plane in ("uncert", "mask"):
            assert f"{frame.size} pixels of its {plane} computed again are the same" in out
    with fits.open(night / "c.fit", "update") as hdus:
        hdus[0].data[3, 3] += 1
        hdus.flush()
    tool("verify", "c.fit", "--all", cwd=night, status=1)


def counted(net, dark, gain, read):
    """What is expected of R - B: with the mean sky of a pixel and those around it."""
    sky, found = net - dark, np.array(net, float)
    for y, x in np.ndindex(*net.shape):
        near = sky[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean() + dark[y, x]
        if abs(net[y, x] - near) <= 3 * np.sqrt(max(near, 0) / gain + read):
            found[y, x] = near
    return found


def test_uncertainty_and_mask(night):
    frame = stack(3, 1, 900, shape=SHAPE)[0]
    write(night / "one.fit", frame, "Light Frame", 60.0, "R", SATURATE=1300, EGAIN=0.8, RDNOISE=3.0)
    flat = image(night, "flat.fit").astype("f4")
    flat[10:16, 3:9] = 0
    cards = {"FLATLEV": 20000.0, "NCOMBINE": 2}
    write(night / "flat.fit", flat, "Master Flat", None, "R", **cards)
    dark = image(night, "dark_out.fit").astype("f4")
    write(night / "dark_out.fit", dark, "Master Dark", 120.0, BIASSUB=True, NCOMBINE=2)
    write(night / "bias.fit", image(night, "bias.fit").astype("f4"), "Master Bias", NCOMBINE=2)
    tool("calibrate", "one.fit", "c.fit", "-d", "dark_out.fit", "-f", "flat.fit", "-c", "bad.lst",
         "--scale-dark", "exposure", "--uncertainty", cwd=night)  # fmt: skip
    with fits.open(night / "c.fit") as hdus:
        image_, sigma, mask = (np.array(hdu.data) for hdu in hdus)
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "MASK"]
    g, read, k = 0.8, (3 / 0.8) ** 2 + 1 / 12, 0.5
    bias, f = image(night, "bias.fit"), image(night, "flat.fit")
    with np.errstate(all="ignore"):
        f[f <= 0] = np.nan
        m = np.nanmedian(flat)
        c = (frame - bias - k * dark) * m / f
        var = np.maximum(counted(frame - bias, k * dark, g, read), 0) / g + read
        var += k**2 * (np.maximum(dark, 0) / g + read) / 2 + (1 - k) ** 2 * read / 2
        level = f * 20000 / m
        var = var * (m / f) ** 2 + c**2 * (level / g + read) / 2 / level**2
        right = np.sqrt(var)
    listed = [(3, 4), (10, 0)]
    for x, y in listed:
        around = [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        near = [var[p] for p in around if 0 <= p[0] < SHAPE[0] and 0 <= p[1] < SHAPE[1]]
        right[y, x] = np.sqrt(np.mean(near) / len(near))
    np.testing.assert_allclose(sigma, right, rtol=1e-5)
    bits = np.zeros(SHAPE, int)
    for x, y in listed:
        bits[y, x] = 1
    bits[10:16, 3:9] = 2
    bits[frame >= 1300] |= 8
    same(mask, bits)
    # what is not known is asked for
    for gone, option in (("EGAIN", "--egain"), ("RDNOISE", "--read-noise")):
        with fits.open(night / "one.fit") as hdus:
            hdus[0].header.remove(gone)
            hdus.writeto(night / "less.fit", overwrite=True)
        _, err = tool("calibrate", "less.fit", "d.fit", "-d", "dark_in.fit", "--uncertainty",
                      cwd=night, status=1)  # fmt: skip
        assert option in err
    assert np.isnan(image_[12, 5])


def test_a_bias_that_is_out_already_is_told(night):
    """A light whose bias is out, and a dark that holds it: 500 ADU below zero."""
    frame = light(night) - image(night, "bias.fit")
    write(night / "out.fit", (frame - 900).astype("f4"), "Light Frame", 120.0, "R")
    _, err = tool("calibrate", "out.fit", "c.fit", "-d", "dark_in.fit", cwd=night)
    assert "was the bias taken out twice" in err
    _, err = tool("calibrate", "=lights/light_0001.fit", "d.fit", "-d", "dark_in.fit", cwd=night)
    assert "twice" not in err


def test_a_dark_that_does_not_say_whether_it_holds_its_bias(night):
    bias = image(night, "bias.fit")
    for name, level in (("in", bias + 30), ("out", bias - bias + 30), ("odd", bias * 2)):
        cards = {"STACKCNT": 20}
        write(night / f"m_{name}.fit", level.astype("f4"), "Master Dark", 120.0, **cards)
    line = ("calibrate", "=lights/light_0001.fit", "--overwrite", "c.fit", "-d")
    _, err = tool(*line, "m_in.fit", "-b", "bias.fit", cwd=night)
    assert "by its level it does" in err
    same(pixels(night / "c.fit"), (light(night) - bias - 30).astype("f4"))
    tool(*line, "m_out.fit", "-b", "bias.fit", cwd=night)
    same(pixels(night / "c.fit"), (light(night) - bias - 30).astype("f4"))
    _, err = tool(*line, "m_odd.fit", "-b", "bias.fit", cwd=night, status=1)
    assert "--bias-in-dark yes or no" in err
    tool(*line, "m_odd.fit", "-b", "bias.fit", "--bias-in-dark", "yes", cwd=night)
    same(pixels(night / "c.fit"), (light(night) - (bias * 2).astype("f4")).astype("f4"))


def test_flats_of_other_settings_are_told_and_labels_are_read(night):
    frame = stack(3, 1, 1500, shape=SHAPE)[0]
    write(night / "g.fit", frame, "Light Frame", 60.0, "H-alpha", GAIN=100)
    flat = image(night, "flat.fit").astype("f4")
    write(night / "flat.fit", flat, "Master Flat", None, "R", GAIN=0)
    _, err = tool("calibrate", "g.fit", "c.fit", "-f", "flat.fit", cwd=night)
    assert "GAIN 0, not 100" in err
    assert "is of filter 'R', not 'H-alpha'" in err
    _, err = tool("calibrate", "g.fit", "d.fit", "-d", "flat.fit", "-b", 500, "--mix", "gain",
                  "--bias-in-dark", "yes", cwd=night)  # fmt: skip
    assert "is labelled 'Master Flat', taken as dark" in err
    zero = np.zeros(SHAPE, "f4")
    write(night / "zero.fit", zero, "Master Flat", None, "R")
    _, err = tool("calibrate", "g.fit", "e.fit", "-f", "zero.fit", cwd=night, status=1)
    assert "it is no flat" in err


def test_a_colour_without_light(night):
    """A narrow filter on a colour sensor: what the flat says nothing of has no value."""
    frame = stack(3, 1, 1500, shape=SHAPE)[0]
    write(night / "one.fit", frame, "Light Frame", 60.0, "R", BAYERPAT="RGGB")
    flat = image(night, "flat.fit").astype("f4")
    flat[1::2, 1::2] = 0
    write(night / "flat.fit", flat, "Master Flat", None, "R", BAYERPAT="RGGB")
    _, err = tool("calibrate", "one.fit", "c.fit", "-f", "flat.fit", "--one-level", cwd=night)
    assert "1 of its colours has no light" in err
    with np.errstate(all="ignore"):
        right = frame.astype("f8") * np.median(flat.astype("f8")) / flat
    right[1::2, 1::2] = np.nan
    same(pixels(night / "c.fit"), right.astype("f4"))


def test_the_page(night, monkeypatch):
    """Lines of docs/calibrating.md as they stand there; a notebook gives what the command does."""
    page = Path(pulsar_dask.__file__).parent / "docs" / "calibrating.md"
    text = page.read_text(encoding="utf-8")
    for name, called in (("dark_in", "dark120s"), ("flat", "flat_r")):
        os.rename(night / f"{name}.fit", night / f"{called}.fit")
    os.rename(night / "bad.lst", night / "cosme120s.lst")
    (night / "calibrated").mkdir()
    (line,) = re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL)
    tool(*line.split(), cwd=night)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(night)
    known: dict = {}
    exec(code, known)
    same(known["corner"].values, pixels(night / "calibrated/light_0001.fit")[:100])
