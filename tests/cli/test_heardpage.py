"""`--report` of the commands that make no masters: what they say, as a page."""

from __future__ import annotations

import shutil

import pytest
from astropy.io import fits
from helpers import run
from night import stack, write, write_stack
from pages import Reader, check_opened, check_still, in_chromium
from programs import document


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heard")
    write_stack(folder / "darks", "d", stack(1, 4, 300), "Dark", 60.0)
    write(folder / "darks/<b>.fit", stack(2, 1, 900)[0], "Flat", 1.0, "R")
    write_stack(folder / "lights", "l", stack(3, 2, 900), "Light", 60.0, "R")
    run("makedark", "darks", "--exposure", 60, cwd=folder)
    return folder


def page_of(folder, *command, status=0):
    run(*command, "--report", "a.html", cwd=folder, status=status)
    page = Reader(folder / "a.html")
    check_still(page)
    (folder / "a.html").unlink()
    return page


def test_frames(folder):
    page = page_of(folder, "frames", "darks")
    assert "It worked, and nothing is odd." in page.words
    assert "<b>.fit" in page.words
    columns = ("file", "kind", "exposure", "filter", "degC", "settings", "becomes")
    assert " ".join(columns) in page.words
    assert " dark60s.fit 4 frames" in page.words
    assert page.source.count("<td>dark60s.fit</td>") == 4


def test_a_library_and_what_lights_lack(folder):
    page = page_of(folder, "library", ".", "--for", "lights", status=1)
    assert "Not all is as it should be." in page.words
    assert "no flat of filter 'R'" in page.words
    assert "l0001.fit" in page.words
    assert "missing flats of filter R" in page.words


def test_a_stale_master_is_looked_at(folder, tmp_path):
    shutil.copy(folder / "dark60s.fit", tmp_path)
    fits.setval(tmp_path / "dark60s.fit", "DATE-OBS", value="2001-02-03T04:05:06")
    words = page_of(tmp_path, "library", ".").words
    assert "It worked; look at what is marked in the table." in words
    assert "days old" in words


def test_new_flats(tmp_path):
    words = ("newflat", "--camera", "<QHY>", "--log", "f.csv")
    page_of(tmp_path, *words, "--date", "2024-01-01T12:00:00")
    page = page_of(tmp_path, *words, "--date", "2999-01-01T12:00:00")
    assert "It worked; look at this." in page.words
    assert "is in the future" in page.words
    page = page_of(tmp_path, *words, "--list")
    assert "<QHY> until 2024-01-01T12:00:00" in page.words


def test_verified_masters(folder):
    assert "nothing is odd" in page_of(folder, "verify", "dark60s.fit").words
    bad = bytearray((folder / "dark60s.fit").read_bytes())
    bad[bad.index(b"END     ") // 2880 * 2880 + 2885] ^= 1
    (folder / "bad.fit").write_bytes(bad)
    page = page_of(folder, "verify", "bad.fit", "dark60s.fit", status=1)
    assert "Not all is as it should be." in page.words
    assert "bad.fit: the data do not match their DATASUM" in page.words
    away = folder / "away"
    (folder / "darks").rename(away)
    page = page_of(folder, "verify", "dark60s.fit", status=3)
    away.rename(folder / "darks")
    assert "It worked; look at this." in page.words


def test_a_cube_and_what_is_no_page(folder):
    dry, err = document("cube", "darks", "c.zarr", "--report", "c.html", "--dry-run", cwd=folder)
    assert [one["what"] for one in dry["planned"]] == ["cube", "report"]
    assert not (folder / "c.html").exists()
    made, _ = document("cube", "darks", "c.zarr", "--report", "c.html", cwd=folder)
    assert [one["what"] for one in made["products"]] == ["cube", "report"]
    page = Reader(folder / "c.html")
    assert "It worked; look at this." in page.words
    assert "the frames differ in IMAGETYP" in page.words
    before = (folder / "c.html").read_bytes()
    run("frames", "--report", "c.html", cwd=folder, status=2)
    assert (folder / "c.html").read_bytes() == before
    (folder / "mine.html").write_text("mine")
    _, err = document("frames", "darks", "--report", "mine.html", cwd=folder, status=1)
    assert "name another report\n" in err
    assert (folder / "mine.html").read_text() == "mine"


@in_chromium
def test_opened(folder, tmp_path):
    run("frames", "darks", "--report", "f.html", cwd=folder)
    assert "nothing is odd" in check_opened(folder / "f.html", tmp_path)
