"""What a run knows of itself goes into the headers of what it makes."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from helpers import run, write_frame
from night import pixels, stack, tool, write, write_stack

from pulsar_dask.frames.provenance import read_trace


def notes(path):
    """The warnings in the header of a master."""
    with fits.open(path, checksum=True) as hdus:
        return read_trace(map(str, hdus[0].header["HISTORY"]), str(path.parent)).notes


def told(err):
    return [line.removeprefix("warning: ") for line in err.splitlines()]


def test_warnings_of_a_group_are_in_its_master_alone(here):
    write_stack(here / "d", "a", stack(0, 15, 500), "Dark", 1.0)
    write_stack(here / "d", "b", stack(1, 4, 500), "Dark", 2.0)
    _, err = tool("makedark", "d", cwd=here)
    assert told(err) == ["dark2s.fit: 4 frames; with fewer than 15 a master is noisy"]
    assert notes(here / "dark1s.fit") == ()
    assert notes(here / "dark2s.fit") == ("4 frames; with fewer than 15 a master is noisy",)


def test_what_pixels_show_is_in_the_header_too(here):
    frames = np.full((3, 6, 8), 40000, "u2")
    frames[:, 0, 0] += 1  # a constant frame is another warning
    frames[:, 0, 1] += np.arange(3, dtype="u2")  # none is the copy of another
    write_stack(here / "b", "b", frames, "Bias")
    _, err = tool("med", "b", "m.fit", "--dtype", "int16", cwd=here)
    assert told(err) == ["m.fit: 48 pixels did not fit int16 and were clipped"]
    assert notes(here / "m.fit") == ("48 pixels did not fit int16 and were clipped",)
    assert (pixels(here / "m.fit") == 32767).all()
    _, err = tool("med", "b", "m.zarr", "--dtype", "int16", cwd=here)
    assert "were clipped" in err


def test_levels_of_flats(here):
    write_stack(here / "f", "f", stack(0, 15, 20000), "Flat", 1.0, "V")
    write(here / "f" / "f0099.fit", stack(1, 1, 60000)[0], "Flat", 1.0, "V")
    (here / "cosme1s.lst").write_text("")
    tool("makeflat", "f", "--dark", "0", cwd=here)
    (note,) = (n for n in notes(here / "flat_v.fit") if "full scale" in n)
    assert note.startswith("raw level up to 92% of full scale (65535 ADU) in f0099.fit")


def test_an_input_that_does_not_match_its_sum(here):
    for name, image in zip("abc", stack(0, 3, 300), strict=True):
        stored = (image.astype("i4") - 32768).astype("i2")
        write_frame(here / f"{name}.fit", stored, bzero=32768, cards={"IMAGETYP": "Bias"})
        with fits.open(here / f"{name}.fit", mode="update") as hdus:
            hdus[0].add_checksum()
    data = bytearray((here / "b.fit").read_bytes())
    data[-2880] ^= 1
    (here / "b.fit").write_bytes(data)
    _, err = tool("med", "?.fit", "m.fits", cwd=here)
    (text,) = told(err)
    assert "b.fit: the data do not match their DATASUM" in text
    (kept,) = notes(here / "m.fits")
    assert kept.endswith(f"/{text}")


def test_many_warnings_leave_a_header_that_is_whole(here):
    """More than there is room for: the first stay."""
    frames = np.full((2, 5, 7), 100, "u2")
    name = "n" * 200
    for i in range(2):
        write(here / "b" / f"{name}{i}.fit", frames[i], "Bias", GAIN=i, OFFSET=i, CCD_TEMP=9.0 * i)
    tool("med", "b", "m.fit", cwd=here)
    assert notes(here / "m.fit")
    assert run("verify", "m.fit", cwd=here).stdout.count("whole")


@pytest.mark.parametrize(
    "words", ["turned upside down", "mode of 3 frames", "median low=3 of 3 frames"]
)
def test_verify_says_what_it_does_not_know(here, words):
    write_stack(here / "b", "b", stack(0, 3, 300), "Bias")
    tool("med", "b", "m.fit", cwd=here)
    with fits.open(here / "m.fit", mode="update") as hdus:
        history = [str(text) for text in hdus[0].header["HISTORY"]]
        del hdus[0].header["HISTORY"]
        for text in history:
            hdus[0].header.add_history(text.replace("median of 3 frames", words))
        hdus[0].add_checksum()
    done = run("verify", "m.fit", cwd=here, status=1)
    said = done.stdout + done.stderr
    assert words.split(" ")[0] in said
    assert "cannot make the pixels again" in said
    assert "3 of 3 files that it was made of are as they were" in said
