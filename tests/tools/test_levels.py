"""What is said of frames whose levels do not belong, and what `--reject-frames` does."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy.io import fits
from helpers import same
from night import pixels, tool, write, write_stack

from pulsar_dask.frames.provenance import read_trace

SHAPE = (80, 100)


def noisy(seed, level, n=15, sd=6.0, shape=SHAPE):
    values = np.random.default_rng(seed).normal(level, sd, (n, *shape))
    return np.clip(np.rint(values), 0, 65535).astype("u2")


def texts(err):
    return [line.removeprefix("warning: ") for line in err.splitlines() if "noisy" not in line]


def about(err, *words):
    """The one warning that has these words."""
    (text,) = [t for t in texts(err) if all(word in t for word in words)]
    return text


def test_levels_of_two_kinds_are_named_and_stand_in_the_header(here):
    stack = noisy(1, 1000)
    stack[9:] += 15000
    write_stack(here / "d", "d", stack, "Dark", 60.0)
    _, err = tool("makedark", "d", cwd=here)
    (text,) = texts(err)
    assert text.startswith("dark60s.fit: level of 6 of 15 frames (d")
    levels = r"at (15999|16000)\.\d ADU, the other 9 at (999|1000)\.\d; --reject-frames"
    assert re.search(r"and 3 more\): " + levels, text)
    with fits.open(here / "dark60s.fit") as hdus:
        notes = read_trace(map(str, hdus[0].header["HISTORY"]), str(here)).notes
    assert notes == (text.removeprefix("dark60s.fit: "),)


def test_frames_that_are_left_out(here, executing):
    stack = noisy(2, 1000)
    stack[[3, 7]] += 600
    write_stack(here / "d", "d", stack, "Dark", 60.0)
    _, err = tool("makedark", "d", "--reject-frames", *executing, cwd=here)
    assert about(err, "level of 2 of 15 frames", "left out")
    good = np.delete(stack, [3, 7], axis=0)
    same(pixels(here / "dark60s.fit"), np.median(good.astype("f8"), axis=0).astype("f4"))
    header = fits.getheader(here / "dark60s.fit")
    assert header["NCOMBINE"] == 13
    trace = read_trace(map(str, header["HISTORY"]), str(here))
    assert len(trace.sources) == 13
    assert any("left out" in note for note in trace.notes)
    assert (
        "8000 pixels computed again are the same"
        in tool("verify", "--all", "dark60s.fit", cwd=here)[0]
    )


def test_never_fewer_than_half(here):
    stack = noisy(3, 1000, n=8)
    stack[4:] += 600
    write_stack(here / "d", "d", stack, "Dark", 60.0)
    _, err = tool("med", "d", "m.fit", "--reject-frames", cwd=here)
    assert "left out" not in err.replace("too many to be left out", "")
    assert fits.getheader(here / "m.fit")["NCOMBINE"] == 8


def test_flats_and_biases_are_left_out_too(here):
    flats = noisy(4, 20000, n=12, sd=150)
    x = np.linspace(-0.5, 0.5, SHAPE[1])
    flats[5] = np.rint(flats[5] * (1 + 0.04 * x))
    write_stack(here / "f", "f", flats, "Flat", 1.0, "L")
    _, err = tool("makeflat", "f", "--dark", "0", "--reject-frames", cwd=here)
    assert about(err, "corners of f", "left out")
    assert fits.getheader(here / "flat_l.fit")["NCOMBINE"] == 11
    bias = noisy(5, 300)
    bias[2] += 100
    write_stack(here / "b", "b", bias, "Bias")
    write_stack(here / "d", "d", noisy(6, 400), "Dark", 60.0)
    _, err = tool("makedark", "d", "b", "--reject-frames", cwd=here)
    assert about(err, "bias.fit: level of b", "left out")
    assert fits.getheader(here / "bias.fit")["NCOMBINE"] == 14
    assert fits.getheader(here / "dark60s.fit")["NCOMBINE"] == 15
    assert "the same" in tool("verify", "--all", "dark60s.fit", cwd=here)[0]


def test_the_same_is_said_whatever_the_tiles_and_the_order(here, cluster):
    stack = noisy(7, 1000, n=12, shape=(300, 200))
    stack[4] += 20
    stack[8, 200:, 120:] += 5
    for i, image in enumerate(stack):
        write(here / "d" / f"d{i:02}.fit", image, "Dark", 60.0)
    _, err = tool("med", "d", "m.fit", "--memory", 0.01, cwd=here, status=1)
    least = float(re.search(r"needs at least ([\d.]+) GB", err)[1])
    said = set()
    for words in (
        ("--threads", 1),
        ("--threads", 2, "--memory", f"{least + 0.01:.2f}"),
        ("--scheduler", cluster.address),
    ):
        _, err = tool("med", "d", "m.fit", "--overwrite", *words, cwd=here)
        said.add(tuple(texts(err)))
    (once,) = said
    assert [t.split(" of ")[0] for t in once] == ["m.fit: level", "m.fit: corners"]


def test_constant_and_saturated_flats(here):
    flats = np.minimum(noisy(8, 30000, sd=3000), 16383)
    for i, image in enumerate(flats):
        write(
            here / "f" / f"f{i:02}.fit",
            image,
            "Flat",
            2.0,
            "L",
            DATE_OBS=f"2024-05-20T20:00:{i:02}",
        )
    _, err = tool("makeflat", "f", "--dark", "0", cwd=here)
    assert about(err, "the same value in every pixel (16383 ADU): 15 of 15 frames")
    assert about(err, "100.00% of the pixels saturated (at 16383 ADU)")


@pytest.mark.parametrize(("bits", "shift"), [(12, 0), (14, 0), (12, 4), (14, 2), (16, 0)])
def test_a_wall_at_what_the_camera_gives(here, bits, shift):
    full = (1 << bits) - 1
    level = 0.6 * full
    flats = np.minimum(noisy(9, level, sd=0.02 * level), full)
    flats[:, :4, :20] = full  # 1 % of the pixels
    write_stack(here / "f", "f", flats << shift, "Flat", 2.0, "L")
    _, err = tool("makeflat", "f", "--dark", "0", cwd=here)
    assert about(err, f"1.00% of the pixels saturated (at {full << shift} ADU)")
    assert "full scale" not in err


def test_saturation_as_it_is_given(here):
    flats = noisy(10, 20000, sd=500)
    write_stack(here / "f", "f", flats, "Flat", 2.0, "L")
    _, err = tool("makeflat", "f", "--dark", "0", "--saturation", 20000, cwd=here)
    share = float((flats >= 20000).mean(axis=(1, 2)).max())
    said = f"up to {share:.2%} of the pixels saturated (at 20000 ADU)"
    assert about(err, said)
    _, err = tool("makeflat", "f", "--dark", "0", "--overwrite", cwd=here)
    assert "saturated" not in err
    for keyword in ("SATURATE", "SATLEVEL"):
        write_stack(here / keyword, "f", flats, "Flat", 2.0, "L", **{keyword: 20000})
        _, err = tool("makeflat", keyword, "--dark", "0", "--overwrite", cwd=here)
        assert about(err, said)


@pytest.mark.parametrize(
    ("bits", "share", "says"),
    [(14, 0.88, "up to 88% of full scale (16383 ADU)"), (14, 0.5, None), (12, 0.6, None)],
)
def test_full_scale_is_the_cameras(here, bits, share, says):
    full = (1 << bits) - 1
    flats = noisy(11, share * full, sd=0.01 * full)
    flats[:, 3, 3] = full - 2  # a hot pixel
    write_stack(here / "f", "f", flats, "Flat", 2.0, "L")
    _, err = tool("makeflat", "f", "--dark", "0", cwd=here)
    assert ("full scale" in err) == bool(says)
    assert (says or "") in err


def test_zero_to_one_against_adu(here):
    write_stack(here / "d", "d", noisy(12, 1100), "Dark", 60.0)
    bias = (noisy(13, 1000, n=1)[0] / 65535).astype("f4")
    write(here / "mb.fit", bias, "Master Bias")
    _, err = tool("makedark", "d", "mb.fit", cwd=here)
    assert about(err, "mb.fit holds values in 0..1 (0.01", "level 1100", "multiply it by 65535")
    write(here / "d" / "x.fit", (noisy(14, 1100, n=1)[0] / 65535).astype("f4"), "Dark", 60.0)
    _, err = tool("makedark", "d", "--overwrite", cwd=here)
    assert about(err, "x.fit: values in 0..1 (up to 0.017", "the others in ADU (level 1100)")
    write(here / "dark2s.fit", bias, "Master Dark", 2.0)
    write_stack(here / "f", "f", noisy(15, 20000, sd=100), "Flat", 2.0, "V")
    _, err = tool("makeflat", "f", cwd=here)
    assert about(err, "dark2s.fit holds values in 0..1", "(level 2")


def test_a_dark_below_zero(here):
    write_stack(here / "d", "d", noisy(16, 300), "Dark", 60.0)
    _, err = tool("makedark", "d", "--bias", 320, cwd=here)
    assert about(err, "its median is -20", "ADU, below zero by more than the noise of a frame (")
    _, err = tool("makedark", "d", "--bias", 302, "--overwrite", cwd=here)
    assert "below zero" not in err


def test_real_frames_are_left_alone(here, real):
    (here / "bias.lst.txt").write_text("\n".join(str(p) for p in sorted(real.glob("bias*"))))
    said = [tool("med", "@bias.lst.txt", "b.fit", cwd=here)[1]]
    for words in (("makedark", real, "b.fit"), ("makeflat", real, "--dark", "b.fit")):
        said.append(tool(*words, cwd=here)[1])
    assert not any("--reject-frames" in err or "saturated" in err for err in said)
