"""A master can be traced: sums of its inputs, checksums that do not match, ``verify``."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from harm import flip
from helpers import datasum, images, run, scalings, shapes, write_frame
from hypothesis import given
from hypothesis import strategies as st
from night import Night, noted, stack, tool, verify, write_stack

from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.formats.sums import data_sum, pixel_sum
from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.tools.makedark import makedark
from pulsar_dask.tools.makeflat import makeflat
from pulsar_dask.tools.med import med
from pulsar_dask.tools.options import Options

QUIET = Options(quiet=True, threads=2)


def sums(master: Path) -> dict[str, int]:
    """Name and sum of each file in the HISTORY of a master."""
    cards = fits.getheader(master)["HISTORY"]
    found = (re.fullmatch(r"(?:input|bias|dark|list) (.*) DATASUM (\d{10})", c) for c in cards)
    return {m[1]: int(m[2]) for m in found if m}


# --- sums ------------------------------------------------------------------------------------


@given(st.data())
def test_the_sum_of_pixels_is_that_of_the_uncompressed_image(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("f")
    dtype = data.draw(st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8"]))
    image = data.draw(images(dtype, data.draw(shapes), missing=False))
    cards = data.draw(scalings(image.dtype.itemsize * 8 * (-1 if dtype[0] == "f" else 1)))
    place = data.draw(st.sampled_from(["primary", "extension", "gz", "tiled"]))
    if place == "tiled" and dtype in ("i8", "f4", "f8"):
        place = "extension"
    name = "a.fit.gz" if place == "gz" else "a.fit"
    path = write_frame(folder / name, image, place="primary" if place == "gz" else place, **cards)
    frame = scan_frame(path)
    assert pixel_sum(frame) == datasum(image)
    if place != "tiled":
        assert data_sum(frame) == datasum(image)
    # and taken while a median is made, in tiles of any width
    with noted():  # that one frame is its own median
        med([str(path)], str(folder / "m.fit"), dtype=None, options=QUIET)
    assert sums(folder / "m.fit") == {name: datasum(image)}


def test_sums_taken_by_compiled_code_in_narrow_tiles(tmp_path):
    frames = stack(1, 4, 3000, shape=(7, 6001))
    paths = write_stack(tmp_path, "f", frames, "Flat Frame", 1.0, "L")
    # a plan of narrow tiles, as a wide image and a small budget give one
    patched = (
        "from pulsar_dask.engine import cut, plan; "
        "from pulsar_dask.tools import commands; grid = cut.plan_tiles; "
        "from dataclasses import replace; "
        "plan.plan_tiles = lambda shape, *a, **k: "
        "replace(grid(shape, *a, **k), grid=cut.Grid(shape, 3, 1237)); "
        "commands.tools.run()"
    )
    for command in (["med", *paths, "m.fit"], ["makeflat", *paths, "--dark", "0"]):
        subprocess.run(
            [sys.executable, "-c", patched, *map(str, command)],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
    right = {
        p.name: datasum((f.astype("i4") - 32768).astype("i2"))
        for p, f in zip(paths, frames, strict=True)
    }
    assert sums(tmp_path / "m.fit") == right
    assert sums(tmp_path / "flat_l.fit") == right


def test_the_sum_does_not_care_how_an_archive_keeps_the_frame(tmp_path):
    frame = stack(3, 1, 500, shape=(40, 33))[0]
    stored = (frame.astype("i4") - 32768).astype("i2")
    for name, place in (("a.fit", "primary"), ("b.fit", "tiled"), ("c.fit.gz", "primary")):
        write_frame(tmp_path / name, stored, bzero=32768, place=place)
    run("cube", "a.fit", "d.zarr", "--no-sequence", cwd=tmp_path)
    for name in ("a.fit", "b.fit", "c.fit.gz", "d.zarr"):
        run("med", name, "m.fit", "--no-sequence", "--overwrite", cwd=tmp_path)
        (found,) = sums(tmp_path / "m.fit").values()
        assert found == datasum(stored)


# --- checksums in the inputs -------------------------------------------------------------------


def checked(path: Path, image: np.ndarray, *, compressed: bool = False) -> Path:
    """A frame with CHECKSUM and DATASUM."""
    hdu = fits.CompImageHDU(image) if compressed else fits.PrimaryHDU(image)
    hdu.header["IMAGETYP"] = "Dark Frame"
    hdu.header["EXPTIME"] = 2.0
    hdus = [fits.PrimaryHDU(), hdu] if compressed else [hdu]
    fits.HDUList(hdus).writeto(path, checksum=True)
    return path


def med_says(folder: Path, *names: str) -> list[str]:
    with noted() as texts:
        files = [str(folder / name) for name in names]
        med(files, str(folder / "m.fit"), dtype=None, options=QUIET)
    return [text for text in texts if "one frame" not in text]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_checksum_that_matches_is_not_talked_about(tmp_path, compressed):
    image = stack(1, 1, 900, shape=(31, 50))[0]
    checked(tmp_path / "a.fit", image, compressed=compressed)
    assert med_says(tmp_path, "a.fit") == []


def test_a_checksum_in_a_gzipped_file(tmp_path):
    path = checked(tmp_path / "a.fit", stack(1, 1, 900, shape=(31, 50))[0])
    (tmp_path / "b.fit.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert med_says(tmp_path, "b.fit.gz") == []
    flip(path, 2880 + 100)
    (tmp_path / "b.fit.gz").write_bytes(gzip.compress(path.read_bytes()))
    (said,) = med_says(tmp_path, "b.fit.gz")
    assert "b.fit.gz: the data do not match their DATASUM" in said


def test_data_that_do_not_match_are_warned_about(tmp_path):
    for i, image in enumerate(stack(1, 5, 900, shape=(31, 50))):
        checked(tmp_path / f"f{i}.fit", image)
    for i in (1, 3):
        flip(tmp_path / f"f{i}.fit", 2880 + 50)
    (said,) = med_says(tmp_path, *(f"f{i}.fit" for i in range(5)))
    assert "f1.fit (and of 1 more): the data do not match their DATASUM" in said
    assert "copy the file again" in said


def test_a_compressed_tile_that_decodes_to_something_else_is_warned_about(tmp_path):
    path = checked(tmp_path / "a.fit", stack(1, 1, 900, shape=(31, 50))[0], compressed=True)
    frame = scan_frame(path)
    assert frame.stored.rice is not None
    flip(path, frame.stored.rice.heap + 20)
    (said,) = med_says(tmp_path, "a.fit")
    assert "a.fit: the data do not match their DATASUM" in said


def test_an_edited_header_is_told_from_damaged_data(tmp_path):
    path = checked(tmp_path / "a.fit", stack(1, 1, 900, shape=(31, 50))[0])
    path.write_bytes(path.read_bytes().replace(b"Dark Frame", b"Bias Frame"))
    (said,) = med_says(tmp_path, "a.fit")
    assert "a.fit: the header does not match its CHECKSUM" in said


@pytest.mark.parametrize("value", ["", "0", "-1", "12345678901", "none", 7.5, True])
def test_checksum_cards_that_say_nothing(tmp_path, value):
    cards = {
        "DATASUM": value
        if not isinstance(value, str)
        else value.encode("ascii", "replace").decode()
    }
    write_frame(tmp_path / "a.fit", np.zeros((3, 4), "i2"), cards=cards)
    assert [n for n in med_says(tmp_path, "a.fit") if "same value" not in n] == []


def test_the_dark_of_a_flat_is_checked_too(tmp_path):
    write_stack(tmp_path / "flats", "f", stack(2, 3, 20000), "Flat Frame", 2.0, "L")
    dark = checked(tmp_path / "dark.fit", stack(1, 1, 100)[0])
    flip(dark, 2880 + 9)
    _, err = tool("makeflat", "flats/", "--dark", "dark.fit", cwd=tmp_path)
    assert "dark.fit: the data do not match their DATASUM" in err


# --- the trace -------------------------------------------------------------------------------


def test_frames_in_a_store_are_traced(tmp_path):
    Night(tmp_path)
    run("cube", "darks/", "d.zarr", cwd=tmp_path)
    tool("makedark", "d.zarr", "bias*.fit", cwd=tmp_path)
    trace = read_trace(fits.getheader(tmp_path / "dark300s.fit")["HISTORY"], str(tmp_path))
    inputs = [s for s in trace.sources if s.role == "input"]
    assert all(
        s.store and os.path.dirname(s.path).startswith(str(tmp_path / "d.zarr")) for s in inputs
    )
    assert [s.sum for s in inputs] == [
        pixel_sum(scan_frame(p)) for p in sorted((tmp_path / "darks").glob("d300*"))
    ]
    out = verify(tmp_path, "dark300s.fit")
    assert "10 of 10 files" in out


# --- verify ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A night and all of its masters."""
    folder = tmp_path_factory.mktemp("night")
    Night(folder)
    constant = replace(QUIET, output_dir="constant")
    with contextlib.chdir(folder), noted():
        med(["bias0001.fit"], "med.fit", dtype=None, options=QUIET)
        med(["bias*.fit"], "med16.fit", dtype="uint16", options=QUIET)
        med(["bias*.fit"], "med.zarr", dtype=None, options=QUIET)
        makedark(["darks/", "bias*.fit"], bias=None, hot_pixels=9, options=QUIET)
        makedark(["darks/"], bias="100.1", hot_pixels=9, options=constant)
        makeflat(["flats/"], target=1234.5, dark=None, hot_pixels=None, options=QUIET)
        makeflat(
            ["flats/"], target=None, dark="0.3", hot_pixels="cosme120s.lst", origin_top=True,
            options=constant,
        )  # fmt: skip
    return folder


@pytest.fixture
def night(made, tmp_path) -> Path:
    """A copy of that folder, elsewhere."""
    return Path(shutil.copytree(made, tmp_path / "night"))


MASTERS = [
    "med.fit", "med16.fit", "med.zarr", "bias.fit", "dark120s.fit", "dark300s.fit",
    "constant/dark120s.fit", "flat_l.fit", "flat_r.fit", "flat_h.fit", "constant/flat_l.fit",
]  # fmt: skip


def test_masters_that_can_be_trusted(night):
    out = verify(night, *MASTERS)
    assert out.count("pixels computed again are the same") == len(MASTERS)
    assert out.count("whole, its CHECKSUM and DATASUM match") == len(MASTERS) - 1
    assert out.count("med.zarr: whole, the checksums of its chunks match") == 1
    counts = re.findall(r"(\d+) of (\d+) files", out)
    assert [int(a) for a, _ in counts] == [int(b) for _, b in counts]
    assert [int(b) for _, b in counts] == [5, 5, 5, 5, 9, 10, 4, 7, 6, 8, 5]


@pytest.mark.parametrize("name", ["med.fit", "dark300s.fit", "flat_h.fit"])
def test_any_pixel_of_a_master_that_changes_is_found(night, name):
    path = night / name
    with fits.open(path, mode="update", checksum=True) as hdus:  # with checksums that match
        hdus[0].data[11, 7] = np.nextafter(hdus[0].data[11, 7], np.float32(1e9))
    out = verify(night, name, status=1)
    assert "whole" in out
    assert "1 of 744 pixels that were computed again differ" in out


def test_a_damaged_master_is_found_without_its_inputs(night):
    shutil.rmtree(night / "darks")
    flip(night / "dark120s.fit", -2880)
    out = verify(night, "dark120s.fit", status=1)
    assert "the data do not match their DATASUM" in out
    assert re.search(r"input \S*d120_0001.fit: not there", out)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_what_is_wrong_is_told_whole_whatever_the_name(night):
    shutil.copy(night / "med.fit", night / "a: b.fit")
    flip(night / "a: b.fit", -2880)
    out = verify(night, "a: b.fit", status=1)
    assert "a: b.fit: the data do not match their DATASUM" in out
    assert "b.fit: b.fit" not in out


@pytest.mark.parametrize(
    ("changed", "master", "role"),
    [
        ("darks/d300_0002.fit", "dark300s.fit", "input"),
        ("bias0003.fit", "dark300s.fit", "bias"),
        ("dark120s.fit", "flat_l.fit", "dark"),
        ("cosme120s.lst", "flat_l.fit", "list"),
    ],
)
def test_an_input_that_changes_is_named(night, changed, master, role):
    status = os.stat(night / changed)
    if changed.endswith(".lst"):
        text = (night / changed).read_bytes().splitlines(keepends=True)
        (night / changed).write_bytes(b"".join(text[1:]))
    else:
        flip(night / changed, -2880, bit=64)
    os.utime(night / changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    out = verify(night, master, status=1)
    assert re.search(rf"{role} \S*{changed}: its pixels are not those any more", out)


def test_inputs_that_went_elsewhere_and_into_an_archive(night, tmp_path):
    archive = tmp_path / "archive"
    shutil.move(night / "darks", archive)
    for i, path in enumerate(sorted(archive.glob("d120*"))):
        data = path.read_bytes()
        if i == 0:
            (archive / f"{path.name}.gz").write_bytes(gzip.compress(data))
        else:
            stored = fits.getdata(path, do_not_scale_image_data=True)
            write_frame(archive / f"{path.name}.fz", stored, bzero=32768, place="tiled")
        path.unlink()
    assert "not there" in verify(night, "dark120s.fit", status=3)
    out = verify(night, "dark120s.fit", "--inputs", archive, "--all")
    assert "9 of 9 files" in out


def test_a_cube_and_its_files(night, tmp_path):
    tool("cube", "darks/d*.fit", "c.zarr", cwd=night)
    assert "c.zarr: 9 of 9 frames have the pixels of their files" in verify(night, "c.zarr")
    tool("cube", "c.zarr", "d.zarr", cwd=night)  # of which it keeps where they come from
    archive = tmp_path / "archive"
    shutil.move(night / "darks", archive)
    first = archive / "d120_0001.fit"
    (archive / f"{first.name}.gz").write_bytes(gzip.compress(first.read_bytes()))
    first.unlink()
    out = verify(night, "c.zarr", status=3)
    assert re.search(r"input \S*d120_0001.fit: not there", out)
    assert "0 of 9 frames have the pixels of their files" in out
    flip(archive / "d300_0002.fit", -2880, bit=64)
    (archive / "d300_0003.fit").unlink()
    for name in ("c.zarr", "d.zarr"):
        out = verify(night, name, "--inputs", archive, status=1)
        assert re.search(r"d300_0002.fit: 1 of its pixels are others than in the cube", out)
        assert "7 of 9 frames have the pixels of their files" in out


def test_a_cube_of_any_pixels(cluster, tmp_path):
    planes = np.arange(2 * 30 * 40).reshape(2, 30, 40)
    write_frame(tmp_path / "a.fit", planes.astype("i2"), bscale=0.1, bzero=3, blank=7)
    write_frame(tmp_path / "b.fit", np.where(planes % 9, planes, np.nan).astype("f4"))
    tool("cube", "?.fit", "c.zarr", cwd=tmp_path)
    for options in ((), ("--scheduler", cluster.address)):
        assert "2 of 2 frames" in verify(tmp_path, "c.zarr", *options)
    write_frame(tmp_path / "b.fit", np.where(planes % 8, planes, np.nan).astype("f4"))
    out = verify(tmp_path, "c.zarr", status=1)
    assert re.search(r"b.fit: \d+ of its pixels are others", out)
    assert "1 of 2 frames" in out


def test_a_folder_is_no_master(night):
    said = run("verify", "darks", cwd=night, status=1).stderr
    assert "darks: a folder; verify takes masters and cubes, not folders of frames" in said


@pytest.mark.parametrize("name", ["bias0001.fit", "cosme120s.lst", "nothing.fit"])
def test_what_is_no_master_of_ours(night, name):
    err = run("verify", name, cwd=night, status=1, alone=True).stderr  # as a user does
    assert name in err
    assert "error" in err


def test_verify_reads_only(night):
    before = {p: p.read_bytes() for p in night.rglob("*") if p.is_file()}
    verify(night, "flat_l.fit", "dark300s.fit", "med.zarr")
    assert {p: p.read_bytes() for p in night.rglob("*") if p.is_file()} == before


def test_verify_on_a_cluster(cluster, night):
    out = verify(night, "flat_l.fit", "--scheduler", cluster.address)
    assert "744 pixels computed again are the same" in out


def test_sums_from_a_cluster(cluster, night):
    words = ("darks/", "bias*.fit", "--scheduler", cluster.address, "--output-dir", "far")
    tool("makedark", *words, cwd=night)
    for name in ("bias.fit", "dark300s.fit"):
        assert sums(night / "far" / name) == sums(night / name)
        here, far = (
            read_trace(fits.getheader(path)["HISTORY"], str(night)).sources
            for path in (night / name, night / "far" / name)
        )
        assert [s.order for s in far] == [s.order for s in here]
        assert all(s.order for s in far)


def test_a_master_among_inputs_does_not_lend_its_trace(night):
    tool("med", "dark120s.fit", "dark300s.fit", "both.fit", cwd=night)
    found = sums(night / "both.fit")
    trace = read_trace(fits.getheader(night / "both.fit")["HISTORY"], str(night))
    assert [os.path.basename(s.path) for s in trace.sources] == ["dark120s.fit", "dark300s.fit"]
    assert {"dark120s.fit", "dark300s.fit"} <= set(found)
    assert "d120_0001.fit" not in found  # of one of them alone
    assert "2 of 2 files" in verify(night, "both.fit")
