"""Real frames, fitsverify and Siril: masters and lists that others can use."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from helpers import REAL, fitsverify_clean, names, same
from night import flat64, hottest, median64, noted, pixels, points, stack, tool, write, write_stack

from pulsar_dask.inputs.pixellists import read_list

needs_frames = pytest.mark.skipif(not REAL.is_dir(), reason="the real frames are not there")
needs_siril = pytest.mark.skipif(
    shutil.which("siril-cli") is None, reason="siril-cli is not installed"
)


def frames(mask):
    return np.array([fits.getdata(p) for p in sorted(REAL.glob(mask))])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with what makedark and makeflat make of the real frames, and what they said."""
    folder = tmp_path_factory.mktemp("real")
    said = {"dark": tool("makedark", REAL, "--bias", REAL / "bias*.fits.fz", cwd=folder)}
    said["no dark"] = tool("makeflat", REAL, cwd=folder, status=1)
    said["flat"] = tool("makeflat", REAL, "--dark", "bias.fit", cwd=folder)
    return folder, said


@needs_frames
def test_darks_and_list(made):
    folder, said = made
    bias = median64(frames("bias*")).astype("f4")
    same(pixels(folder / "bias.fit"), bias)
    dark = (median64(frames("dark*")) - bias.astype("f8")).astype("f4")
    same(pixels(folder / "dark20s.fit"), dark)
    assert points(folder / "cosme20s.lst") == hottest(dark, 10_000)
    out, err = said["dark"]
    assert re.search(r"passed over: .*10 flat frames", out)
    assert re.search(r"passed over: .*2 without IMAGETYP", out)
    assert "dark20s.fit: 12 frames" in err


@needs_frames
def test_flats(made):
    folder, said = made
    out, err = said["no dark"]
    assert "error: Dark not found for exposure 2 s" in err
    assert "--dark" in err
    assert "dark2s.fit" in err
    bias = pixels(folder / "bias.fit").astype("f8")
    for name in ("V", "I"):
        truth = flat64(frames(f"flat_{name}*"), bias)
        same(pixels(folder / f"flat_{name.lower()}.fit"), truth.astype("f4"))
    out, err = said["flat"]
    assert "no cosme2s.lst" in err
    assert re.search(r"passed over: .*12 bias frames", out)
    assert [n for n in names(folder) if not n.endswith(".lst")] == [
        *("bias.fit", "dark20s.fit", "flat_i.fit", "flat_v.fit"),
    ]


@needs_frames
def test_flats_with_a_list(made, tmp_path):
    folder, _ = made
    lines = (folder / "cosme20s.lst").read_bytes().splitlines(keepends=True)
    (tmp_path / "some.lst").write_bytes(b"".join(lines[:2000]))
    args = ("--dark", folder / "bias.fit", "--cosme", "some.lst")
    tool("makeflat", REAL / "flat_V*.fz", 12000, *args, cwd=tmp_path)
    bias = pixels(folder / "bias.fit").astype("f8")
    listed = points(tmp_path / "some.lst")
    truth = flat64(frames("flat_V*"), bias, listed, 12000)
    same(pixels(tmp_path / "flat_v.fit"), truth.astype("f4"))
    assert names(tmp_path) == ["flat_v.fit", "some.lst"]


@needs_frames
def test_unlabelled_darks(made, tmp_path):
    folder, _ = made
    mask = REAL / "unlabelled_dark*.fits.fz"
    _, err = tool("makedark", mask, folder / "bias.fit", cwd=tmp_path, status=1)
    assert "No dark frames found" in err
    assert "2 without IMAGETYP" in err
    tool("makedark", mask, folder / "bias.fit", "--assume-type", cwd=tmp_path)
    bias = pixels(folder / "bias.fit").astype("f8")
    dark = (median64(frames("unlabelled_dark*")) - bias).astype("f4")
    same(pixels(tmp_path / "dark20s.fit"), dark)
    assert points(tmp_path / "cosme20s.lst") == hottest(dark, 10_000)


@needs_frames
@pytest.mark.usefixtures("fitsverify")
def test_fitsverify_has_no_complaint_of_real_masters(made):
    folder, _ = made
    for name in ("bias", "dark20s", "flat_v", "flat_i"):
        fitsverify_clean(folder / f"{name}.fit")


@pytest.mark.usefixtures("fitsverify")
def test_fitsverify_has_no_complaint(here):
    write_stack(here / "d", "d", stack(0, 2, 500), "Dark", 1.5, "a 'quoted' filter", GAIN="high")
    write_stack(here / "b", "b", stack(1, 2, 300, shape=(24, 31)).astype("i4"), "Bias", 0.0)
    write_stack(here / "f", "f", stack(2, 2, 20000), "Flat", 1.5, "Sloan g'")
    tool("makedark", "d", "b", cwd=here)
    tool("makeflat", "f", cwd=here)
    for name in ("bias", "dark1500ms", "flat_sloan_g_"):
        fitsverify_clean(here / f"{name}.fit")


# --- Siril ---------------------------------------------------------------------------------


def siril(folder, *lines):
    """Run a script; returns its log."""
    (folder / "script.ssf").write_text("\n".join(["requires 1.0.0", *lines, ""]))
    done = subprocess.run(
        ["siril-cli", "-d", str(folder), "-s", str(folder / "script.ssf")],
        capture_output=True,
        text=True,
        timeout=100,
        env={"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
    )
    log = done.stdout + done.stderr
    assert "Script execution finished successfully" in log, log
    return log


def changed(a, b):
    """(x, y) of the pixels that differ."""
    return {(int(x), int(y)) for y, x in np.argwhere(a != b)}


PLANTED = [(10, 5), (33, 21), (58, 37), (20, 30), (0, 12), (59, 0), (0, 0), (40, 39)]


@pytest.fixture
def planted(tmp_path):
    image = np.random.default_rng(1).normal(1000, 5, (40, 60)).astype("u2")
    for i, (x, y) in enumerate(PLANTED):
        image[y, x] = 60000 - 1000 * i
    return image


@needs_siril
@pytest.mark.parametrize("order", [None, "TOP-DOWN", "BOTTOM-UP"])
@pytest.mark.slow
def test_siril_applies_a_list_to_the_right_pixels(tmp_path, planted, order):
    write(tmp_path / "m.fit", planted, ROWORDER=order)
    args = ("m.fit", "top.lst", "--hot-pixels", len(PLANTED), "--origin", "top")
    tool("make_cosme", *args, cwd=tmp_path)
    assert points(tmp_path / "top.lst") == [(x, 39 - y) for x, y in PLANTED]
    siril(tmp_path, "load m", "cosme top.lst", "save out")
    assert changed(pixels(tmp_path / "out.fit"), planted) == set(PLANTED)


@needs_siril
@pytest.mark.slow
def test_lists_of_siril_are_read(tmp_path, planted):
    """What its find_hot writes, and the pixels, columns and lines that its cosme corrects."""
    inner = planted.copy()
    for x, y in PLANTED[4:]:  # it does not look at the frame's edge
        inner[y, x] = 1000
    write(tmp_path / "m.fit", inner)
    siril(tmp_path, "load m", "find_hot hot 3 3")
    found = read_list(str(tmp_path / "hot.lst"), (40, 60), origin_top=True)
    assert {(p % 60, p // 60) for p in found.tolist()} == set(PLANTED[:4])
    # every other pixel alike, so that what is corrected is what changes
    ramp = (np.indices((40, 60))[0] * 97 + np.indices((40, 60))[1] ** 2 * 13 + 500).astype("u2")
    write(tmp_path / "ramp.fit", ramp)
    (tmp_path / "lines.lst").write_bytes(b"C 17 0\r\nL 9 0\r\nP 3 4 H\r\n")
    siril(tmp_path, "load ramp", "cosme lines.lst", "save out")
    ours = read_list(str(tmp_path / "lines.lst"), (40, 60), origin_top=True)
    ours = {(p % 60, p // 60) for p in ours.tolist()}
    theirs = changed(pixels(tmp_path / "out.fit"), ramp)
    assert theirs <= ours
    assert len(theirs) > 0.8 * len(ours)


@needs_siril
@needs_frames
@pytest.mark.slow
def test_siril_loads_real_masters_and_applies_their_list(made, tmp_path):
    folder, _ = made
    for name in ("bias", "dark20s", "flat_v", "flat_i"):
        shutil.copy(folder / f"{name}.fit", tmp_path)
        log = siril(tmp_path, f"load {name}", "save copy")
        assert "1050x1024 pixels" in log
        copy, master = pixels(tmp_path / "copy.fit"), pixels(tmp_path / f"{name}.fit")
        assert copy.shape == master.shape
        share = np.corrcoef(copy.ravel(), master.ravel())[0, 1]
        assert share > 0.999
    with noted() as notes:
        tool(
            "make_cosme",
            "dark20s.fit",
            "t.lst",
            "--origin",
            "top",
            "--hot-pixels",
            200,
            cwd=tmp_path,
        )
    assert notes == []
    siril(tmp_path, "load dark20s", "save before", "cosme t.lst", "save after")
    touched = changed(pixels(tmp_path / "before.fit"), pixels(tmp_path / "after.fit"))
    hot = set(hottest(pixels(tmp_path / "dark20s.fit"), 200))
    assert touched <= hot
    assert len(touched) > 190
