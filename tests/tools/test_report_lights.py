"""`--report` of lights and of lists: which lights, by what, why, and their levels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import run
from night import pixels, tool, write
from pages import Reader, check_opened, check_still, in_chromium, pictures
from programs import document

SHAPE = (96, 128)
VIGNETTE = 1 - 0.3 * np.linspace(-1, 1, SHAPE[1]) ** 2 * np.ones(SHAPE)


def light_night(folder: Path) -> None:
    """Masters of two darks and a flat, one of them of another gain; lights of L and of B, which has
    no flat, one of them saturated."""
    rng = np.random.default_rng(8)
    dark = rng.normal(500, 3, SHAPE)
    cards = {"GAIN": 100, "CCD_TEMP": -10.0, "BIASSUB": False}
    for name, gain in (("dark60s", 100), ("dark60s_0", 0)):
        more = cards | {"GAIN": gain, "DATE_OBS": "2025-03-01T20:00:00"}
        write(folder / f"m/{name}.fit", dark.astype("f4"), "Master Dark", 60.0, **more)
    flat = (20000 * VIGNETTE).astype("f4")
    more = cards | {"DATE_OBS": "2025-03-01T20:10:00"}
    write(folder / "m/flat_l.fit", flat, "Master Flat", 2.0, "L", **more)
    for n in range(1, 6):
        image = dark + 200 * n * VIGNETTE + rng.normal(0, 4, SHAPE)
        if n == 2:
            image[40:44, 50:54] = 65535
        date = f"2025-03-01T21:{n:02d}:00"
        sky = {"CCD_TEMP": -10.0, "GAIN": 100, "DATE_OBS": date, "SATURATE": 65535}
        path = folder / f"lights/m31 &{n}.fit"
        write(path, np.rint(image).astype("u2"), "Light Frame", 60.0, "B" if n == 5 else "L", **sky)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lights")
    light_night(folder)
    (folder / "out").mkdir()
    words = ("autocalibrate", "lights", "out/c", "m", "m", "--report", "auto.html")
    run(*words, cwd=folder, status=1)
    lights = [f"lights/m31 &{n}.fit" for n in range(1, 5)]
    (folder / "cal").mkdir()
    words = ("calibrate", *lights, "cal", "-d", "m/dark60s.fit", "-f", "m/flat_l.fit")
    errors = ("--uncertainty", "--egain", 1, "--read-noise", 3, "--bias", 300)
    tool(*words, *errors, "--report", "cal.html", cwd=folder)
    return folder


def check_levels(page: Reader, folder: Path) -> None:
    """Levels in the table are those of the files, but for the rows that are looked at."""
    row = r"m31 &(\d)\.fit(?: \(warned of\))?(?: → \S+\.fit)? (\d[\d.]*) (\d[\d.]*) "
    rows = re.findall(row, page.words)
    assert len(rows) == 4
    for n, before, after in rows:
        raw = np.median(pixels(folder / f"lights/m31 &{n}.fit"))
        assert abs(float(before) - raw) < 12
        assert abs(float(after) - 200 * int(n) * np.median(VIGNETTE)) < 12


def test_autocalibrate_tells_which_masters_and_why(night):
    page = Reader(night / "auto.html")
    check_still(page)
    words = page.words
    assert "Not all was done: 4 lights were calibrated, and 1 could not be." in words
    assert re.search(r"m31 &5.fit: .*flat", words)
    assert "m31 &1.fit and 3 more: no list of hot pixels lies beside dark60s.fit" in words
    assert words.count("may hold its bias") == 2
    assert "m31 &1.fit (warned of)" not in words
    assert "m31 &2.fit (warned of)" in words
    assert "4 lights by these masters" in words
    assert "dark dark60s.fit, in " in words
    assert "flat flat_l.fit, in " in words
    assert "not dark60s_0.fit GAIN 0, not 100" in words
    assert "(R - D)*M)/F" in words
    assert "pulsar-dask verify --all out/" in words
    check_levels(page, night)
    assert len([s for s in page.all("svg") if "Level" in s["aria-label"]]) >= 2


def test_calibrate_shows_the_first_light_of_its_masters(night):
    page = Reader(night / "cal.html")
    check_still(page)
    assert "It worked, but look at 1 frame: m31 &2.fit." in page.words
    assert "m31 &2.fit (warned of)" in page.words
    check_levels(page, night)
    master = pixels(night / "cal" / "m31 &1.fit").astype("f8")
    grey = pictures(page)[0][::-1]
    order = np.argsort(master, axis=None, kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()
    assert "The standard error of each pixel" in page.words


def test_what_was_there_already_is_told(night, tmp_path):
    words = ("cosme", str(night / "lights" / "m31 &1.fit"), "--no-sequence", "c.fit", "bad.lst")
    (tmp_path / "bad.lst").write_text("P 3 4\r\n")
    for state in ("1 light was calibrated", "1 light was there already"):
        tool(*words, "--report", "c.html", cwd=tmp_path)
        page = Reader(tmp_path / "c.html")
        check_still(page)
        assert state in page.words
        assert "list of pixels bad.lst" in page.words


def test_a_dry_run_makes_no_report(night, tmp_path):
    words = ("autocalibrate", str(night / "lights"), "o", str(night / "m"), str(night / "m"))
    found, _ = document(*words, "--dry-run", "--report", "r.html", cwd=tmp_path, status=1)
    assert not list(tmp_path.iterdir())
    assert found["choices"]


def test_a_list_of_an_image_has_a_picture_of_it(night, tmp_path):
    image = night / "m" / "dark60s.fit"
    tool("make_cosme", image, "l.lst", "--hot-pixels", 50, "--report", "l.html", cwd=tmp_path)
    page = Reader(tmp_path / "l.html")
    check_still(page)
    assert "Show the 50 listed pixels" in page.words
    assert "dark60s.fit" in page.words


@in_chromium
def test_in_a_browser(night, tmp_path):
    assert "Not all was done" in check_opened(night / "auto.html", tmp_path)
    assert "look at 1 frame" in check_opened(night / "cal.html", tmp_path)
