"""library: which masters there are, which are stale, which some lights lack."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from helpers import run
from night import write

SHAPE = (6, 8)
CAMERA = {"INSTRUME": "Cam A", "GAIN": 100, "SET_TEMP": -10.0, "CCD_TEMP": -10.0}


def library(*args, cwd, status=0):
    done = run("library", *args, cwd=cwd, status=status)
    return done.stdout, done.stderr


def master(path, kind, exposure=None, filter=None, **cards):
    usual = CAMERA | {"DATE_OBS": "2026-01-01T12:00:00", "NCOMBINE": 20}
    write(path, np.full(SHAPE, 500, "f4"), f"Master {kind}", exposure, filter, **usual | cards)


@pytest.fixture
def shelves(tmp_path):
    m = tmp_path / "m"
    master(m / "bias.fit", "Bias")
    master(m / "dark120s.fit", "Dark", 120.0, BIASSUB=True)
    master(m / "old/dark120s.fit", "Dark", 120.0, BIASSUB=True, DATE_OBS="2024-01-01")
    master(m / "flats/flat_r.fit", "Flat", 3.0, "R", BIASSUB=True)
    master(m / "flats/flat_l.fit", "Flat", 3.0, "L", BIASSUB=False)
    (m / "cosme120s.lst").write_text("P 3 4\r\n")
    (m / "broken.fit").write_text("no image")
    for n, (seconds, name, gain) in enumerate(
        [
            (120.0, "R", 100),
            (120.0, "R", 100),
            (90.0, "R", 100),
            (120.0, "Ha", 100),
            (120.0, "R", 0),
        ]
    ):
        image = np.full(SHAPE, 900 + n, "u2")
        cards = CAMERA | {"GAIN": gain, "DATE_OBS": f"2026-01-10T22:0{n}:00"}
        write(tmp_path / f"lights/light_{n}.fit", image, "Light Frame", seconds, name, **cards)
        write(m / f"raw/d{n}.fit", image, "Dark Frame", 120.0, DATE_OBS=f"2026-01-10T22:0{n}:00")
    return tmp_path


def test_what_there_is(shelves):
    out, err = library("m", cwd=shelves)
    assert "5 masters: 1 of bias, 2 of dark, 2 of flat" in out
    assert "passed over: 5 dark frames" in out
    assert "dark120s.fit is newer" in out
    assert "it may hold its bias" in out
    assert "broken.fit" in err
    rows = [line.split() for line in out.splitlines()]
    assert [
        "dark120s.fit",
        "dark",
        "120",
        "s",
        "-10",
        "8x6",
        "gain100",
        "20",
        "out",
        "2026-01-01",
    ] in rows


def test_what_lights_lack(shelves):
    (shelves / "log.csv").write_text("2026-01-05T12:00:00,cam a,new filter wheel\n")
    out, err = library("m", "--flatlog", "log.csv", "--for", "lights", cwd=shelves, status=1)
    assert (
        "light_0.fit and 1 more light: DARK=dark120s.fit BIAS=bias.fit FLAT=flat_r.fit k=1" in out
    )
    assert "k=0.75" in out
    assert "missing: flats of filter Ha, 8x6 gain100 (1 light)" in out
    assert "missing: darks of 120s at -10 degC, 8x6 gain0 (1 light)" in out
    assert "better than scaling: darks of 90s at -10 degC, 8x6 gain100 (1 light)" in out
    assert "from before 2026-01-05, when flats became others" in out
    assert "no flat lies between the entries of the log" in err
    assert "light_4.fit: no dark: dark120s.fit GAIN 100, not 0; old/dark120s.fit" in err
    assert "raw/: 5 raw darks" in err
    assert "2 of 5 lights lack masters" in err


def test_names_that_a_shell_makes(shelves):
    out, _ = library("m", "--for", "lights/light_0.fit", "lights/light_1.fit", cwd=shelves)
    assert "light_0.fit and 1 more light" in out


def test_as_data(shelves):
    done = run("library", "m", "--for", "lights", "--json", cwd=shelves, status=1)
    found = json.loads(done.stdout)
    assert [len(found[k]) for k in ("library", "choices", "missing", "failed")] == [5, 5, 3, 2]
    first = found["choices"][0]
    assert (first["k"], first["missing"]) == (1, {})
    assert first["list"].endswith("cosme120s.lst")
    old = next(m for m in found["library"] if "old" in m["path"])
    assert any("newer" in why for why in old["stale"])
    assert [(m["kind"], m["needed"]) for m in found["missing"]] == [
        ("dark", False), ("flat", True), ("dark", True),
    ]  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="all may be read")
def test_a_folder_that_cannot_be_read(shelves):
    (shelves / "m/old").chmod(0)
    try:
        out, err = library("m", cwd=shelves)
    finally:
        (shelves / "m/old").chmod(0o755)
    assert "4 masters" in out
    assert "passed over" in err


def test_what_is_not_there(shelves):
    _, err = library("n", cwd=shelves, status=1)
    assert "n: no such file or folder" in err
    (shelves / "empty").mkdir()
    out, _ = library("empty", cwd=shelves)
    assert "0 masters" in out
