"""``--dry-run``: what would be made is what is made then; nothing else happens."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from night import Night, stack, write, write_stack
from programs import document

#: Of each tool a command line, in the folder of a night and more.
COMMANDS = {
    "med": ("med", "bias*.fit", "new.fit", "--planes", "count"),
    "med to a store": ("med", "bias*.fit", "new.zarr"),
    "makedark": ("makedark", "darks", "bias*.fit", "--output-dir", "out/deep"),
    "makeflat": ("makeflat", "flats", "--bias", "bias*.fit", "--dark", "dark.fit"),
    "makeflat of dark flats": ("makeflat", "both", "--output-dir", "out"),
    "make_cosme": ("make_cosme", "dark.fit", "new.lst"),
    "a page": ("med", "bias*.fit", "new.fit", "--report", "new.html"),
    "report": ("report", "dark.fit", "-o", "new.html"),
    "cube": ("cube", "darks/d120_0001.fit", "new.zarr"),
    "calibrate": ("calibrate", "lights", "out/", "-d", "dark.fit", "--no-bias"),
    "autocalibrate": ("autocalibrate", "lights", "out/", "masters", "masters", "--bias", 100),
    "cosme": ("cosme", "lights", "c.fit", "bad.lst"),
    "newflat": ("newflat", "--camera", "QHY", "--log", "out/f.csv", "--date", "2024-01-01T00:00"),
}


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    Night(folder)
    dark = stack(7, 1, 200)[0]
    write(folder / "dark.fit", dark.astype("f4"), "Master Dark", 120.0, BIASSUB=True)
    write(folder / "masters/dark.fit", dark.astype("f4"), "Master Dark", 120.0, BIASSUB=True)
    flat = stack(11, 1, 5000)[0].astype("f4")
    write(folder / "masters/flat.fit", flat, "Master Flat", 2.0, BIASSUB=True)
    write_stack(folder / "lights", "l", stack(8, 2, 1200), "Light", 120.0)
    write_stack(folder / "both", "f", stack(9, 3, 20000), "Flat", 2.0, "L")
    write_stack(folder / "both", "d", stack(10, 3, 300), "Dark", 2.0)
    (folder / "bad.lst").write_text("P 3 4\r\n")
    return folder


def content(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_what_it_says_is_what_is_made(tmp_path, night, name):
    here = tmp_path / "here"
    shutil.copytree(night, here)
    before = content(here)
    dry, err = document(*COMMANDS[name], "--dry-run", cwd=here)
    assert content(here) == before
    assert dry["products"] == []
    real, _ = document(*COMMANDS[name], cwd=here)
    assert real["planned"] == []

    def told(files):
        keys = ("what", "frames", "dtype", "kind", "shape", "replaces", "planes")
        return {file["path"]: {key: file.get(key) for key in keys} for file in files}

    assert told(dry["planned"]) == told(real["products"])
    assert len(dry["plans"]) == len(real["plans"]) or name == "report"
    assert {w["code"] for w in dry["warnings"]} <= {w["code"] for w in real["warnings"]}
    assert len(dry["planned"]) > 0
    said = {"newflat": "would be added", "report": "1 master would be looked at"}
    assert said.get(name, "dry run: nothing was made") in err


def test_in_words_and_again(tmp_path, night):
    here = tmp_path / "here"
    shutil.copytree(night, here)
    words = ("makedark", "darks", "--output-dir", "out", "--threads", 2)
    _, err = document(*words, "--dry-run", cwd=here)
    assert "out/dark120s.fit would be made: float32, median of 4 frames\n" in err
    assert "out/cosme120s.lst would be made: 744 hottest pixels\n" in err
    assert " pixels on 2 threads, " in err
    document(*words, "--planes", "count", cwd=here)
    before = content(here)
    again, err = document(*words, "--dry-run", cwd=here)
    assert content(here) == before
    assert all(file["replaces"] for file in again["planned"])
    assert ", in place of what is there\n" in err
    assert "out/dark120s.planes.fit would be removed" in err
    _, err = document("med", "bias*.fit", "dark.fit", "--dry-run", cwd=here, status=1)
    assert "was not written by pulsar-dask" in err


def test_what_cannot_be_made_is_said(tmp_path, night):
    found, _ = document("makeflat", night / "flats", "--dry-run", cwd=tmp_path, status=1)
    assert {f["name"] for f in found["failed"]} == {"flat_l.fit", "flat_r.fit", "flat_h.fit"}
    words = ("med", night / "bias*.fit", "m.fit", "--dry-run")
    found, _ = document(*words, "--memory", "0.001", cwd=tmp_path, status=1)
    assert found["errors"][0]["code"] == "memory"
