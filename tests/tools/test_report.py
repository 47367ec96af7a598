"""`--report` and `pulsar-dask report`: pages as someone has them who opens them, of nights with
planted faults, of the demo, of frames of a real camera."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import REAL, run
from night import pixels, tool, write, write_stack
from pages import Reader, check_opened, check_still, in_chromium, pictures
from programs import document

from pulsar_dask import demo
from pulsar_dask.output.charts import number

SHAPE = (120, 180)


def bad_night(folder: Path) -> None:
    """Darks of which one leaks light and one is warm; flats, one saturated, one behind a cloud."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    base, rate = 500 + 0.02 * y, np.full(SHAPE, 0.3)
    rate.ravel()[rng.choice(rate.size, 60, replace=False)] += rng.uniform(5, 100, 60)
    vignette = 1 - 0.3 * ((x - 90) ** 2 + (y - 60) ** 2) / 90**2

    def take(where: str, kind: str, seconds: float, signal, n: int, filter_=None, **cards):
        image = base + signal + rng.normal(0, 6, SHAPE)
        image = np.clip(np.rint(image), 0, 65535).astype("u2")
        cards = {"CCD_TEMP": -10.0, "SET_TEMP": -10.0, "GAIN": 100} | cards
        date = f"2025-03-01T20:{n:02d}:00"
        path = folder / f"{where}{n:04d}.fit"
        write(path, image, kind, seconds, filter_, DATE_OBS=date, **cards)

    for n in range(1, 13):
        take("bias", "Bias Frame", 0.0, 0, n)
        take("darks/dark", "Dark Frame", 60.0, _dark(rng, rate, n, x, y), n, **_warm(n))
        take("flatdarks/fd", "Dark Frame", 2.0, 0, n)
        light = 25000 * (1 - 0.004 * n) * vignette
        if n == 4:
            light = light * 4
        if n == 9:
            light = light * (1 - 0.2 * x / SHAPE[1])
        take("flats/flat", "Flat Frame", 2.0, rng.poisson(light), n, "L")


def _dark(rng, rate, n, x, y):
    leak = 25 + 60 * np.exp(-((x - 180) ** 2 + (y - 120) ** 2) / 50**2) if n == 5 else 0
    return rng.poisson(rate * 60 * (2.5 if n == 10 else 1)) + leak


def _warm(n):
    return {"CCD_TEMP": -4.0} if n == 10 else {}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    bad_night(folder)
    tool(
        "makedark", "darks", "bias*.fit", "--mix", "temperature", "--report", "dark.html",
        "--hot-pixels", 100, "--planes", "count", cwd=folder,
    )  # fmt: skip
    tool("makedark", "flatdarks", "--hot-pixels", 20, cwd=folder)
    tool("makeflat", "flats", "--report", "flat.html", cwd=folder)
    return folder


@in_chromium
def test_each_planted_fault_stands_in_the_verdict(bad, tmp_path):
    dark = check_opened(bad / "dark.html", tmp_path)
    assert dark.startswith("It worked, but look at 2 frames: dark0005.fit and dark0010.fit.")
    assert "level of 2 of 12 frames (dark0005.fit, dark0010.fit)" in dark
    assert re.search(r"corners of dark0005.fit: .*light", dark)
    assert "temperatures from -10 to -4 degC are mixed" in dark
    flat = check_opened(bad / "flat.html", tmp_path)
    assert re.search(r"pixels saturated \(at 65535 ADU\) in flat0004.fit", flat)
    assert re.search(r"corners of .*flat0009.fit.*clouds", flat)


@pytest.mark.more
@in_chromium
def test_the_demos_night_has_nothing_odd(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "HEIGHT", 140)
        patch.setattr(demo, "WIDTH", 200)
        demo.make_night(tmp_path / "night", demo.make_sensor())
    night = tmp_path / "night"
    tool("makedark", "darks", "bias*.fit", "--hot-pixels", 200, "-q", cwd=night)
    tool("report", "bias.fit", "dark120s.fit", "dark300s.fit", cwd=night)
    verdict = check_opened(night / "report.html", tmp_path)
    assert verdict.startswith(
        "bias.fit, dark120s.fit and dark300s.fit: made again of the same frames, every pixel is "
        "the same, and nothing is odd."
    )


@in_chromium
@pytest.mark.skipif(not REAL.is_dir(), reason="no real frames here")
def test_real_frames(tmp_path):
    (tmp_path / "m").mkdir()
    options = ("--output-dir", "m", "--report", "m/dark.html")
    tool("makedark", str(REAL), "--bias", f"{REAL}/bias*.fits.fz", *options, cwd=tmp_path)
    options = ("--dark", "m/bias.fit", "--output-dir", "m", "--report", "m/flat.html")
    tool("makeflat", str(REAL), *options, cwd=tmp_path)
    for name in ("dark", "flat"):
        page = Reader(tmp_path / "m" / f"{name}.html")
        check_still(page)
        check_opened(tmp_path / "m" / f"{name}.html", tmp_path)


def test_what_is_in_a_page(bad):
    page = Reader(bad / "dark.html")
    check_still(page)
    words = re.sub(r"\s+", " ", page.text)
    for one in (
        "bias · 12 frames · 180 x 120 pixels", "Show the 100 listed pixels", "Worst places",
        "Level, ADU", "Temperature, °C", "read noise", "How many values were used",
        "median of 12 frames; minus bias.fit, the median of 12 frames", "12 frames in ",
        "pulsar-dask verify --all bias.fit dark60s.fit", "minutes since 2025-03-01 20:01:00",
    ):  # fmt: skip
        assert one in words, one
    (level,) = (
        s for s in (x["aria-label"] for x in page.all("svg")) if "Level" in s and "odd" in s
    )
    assert level.endswith("marked as odd: dark0005.fit, dark0010.fit")
    # figures are those of frames as they are
    found = re.search(r"read noise (\d+\.\d+) ADU", words)
    assert abs(float(found[1]) - np.hypot(6, np.sqrt(1 / 12))) < 0.1


def test_the_picture_is_the_master_and_its_list(bad):
    """A page of small images shows each pixel."""
    page = Reader(bad / "dark.html")
    shown = pictures(page)
    alts = [image["alt"] for image in page.all("img")]
    first = next(i for i, alt in enumerate(alts) if alt.startswith("Places of"))
    marks, grey = shown[first][::-1], shown[first - 1][::-1]
    listed = np.loadtxt(bad / "cosme60s.lst", usecols=(1, 2), dtype=int)
    expected = np.zeros(SHAPE, np.uint8)
    expected[listed[:, 1], listed[:, 0]] = 1
    assert np.array_equal(marks, expected)
    master = pixels(bad / "dark60s.fit").astype("f8")
    order = np.argsort(master, axis=None, kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()
    assert grey.min() == 1
    assert grey.max() == 255


def test_inputs_that_are_gone_and_masters_of_others(bad, tmp_path):
    for path in (bad / "bias.fit", bad / "dark60s.fit"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fits.PrimaryHDU(np.ones((20, 30), "f4")).writeto(tmp_path / "theirs.fit")
    out, _ = tool("report", "bias.fit", "theirs.fit", "-o", "r.html", cwd=tmp_path)
    assert "bias.fit: looked at alone" in out
    page = Reader(tmp_path / "r.html")
    check_still(page)
    assert re.search("bias.fit: 12 of the 12 files .* --inputs DIR says where", page.text)
    assert "theirs.fit: it does not say what it was made of" in page.text
    out, _ = tool("report", "bias.fit", "-o", "r.html", "--inputs", str(bad), cwd=tmp_path)
    assert "every pixel is the same" in out
    with fits.open(tmp_path / "bias.fit", mode="update", checksum=False) as hdus:
        hdus[0].data[5, 5:8] += 1
    tool("report", "bias.fit", "-o", "r.html", "--inputs", str(bad), cwd=tmp_path)
    assert f"3 of {SHAPE[0] * SHAPE[1]} pixels" in Reader(tmp_path / "r.html").text


def test_gain_knows_the_noise_of_the_frames_of_its_dark(tmp_path):
    rng = np.random.default_rng(7)
    light = rng.poisson(800, (6, 120, 200)) / 2 + rng.normal(500, 20, (6, 120, 200))
    darks = np.rint(rng.normal(500, 20, (5, 120, 200))).astype("u2")
    write_stack(tmp_path / "f", "f", np.rint(light).astype("u2"), "Flat Frame", 2.0, "L")
    frames = write_stack(tmp_path / "d", "d", darks, "Dark Frame", 2.0)
    tool("makedark", "d", "--hot-pixels", 0, cwd=tmp_path)
    for gone in (False, True):
        for frame in frames if gone else ():
            frame.unlink()
        tool("makeflat", "f", "--dark", "dark2s.fit", "--report", "r.html", cwd=tmp_path)
        text = re.sub(r"\s+", " ", Reader(tmp_path / "r.html").text)
        assert ("at least" in text) == gone
        gain = float(re.search(r"(\d\.\d+) ± \S+ electrons per ADU", text)[1])
        # with all the noise of a frame taken for that of light
        assert abs(gain - (400 / (200 + 400) if gone else 2.0)) < 0.2 * gain


def test_against_the_master_before(tmp_path):
    rng = np.random.default_rng(3)
    for night in (1, 2):
        stack = np.rint(rng.normal(500 + 10 * night, 5, (6, 60, 80))).astype("u2")
        stack[:, 10, 10 * night] += 900
        write_stack(tmp_path / "d", "d", stack, "Dark Frame", 60.0, GAIN=100)
        options = ("--hot-pixels", 1, "--report", "r.html")
        tool("makedark", "d", *options, cwd=tmp_path)
        page = re.sub(r"\s+", " ", Reader(tmp_path / "r.html").text)
        assert ("Against the master before" in page) == (night == 2)
    assert "its settings are the same" in page
    assert re.search(r"level 510(\.5)? → 520(\.5)? ADU", page)
    assert "hot pixels that came 1: (20, 10)" in page
    assert "hot pixels that went 1: (10, 10)" in page


def test_against_a_master_elsewhere(tmp_path):
    rng = np.random.default_rng(3)
    for night in ("a", "b"):
        stack = np.rint(rng.normal(500 + 10 * (night == "b"), 5, (6, 60, 80))).astype("u2")
        stack[:, 10, 10 if night == "a" else 20] += 900
        write_stack(tmp_path / night, "d", stack, "Dark Frame", 60.0, GAIN=100)
        (tmp_path / f"m{night}").mkdir()
        options = ("--output-dir", f"m{night}", "--hot-pixels", 1)
        tool("makedark", night, *options, cwd=tmp_path)
    tool("report", "mb/dark60s.fit", "--against", "ma", cwd=tmp_path)
    tool("makedark", "b", *options, "--report", "again.html", "--against", "ma", cwd=tmp_path)
    for name in ("report.html", "again.html"):
        text = re.sub(r"\s+", " ", Reader(tmp_path / name).text)
        assert re.search(r"dark60s.fit, in \S+ma; its settings are the same", text)
        assert re.search(r"level (499\.5|500(\.5)?) → (509\.5|510(\.5)?) ADU", text)
        assert "hot pixels that came 1: (20, 10)" in text


@pytest.mark.parametrize("where", ["--scheduler", "--memory"])
def test_reports_are_the_same_wherever_tiles_are_made(bad, tmp_path, request, where):
    on_cluster = where == "--scheduler"
    options = (where, request.getfixturevalue("cluster").address if on_cluster else 0.3)
    args = ("med", str(bad / "bias0001.fit"), "m.fit", "--report", "r.html")
    tool(*args, cwd=tmp_path)
    here = pictures(Reader(tmp_path / "r.html"))
    tool(*args, *options, cwd=tmp_path)
    there = pictures(Reader(tmp_path / "r.html"))
    assert len(here) == len(there)
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


def test_what_is_refused(bad, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    frames = str(bad / "bias0001.fit")
    for words, says in (
        (("med", frames, "m.fit", "--report", "mine.html"), "was not written by pulsar-dask"),
        (("med", frames, "m.fit", "--report", "a.fit"), "a report is a .html file"),
        (("report", "gone.fit"), "gone.fit"),
        (("report", str(bad / "dark60s.planes.fit")), "name the master"),
    ):
        _, err = tool(*words, cwd=tmp_path, status=1)
        assert says in err
    assert {p.name for p in tmp_path.iterdir()} == {"mine.html"}
    assert (tmp_path / "mine.html").read_text() == "mine"


def test_values_that_are_missing_and_colour_images(tmp_path):
    rng = np.random.default_rng(1)
    stack = rng.normal(100, 5, (5, 3, 40, 50)).astype("f4")
    stack[:, 1, 7, 9] = np.nan
    for i, image in enumerate(stack):
        write(tmp_path / "c" / f"c{i}.fit", image)
    tool("med", "c", "m.fit", "--report", "r.html", cwd=tmp_path)
    page = Reader(tmp_path / "r.html")
    check_still(page)
    text = re.sub(r"\s+", " ", page.text)
    assert "without a value 1 pixels" in text
    assert "of its 3 planes" in text
    tool("med", "c", "m.zarr", "--report", "z.html", cwd=tmp_path)
    check_still(Reader(tmp_path / "z.html"))


def test_programs_have_the_same_figures(bad, tmp_path):
    args = ("makedark", str(bad / "darks"), "--bias", str(bad / "bias.fit"), "--mix", "temperature")
    found, _ = document(*args, "--report", "r.html", "--reject-frames", cwd=tmp_path)
    assert [Path(p["path"]).name for p in found["products"]][-1] == "r.html"
    (master,) = (p for p in found["products"] if p["what"] == "master")
    text = re.sub(r"\s+", " ", Reader(tmp_path / "r.html").text)
    assert len(master["frames"]) == len(master["figures"]["frame_levels"]) == 10
    noise = number(master["figures"]["noise_of_frame"])
    assert f"noise of one frame {noise} ADU" in text
    assert "2 frames did not belong and were left out: dark0005.fit and dark0010.fit." in text


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_names_that_are_no_text(tmp_path):
    frames = write_stack(tmp_path / "b", "b", np.full((3, 9, 9), 7, "u2"), "Bias Frame", 0.0)
    try:
        frames[1].rename(os.fsdecode(bytes(frames[1].parent) + b"/\xff<b>&.fit"))
    except OSError:
        pytest.skip("no such names here")
    tool("med", "b", "m.fit", "--report", "r.html", cwd=tmp_path)
    page = Reader(tmp_path / "r.html")
    check_still(page)
    assert "\\udcff<b>&.fit" in page.text


def test_what_was_not_made_stands_in_the_verdict(tmp_path):
    rng = np.random.default_rng(1)
    stack = np.rint(rng.normal(500, 5, (3, 40, 50))).astype("u2")
    write_stack(tmp_path / "d", "a", stack, "Dark Frame", 60.0)
    write_stack(tmp_path / "d", "b", stack, "Dark Frame", 90.0)
    write(tmp_path / "dark90s.fit", stack[0], "Dark Frame", 90.0)  # the user's
    done = run("makedark", "d", "--report", "r.html", "--hot-pixels", 5, cwd=tmp_path, status=1)
    assert "dark90s.fit" in done.stderr
    page = tmp_path / "r.html"
    assert not page.exists() or "Not all was done" in Reader(page).text


@in_chromium
@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_and_cards_that_are_markup(tmp_path):
    rng = np.random.default_rng(1)
    names = [
        "<script>alert(1)<",
        "'q' \"",
        "100%s%n",
        "Größe 日本語",
        180 * "a",
        "{{ 7*7 }}{% raw %}",
    ]
    for i, name in enumerate([*names, "&amp;", "7"]):
        image = rng.normal(500 + 200 * (i == 4), 5, (40, 50))
        cards = {"OBJECT": "<img src=x onerror=alert(1)>", "INSTRUME": "<b>'%\""}
        write(tmp_path / "d" / f"{name}.fit", np.rint(image).astype("u2"), "Dark", 60.0, **cards)
    tool("makedark", "d", "--report", "<i>.html", "--hot-pixels", 20, cwd=tmp_path)
    (tmp_path / "<i>.html").rename(tmp_path / "r.html")
    check_still(Reader(tmp_path / "r.html"))
    assert 180 * "a" in check_opened(tmp_path / "r.html", tmp_path)
    text = Reader(tmp_path / "r.html").text
    assert all(name in text for name in names)
