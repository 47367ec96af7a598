"""``verify`` of folders and of many files: what each is, what it costs the others, exit status."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from harm import flip
from helpers import run, write_frame
from night import Night, stack, tool, write_stack

from pulsar_dask.engine import scheduler
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.verify import verify

GOOD = "pixels computed again are the same"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Masters in a folder with a folder in it, of frames that lie elsewhere; and what else there
    may be."""
    folder = tmp_path_factory.mktemp("night")
    Night(folder / "raw")
    out = folder / "masters"
    out.mkdir()
    tool("makedark", "raw/darks/", "raw/bias*.fit", "--output-dir", "masters", cwd=folder)
    tool("makeflat", "raw/flats/", "--output-dir", "masters/deep", "--dark", "0", cwd=folder)
    tool("cube", "raw/darks/d120*", "masters/cube.zarr", cwd=folder)
    tool("med", "raw/bias*.fit", "masters/bias.zarr", cwd=folder)
    cards = {"IMAGETYP": "Master Dark", "CREATOR": "PixInsight"}
    write_frame(out / "theirs.fit", np.zeros((4, 5), "f4"), cards=cards)
    write_frame(out / "raw.fit", np.zeros((4, 5), "i2"), cards={"IMAGETYP": "Dark Frame"})
    write_frame(out / "some.fits.gz", np.zeros((4, 5), "i2"))
    (out / "text.fit").write_text("no FITS")
    (out / "notes.txt").write_text("no FITS either")
    return folder


@pytest.fixture
def masters(made, tmp_path) -> Path:
    """A copy of that folder of masters, with the raw frames beside it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "masters"


def says(folder: Path, *args: object, status: int = 0) -> tuple[str, str]:
    """What verify says on stdout and stderr, run as a user does."""
    return tool("verify", *args, cwd=folder, status=status)


def test_a_folder(masters):
    out, err = says(masters.parent, "masters")
    judged = ["bias.fit", "dark120s.fit", "dark300s.fit", "bias.zarr", "cube.zarr"]
    for name in judged:
        assert re.search(rf"^masters.{name}: ", out, re.MULTILINE)
    assert out.count(GOOD) == 4
    assert "4 of 4 frames have the pixels of their files" in out
    assert "flat_" not in out
    assert "5 files: 5 good" in out
    (passed,) = (line for line in out.splitlines() if line.startswith("passed over: "))
    kinds = passed.removeprefix("passed over: ").split(", ")
    assert sorted(kinds) == [
        "1 foreign master", "1 raw frame", "1 unlabelled file", "1 unreadable file"
    ]  # fmt: skip
    assert err == ""


def test_a_folder_and_those_in_it(masters):
    out, _ = says(masters.parent, "masters", "--recursive")
    assert "8 files: 8 good" in out
    assert out.count(GOOD) == 7
    out, _ = says(masters, ".", "dark120s.fit", "../masters/bias.fit")
    assert "5 files: 5 good" in out  # each once


def test_a_folder_without_masters(masters):
    out, err = says(masters.parent, "raw/darks", status=1)
    assert out.count("\n") == 1 + bool(re.search("passed over", out))
    assert "raw/darks: a folder; verify takes masters and cubes" in err
    assert "none that pulsar-dask wrote is in it (10 raw frames)" in err
    assert "--recursive looks into the folders below" in err
    _, err = says(masters.parent, "raw/darks", "--recursive", status=1)
    assert "--recursive" not in err


def test_one_that_cannot_be_judged_does_not_cost_the_others(masters):
    flip(masters / "dark120s.fit", -2880)
    named = ["raw.fit", "nothing.fit", "dark120s.fit", "theirs.fit", "text.fit", "bias.fit"]
    out, err = says(masters, *named, status=1)
    assert "bias.fit: 744 pixels computed again are the same" in out
    assert "dark120s.fit: the data do not match their DATASUM" in out
    assert "6 files: 1 good, 5 damaged, different or not to be judged" in out
    errors = err.splitlines()
    assert len(errors) == 4
    for name, error in zip(
        ("raw.fit", "nothing.fit", "theirs.fit", "text.fit"), errors, strict=True
    ):
        assert re.match(rf"error: (\S*/)?{name}: ", error)


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"IMAGETYP": "Flat Field"}, "a raw frame, not a master (IMAGETYP 'Flat Field')"),
        ({"IMAGETYP": "Light"}, "a raw frame, not a master (IMAGETYP 'Light')"),
        ({}, "not a master (no IMAGETYP)"),
        ({"IMAGETYP": "Something"}, "not a master (IMAGETYP 'Something')"),
        ({"IMAGETYP": "masterFlat"}, "a master of another program (IMAGETYP 'masterFlat')"),
        (
            {"IMAGETYP": "Master Bias", "CREATOR": "pulsar-dask 0.0"},
            "its HISTORY does not say what it was made of",
        ),
    ],
)
def test_words_for_what_is_no_master_of_ours(tmp_path, cards, words):
    write_frame(tmp_path / "a.fit", np.zeros((4, 5), "i2"), cards=cards)
    _, err = says(tmp_path, "a.fit", status=1)
    assert f"a.fit: {words}" in err


def test_inputs_that_are_not_where_they_were(masters):
    shutil.move(masters.parent / "raw", masters.parent / "else")
    done = run("verify", "masters", "--recursive", cwd=masters.parent, status=3, alone=True)
    assert done.stderr == ""
    # the cube names its files by their whole paths, which are those of the night that was copied
    assert "8 files: 1 good, 7 made of files that are not where they were" in done.stdout
    assert re.search(r"dark300s.fit: input \S*d300_0001.fit: not there", done.stdout)
    assert "10 of 10 files that it was made of are not where they were; --inputs DIR" in done.stdout
    assert "whole, its CHECKSUM and DATASUM match" in done.stdout
    quiet, _ = says(masters, "dark300s.fit", "--quiet", status=3)
    assert "not where they were" in quiet
    assert "whole" not in quiet
    there = [word for name in ("darks", "flats", "") for word in ("--inputs", f"else/{name}")]
    out, _ = says(masters.parent, "masters", "--recursive", *there)
    assert "8 files: 8 good" in out


def test_damage_counts_more_than_what_is_not_there(masters):
    raw = masters.parent / "raw"
    (raw / "bias0001.fit").unlink()
    out, _ = says(masters, "bias.fit", "dark120s.fit", status=3)
    assert "2 files: 2 made of" in out
    flip(raw / "darks" / "d120_0002.fit", 2880 + 99)
    out, _ = says(masters, "bias.fit", "dark120s.fit", "dark300s.fit", status=1)
    assert re.search(
        r"dark120s.fit: input \S*d120_0002.fit: its pixels are not those any more", out
    )
    assert "3 files: 1 damaged, different or not to be judged, 2 made of" in out
    (raw / "darks" / "d300_0002.fit").write_bytes(b"SIMPLE  = what")
    out, _ = says(masters, "dark300s.fit", status=1)
    assert re.search(r"dark300s.fit: input \S*d300_0002.fit: ", out)
    assert "8 of 10 files that it was made of are as they were" in out


def test_of_inputs_of_one_name_the_right_one_is_taken(masters):
    """Numbered frames of two nights, or of bias and dark, often have the same names."""
    raw = masters.parent / "raw"
    shutil.copytree(raw / "darks", masters.parent / "other")
    for path in (masters.parent / "other").glob("d120*"):
        flip(path, 2880 + 8)
    shutil.move(raw / "darks", raw / "moved")
    out, _ = says(masters, "dark120s.fit", "--inputs", "../other", "--inputs", "../raw/moved")
    assert "9 of 9 files" in out
    out, _ = says(masters, "dark120s.fit", "--inputs", "../other", status=1)
    assert out.count("its pixels are not those any more") == 4


@pytest.mark.parametrize("how", ["cut", "packed", "chunk"])
def test_a_master_of_ours_in_a_folder_that_cannot_be_read(masters, how):
    path = masters / "dark120s.fit"
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-2880])
    elif how == "packed":
        with fits.open(path) as hdus:
            header, image = hdus[0].header, hdus[0].data
        header["IMAGETYP"] = "Dark"  # whatever it is called now
        fits.PrimaryHDU(image, header).writeto(path, overwrite=True, checksum=True)
    else:
        next(p for p in (masters / "bias.zarr" / "master" / "c").rglob("*") if p.is_file()).unlink()
    out, err = says(masters, ".", status=1 if how != "packed" else 0)
    if how == "packed":
        assert "5 files: 5 good" in out
    else:
        assert "5 files: 4 good, 1 damaged" in out
        assert ("dark120s.fit" if how == "cut" else "bias.zarr") in err


def test_a_wrong_command_line(masters):
    for words in ([], ["bias.fit", "--inputs", "nowhere"], ["bias.fit", "--nonsense"]):
        says(masters, *words, status=2)


def test_the_list_that_a_master_vouches_for(masters):
    path = masters / "cosme120s.lst"
    right = path.read_bytes()
    lines = right.splitlines(keepends=True)
    for changed in (right + b"P 1 1\r\n", b"".join(lines[::-1]), b""):
        path.write_bytes(changed)
        out, _ = says(masters, "dark120s.fit", status=1)
        assert re.search(r"dark120s.fit: list \S*cosme120s.lst: is not as it was written with", out)
        assert GOOD in out
    path.write_bytes(right)
    out, _ = says(masters, "dark120s.fit")
    assert "cosme" not in out
    path.unlink()
    out, _ = says(masters, "dark120s.fit", status=3)
    assert "dark120s.fit: cosme120s.lst, the list that was written with it, is not beside it" in out
    says(masters, "bias.fit", "dark300s.fit")


def test_one_cluster_for_all_files(masters, monkeypatch, capsys):
    opened, real = [], scheduler.connected

    def connected(*args, **more):
        opened.append(args)
        return real(*args, **more)

    monkeypatch.setattr(scheduler, "connected", connected)
    options = Options(scheduler="local:1", threads=1)
    both = [str(masters / name) for name in ("bias.fit", "dark120s.fit")]
    assert verify(both, tiles=0, options=options) == 0
    assert opened == []
    assert verify([str(masters)], options=options) == 0
    out = capsys.readouterr().out
    assert out.count(GOOD) == 4
    assert "5 files: 5 good" in out
    assert len(opened) == 1


@pytest.mark.parametrize("stored", [False, True])
def test_of_files_that_moved_one_of_each_folder_is_named(here, stored):
    write_stack(here / "d", "d", stack(1, 5, 500), "Dark", 1.0)
    write_stack(here / "b", "b", stack(2, 3, 300), "Bias")
    if stored:
        run("cube", "d/", "m.zarr", cwd=here)
        made = ["m.zarr"]
    else:
        run("makedark", "d/", "b/", cwd=here)
        made = ["dark1s.fit"]
    (here / "d").rename(here / "elsewhere")
    (here / "b" / "b0002.fit").unlink()
    lines = run("verify", *made, cwd=here, status=3).stdout.splitlines()
    away = [line for line in lines if "not there" in line]
    dark, bias = Path("d", "d0001.fit"), Path("b", "b0002.fit")
    assert away[0] == f"{made[0]}: input {dark}: not there, nor 4 others of that folder"
    assert away[1:] == ([] if stored else [f"{made[0]}: bias {bias}: not there"])
    n = "5 of 5" if stored else "6 of 8"
    assert any(f"{n} files that it was made of are not where they were; --" in x for x in lines)
