"""makeflat, and the guide's whole workflow."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys

import numpy as np
import pytest
from astropy.io import fits
from helpers import names, run, same
from hypothesis import given, settings
from hypothesis import strategies as st
from night import (
    SHAPE,
    XTRANS,
    Night,
    flat64,
    flat_by_colours,
    hottest,
    median64,
    noted,
    pixels,
    stack,
    tool,
    verify,
    write,
    write_stack,
)

from pulsar_dask.errors import PulsarError
from pulsar_dask.masters.search import Search
from pulsar_dask.tools.makeflat import makeflat
from pulsar_dask.tools.options import Options

GOOD = "pixels computed again are the same"


def make(spec, *, target=None, dark=None, bias=None, hot_pixels=None, **options):
    """makeflat in this process; returns the texts of its warnings."""
    taken = [f.name for f in dataclasses.fields(Search) if f.name in options]
    search = Search(**{name: options.pop(name) for name in taken})
    with noted() as notes:
        makeflat(
            [str(s) for s in spec],
            target=target,
            dark=dark,
            bias=bias,
            hot_pixels=hot_pixels,
            options=Options(search=search, quiet=True, **({"threads": 2} | options)),
        )
    return notes


def unexpected(notes):
    """Warnings, but for those of hits, which frames were given."""
    return [n for n in notes if ": hits of " not in n]


def equal(path, truth):
    """A master flat is the float64 truth rounded once to float32."""
    same(pixels(path), truth.astype("f4"))


def write_list(path, listed):
    path.write_bytes(b"".join(b"P %d %d\r\n" % p for p in listed))


# --- the guide -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's masks")
def test_the_complete_workflow_twice(tmp_path):
    """As written in the guide; the second run makes the same, bit for bit."""
    night = Night(tmp_path, (100, 130))
    runs = []
    for _ in range(2):
        biases = " ".join(sorted(p.name for p in tmp_path.glob("bias*.fit")))
        run(*shlex.split(f"med {biases} bias.fit"), cwd=tmp_path)
        darks = run("makedark", "darks/", "bias.fit", cwd=tmp_path)
        flats = run("makeflat", "flats/", cwd=tmp_path)
        made = [*tmp_path.glob("*.lst"), *tmp_path.glob("dark*.fit"), *tmp_path.glob("flat_*.fit")]
        made.append(tmp_path / "bias.fit")
        runs.append(
            {
                p.name: p.read_bytes() if p.suffix == ".lst" else fits.getdata(p).tobytes()
                for p in made
            }
        )
        assert "passed over: 1 light frame" in darks.stdout
        assert "passed over: 1 light frame" in flats.stdout
    assert set(runs[0]) == {
        *("bias.fit", "dark120s.fit", "dark300s.fit", "cosme120s.lst", "cosme300s.lst"),
        *("flat_l.fit", "flat_r.fit", "flat_h.fit"),
    }
    assert runs[0] == runs[1]
    bias = median64(night.bias).astype("f4").astype("f8")
    darks = {t: (median64(i) - bias).astype("f4").astype("f8") for t, i in night.darks.items()}
    for name, images in night.flats.items():
        seconds = 300 if name == "Ha" else 120
        listed = hottest(darks[seconds], 10_000)
        assert len(listed) == 10_000
        whole = darks[seconds] + bias
        equal(tmp_path / f"flat_{name[0].lower()}.fit", flat64(images, whole, listed))
    header = fits.getheader(tmp_path / "flat_h.fit")
    assert header["IMAGETYP"] == "Master Flat"
    assert header["FILTER"] == "Ha"
    assert header["EXPTIME"] == 300
    assert header["NCOMBINE"] == 5
    assert "each frame scaled to a median of 5000" in list(header["HISTORY"])


def test_a_target(tmp_path):
    images = stack(0, 4, 20000)
    write_stack(tmp_path / "flats_folder", "f", images, "Flat Frame", 2.0, "L")
    write(tmp_path / "dark2s.fit", np.full(SHAPE, 300, "f4"), "Master Dark", 2.0)
    out, _ = tool("makeflat", "flats_folder/", 10000, cwd=tmp_path)
    equal(tmp_path / "flat_l.fit", flat64(images, 300, target=10000))
    assert "median of 10000" in out
    assert "flat_l.fit" in out
    assert abs(np.median(pixels(tmp_path / "flat_l.fit")) - 10000) < 5


# --- values --------------------------------------------------------------------------------


@pytest.mark.few
@pytest.mark.parametrize("threads", [1, 8])  # 8: tiles of a few rows
@pytest.mark.parametrize("pattern", [None, "RGGB", XTRANS])
def test_dark_and_list_at_the_borders_of_tiles(here, pattern, threads):
    """Clusters, columns and corners on a frame that is cut into many tiles."""
    shape = (90, 47)
    images = stack(0, 5, 20000, 300, shape)
    for i, image in enumerate(images):
        image += np.uint16(500 * i)
    dark = stack(1, 1, 400, 30, shape)[0].astype("f4") + np.float32(0.25)
    rng = np.random.default_rng(3)
    listed = {(int(rng.integers(0, 47)), int(rng.integers(0, 90))) for _ in range(400)}
    listed |= {(5, y) for y in range(90)} | {(0, 0), (46, 89), (0, 89), (46, 0)}
    listed |= {(x, y) for x in range(20, 27) for y in range(40, 47)}
    for x, y in listed:
        images[:, y, x] = 65535
    cards = {"BAYERPAT": pattern} if pattern else {}
    write_stack(here / "flats", "f", images, "Flat", 3.0, "V", **cards)
    write(here / "dark3s.fit", dark, "Master Dark", 3.0)
    write_list(here / "cosme3s.lst", sorted(listed))
    make(["flats"], threads=threads)
    dark = dark.astype("f8")
    if pattern:
        equal(here / "flat_v.fit", flat_by_colours(images, pattern, dark, listed))
    else:
        equal(here / "flat_v.fit", flat64(images, dark, listed))
    assert GOOD in verify(here, "flat_v.fit")


@given(
    st.integers(0, 2**32),
    st.integers(1, 5),
    st.sampled_from(["u1", "i2", "u2", "i4", "f4", "f8"]),
    st.sampled_from([1.0, 5000.0, 12345.6]),
    st.booleans(),
)
@settings(max_examples=25)
def test_any_frames(tmp_path_factory, seed, count, dtype, target, colour):
    folder = tmp_path_factory.mktemp("any")
    rng = np.random.default_rng(seed)
    shape = (3,) * colour + tuple(rng.integers(1, 14, 2).tolist())
    top = min(np.iinfo(dtype).max, 10**6) if dtype[0] != "f" else 60000
    images = rng.integers(top // 2, top, (count, *shape)).astype(dtype)
    if dtype[0] == "f":
        images += rng.random(images.shape).astype(dtype)
        images[rng.random(images.shape) < 0.15] = np.nan
        images[:, ..., 0, 0] = top
    dark = rng.normal(top / 10, top / 50, shape).astype("f4")
    listed = {
        (int(rng.integers(0, shape[-1])), int(rng.integers(0, shape[-2])))
        for _ in range(rng.integers(0, 9))
    }
    write_stack(folder / "f", "f", images, "Flat", 1.0, "V")
    write(folder / "mydark.fit", dark, "Master Bias")
    write_list(folder / "my.lst", listed)
    make(
        [folder / "f"],
        target=target,
        dark=str(folder / "mydark.fit"),
        hot_pixels=str(folder / "my.lst"),
        output_dir=str(folder / "out"),
    )
    truth = flat64(images.astype("f8"), dark.astype("f8"), listed, target)
    equal(folder / "out" / "flat_v.fit", truth)


def test_colour_frames_plane_by_plane(here):
    images = stack(0, 4, 20000, shape=(3, 11, 13))
    images[:, 1] //= 2
    dark = stack(1, 1, 300, shape=(3, 11, 13))[0].astype("f4")
    write_stack(here / "f", "f", images, "Flat", 1.0, "RGB")
    write(here / "dark1s.fit", dark, "Master Dark", 1.0)
    write_list(here / "cosme1s.lst", [(0, 0), (5, 5), (6, 5)])
    make(["f"])
    equal(here / "flat_rgb.fit", flat64(images, dark.astype("f8"), [(0, 0), (5, 5), (6, 5)]))
    same(np.median(pixels(here / "flat_rgb.fit"), axis=(1, 2)).round(-1), [5000, 5000, 5000])


def test_missing_pixels(here):
    """A pixel that is missing in some frames counts in the others; in all, it is missing."""
    images = np.random.default_rng(0).uniform(9000, 11000, (3, 8, 9)).astype("f4")
    images[0, 2, 2] = images[1, 3, 3] = images[2, 3, 3] = np.nan
    images[:, 5, 5] = np.nan
    images[1, 6, 6] = -np.inf
    write_stack(here / "f", "f", images, "Flat", 1.0, "V")
    notes = make(["f"], dark="0")
    images[1, 6, 6] = np.nan
    equal(here / "flat_v.fit", flat64(images))
    assert np.isnan(pixels(here / "flat_v.fit")).sum() == 1
    assert any("flat_v.fit: 1 pixel has no value in any frame and is NaN" in n for n in notes)
    # a listed pixel takes its neighbours' mean, so none is missing
    write_list(here / "cosme1s.lst", [(5, 5)])
    make(["f"], dark="0")
    equal(here / "flat_v.fit", flat64(images, listed=[(5, 5)]))
    assert not np.isnan(pixels(here / "flat_v.fit")).any()


# --- which dark, which list ------------------------------------------------------------------


@pytest.fixture
def flats(here):
    """Flats in a folder, one dark and list each for here and there."""
    images = stack(0, 3, 20000)
    write_stack(here / "flats", "f", images, "Flat Frame", 2.0, "L")
    return images


def place(folder, level, listed, name="2s", exposure=2.0):
    folder.mkdir(exist_ok=True)
    write(folder / f"dark{name}.fit", np.full(SHAPE, level, "f4"), "Master Dark", exposure)
    write_list(folder / f"cosme{name}.lst", listed)


def test_the_current_folder_before_the_inputs(flats, here):
    place(here / "flats", 200, [(3, 3)])
    notes = make(["flats"])
    equal(here / "flat_l.fit", flat64(flats, 200, [(3, 3)]))
    place(here, 100, [(4, 4)])
    make(["flats"])
    equal(here / "flat_l.fit", flat64(flats, 100, [(4, 4)]))
    os.unlink(here / "cosme2s.lst")
    make(["flats"])  # each is looked for on its own
    equal(here / "flat_l.fit", flat64(flats, 100, [(3, 3)]))
    assert not any("cosme" in n for n in notes)


@pytest.mark.parametrize("spec", ["flats/f*.fit", "flats/f0001.fit", "@flats.txt"])
def test_the_folder_of_any_input(flats, here, spec):
    (here / "flats.txt").write_text("".join(f"flats/f{i:04d}.fit\n" for i in (1, 2, 3)))
    place(here / "flats", 200, [(3, 3)])
    make([spec])
    equal(here / "flat_l.fit", flat64(flats, 200, [(3, 3)]))


def test_a_name_within_the_tolerance(flats, here):
    place(here, 100, [(4, 4)], "1999500us", 1.9995)
    make(["flats"])
    equal(here / "flat_l.fit", flat64(flats, 100, [(4, 4)]))


def test_a_dark_and_a_list_by_hand(flats, here):
    place(here, 100, [(4, 4)])
    place(here / "other", 300, [(5, 5)], "9s", 9.0)
    make(["flats"], dark="other/dark9s.fit", hot_pixels="other/cosme9s.lst")
    equal(here / "flat_l.fit", flat64(flats, 300, [(5, 5)]))
    make(["flats"], dark="other/dark9s.fit")
    equal(here / "flat_l.fit", flat64(flats, 300, [(5, 5)]))  # the list that ends as the dark
    make(["flats"], dark="250")
    equal(here / "flat_l.fit", flat64(flats, 250, [(4, 4)]))


def test_a_negative_dark_on_the_command_line(flats, here):
    tool("makeflat", "flats", "--dark", "-50", cwd=here)
    equal(here / "flat_l.fit", flat64(flats, -50))


def test_no_list_is_a_warning(flats, here):
    place(here, 100, [])
    (here / "cosme2s.lst").unlink()
    notes = make(["flats"])
    assert any("no cosme2s.lst" in n and "flat_l.fit" in n for n in notes)
    equal(here / "flat_l.fit", flat64(flats, 100))


def test_a_list_that_does_not_fit(flats, here):
    place(here, 100, [(3, 3), (31, 0)])
    with pytest.raises(PulsarError, match=r"cosme2s\.lst, line 2"):
        make(["flats"])
    with pytest.raises(PulsarError, match=r"none\.lst"):
        make(["flats"], hot_pixels="none.lst")
    assert "flat_l.fit" not in names(here)


def test_a_dark_that_does_not_fit(flats, here):
    place(here, 100, [])
    write(here / "dark2s.fit", np.zeros((5, 6), "f4"), "Master Dark", 2.0)
    with pytest.raises(PulsarError, match="6 x 5") as error:
        make(["flats"])
    assert "31 x 24" in str(error.value)
    write(here / "dark2s.fit", np.full(SHAPE, 50, "f4"), "Master Dark", 3.0)
    with pytest.raises(PulsarError, match="EXPTIME 3") as error:
        make(["flats"])
    assert "dark2s.fit" in str(error.value)
    assert "--dark" in str(error.value)
    notes = make(["flats"], dark="dark2s.fit")
    assert any("an exposure of 3 s, not 2 s" in n for n in notes)
    equal(here / "flat_l.fit", flat64(flats, 50))
    write(here / "dark2s.fit", np.full(SHAPE, 60, "f4"), "Master Dark")  # its name says it
    make(["flats"])
    equal(here / "flat_l.fit", flat64(flats, 60))


def test_the_bias_that_is_out_of_a_dark(flats, here):
    """It is subtracted from the flats, too, so that they are the same whatever the dark holds."""
    images = stack(5, 3, 400)
    write_stack(here / "darks", "d", images, "Dark", 2.0)
    biases = stack(6, 3, 300)
    write_stack(here / "b", "b", biases, "Bias", 0.0)
    level = median64(biases).astype("f4").astype("f8")
    dark = (median64(images) - level).astype("f4").astype("f8")
    for bias, out in (("300", 300.0), ("b", level), (None, 0.0)):
        tool("makedark", "darks", *([bias] if bias else []), cwd=here)
        notes = make(["flats"])
        master = (median64(images) - out).astype("f4").astype("f8")
        listed = hottest(master, 10_000)
        taken = master + out
        equal(here / "flat_l.fit", flat64(flats, taken, listed))
        assert any("bias" in n for n in notes) == (bias == "b")
        assert GOOD in verify(here, "flat_l.fit")
        assert fits.getheader(here / "flat_l.fit")["BIASSUB"] is True
    tool("makedark", "darks", "b", cwd=here)
    (here / "bias.fit").unlink()
    with pytest.raises(PulsarError, match="it has to be subtracted from the flats"):
        make(["flats"])
    make(["flats"], bias="100")
    listed = hottest(dark, 10_000)
    equal(here / "flat_l.fit", flat64(flats, dark + 100, listed))
    notes = make(["flats"], bias="b")  # raw ones are combined
    equal(here / "flat_l.fit", flat64(flats, dark + level, listed))
    same(pixels(here / "bias.fit"), level.astype("f4"))
    assert any(n.startswith("bias.fit: 3 frames; with fewer than") for n in notes)
    assert GOOD in verify(here, "flat_l.fit", "bias.fit")


# --- groups --------------------------------------------------------------------------------


def test_filters_and_exposures(here):
    wanted = {}
    for i, (name, code, seconds) in enumerate(
        [("Lum", "l", 1.0), ("RED", "r", 0.5), ("O3", "o", 8.0), ("Sloan g'", "sloan_g_", 8.0)]
    ):
        images = stack(i, 3, 20000)
        write_stack(here / "f", f"{code}_", images, "Flat", seconds, name)
        wanted[f"flat_{code}.fit"] = flat64(images, 100 * seconds)
    for name, seconds in (("1s", 1.0), ("500ms", 0.5), ("8s", 8.0)):
        write(here / f"dark{name}.fit", np.full(SHAPE, 100 * seconds, "f4"), "Dark", seconds)
    make(["f"])
    assert [n for n in names(here) if n.startswith("flat_")] == sorted(wanted)
    for name, truth in wanted.items():
        equal(here / name, truth)


def test_two_spellings_are_one_master(here):
    images = stack(0, 4, 20000)
    for i, name in enumerate(["Ha", "H-Alpha", "ha", "Ha"]):
        write(here / "f" / f"f{i}.fit", images[i], "Flat", 1.0, name)
    notes = make(["f"], dark="0")
    equal(here / "flat_h.fit", flat64(images))
    assert any("'H-Alpha', 'Ha', 'ha'" in n for n in notes)
    assert [n for n in names(here) if n != "f"] == ["flat_h.fit"]


def test_no_filter_lands_outside_the_folder(here):
    for i, name in enumerate(["../evil", "/abs", "..", "a/../../b", "C:\\x", "...hidden"]):
        write(here / "f" / f"f{i}.fit", stack(i, 1, 20000)[0], "Flat", 1.0, name)
    make(["f"], dark="0", output_dir="out")
    assert names(here) == ["f", "out"]
    assert len(names(here / "f")) == 6
    assert all(re.fullmatch(r"flat_[a-z0-9_][a-z0-9._-]*\.fit", n) for n in names(here / "out"))
    assert len(names(here / "out")) == 6


# --- warnings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "says"),
    [(3000, "raw level down to 5% of full scale"), (60000, "raw level up to 92% of full scale")],
)
def test_levels(here, level, says):
    images = stack(0, 15, 20000)
    write_stack(here / "f", "f", images, "Flat", 1.0, "V")
    write_list(here / "cosme1s.lst", [])
    assert make(["f"], dark="0") == []
    write(here / "f" / "f0099.fit", stack(1, 1, level)[0], "Flat", 1.0, "V")
    (note,) = (n for n in make(["f"], dark="0") if "full scale" in n)
    assert "flat_v.fit" in note
    assert says in note


# --- colours -----------------------------------------------------------------------------------


def colour_flats(folder, pattern, listed=(), **cards):
    """Flats of a colour sensor whose colours drift; returns the images."""
    shape = (26, 37)
    side = round(len(pattern) ** 0.5)
    levels = {"R": 9000, "G": 20000, "B": 12000}
    tile = np.array([levels[c] for c in pattern]).reshape(side, side)
    base = np.tile(tile, (26, 37))[: shape[0], : shape[1]]
    images = stack(7, 15, 500, 20, shape).astype("i4")
    images += (base * np.linspace(0.8, 1.3, 15)[:, None, None]).astype("i4")
    images += (base == 12000) * np.linspace(0, 900, 15).astype("i4")[:, None, None]
    images = images.astype("u2")
    for x, y in listed:
        images[:, y, x] = 65535
    write_stack(folder, "f", images, "Flat", 1.0, "V", **cards)
    return images


@pytest.mark.parametrize(
    ("pattern", "cards"),
    [
        ("RGGB", {"COLORTYP": "RGGB", "XBAYROFF": 0}),
        ("GBRG", {"COLORTYP": 2, "YBAYROFF": 1}),
        ("RGGB", {"CFAIMAGE": True}),
        ("RGGB", {"BAYERPAT": "NONE", "CFAIMAGE": "rggb"}),
        (XTRANS, {"BAYERPAT": XTRANS}),
        (XTRANS, {"BAYERPAT": XTRANS[24:] + XTRANS[:24], "YBAYROFF": 2}),
        (XTRANS, {"BAYERPAT": "".join(XTRANS[6 * ((25 - y) % 6) :][:6] for y in range(6)),
                  "ROWORDER": "BOTTOM-UP"}),
    ],
)  # fmt: skip
def test_colours_of_any_card(here, pattern, cards):
    """Neighbours of one colour, each colour by its own factor; its level is in the header."""
    listed = {(5, 5), (6, 5), (0, 0), (36, 25), (20, 13)}
    images = colour_flats(here / "f", pattern, listed, **cards)
    write_list(here / "c.lst", sorted(listed))
    assert unexpected(make(["f"], dark="480", hot_pixels=str(here / "c.lst"))) == []
    equal(here / "flat_v.fit", flat_by_colours(images, pattern, 480.0, listed))
    header = fits.getheader(here / "flat_v.fit")
    assert "each frame scaled by colours to a median of 5000" in list(header["HISTORY"])
    assert GOOD in verify(here, "flat_v.fit")


def test_a_colour_that_a_narrow_filter_leaves_dark(here):
    """It is scaled with the others and told; the others are as if it had light."""
    images = stack(7, 15, 20000, 20, (26, 37)).astype("i4")
    images[:, 1::2, 1::2] -= 19500
    images[:, ::2, 1::2] += 400 * np.arange(15)[:, None, None]
    write_stack(here / "f", "f", images.astype("u2"), "Flat", 1.0, "Ha", BAYERPAT="RGGB")
    notes = make(["f"], dark="600")
    (told,) = [note for note in notes if "no light" in note]
    assert "1 of the 4 pixels" in told
    nets = images - 600.0
    whole = np.median(nets, axis=(1, 2))
    made = pixels(here / "flat_h.fit")
    factors = []
    for y, x in ((0, 0), (0, 1), (1, 0)):
        part = nets[:, y::2, x::2]
        level = np.median(part, axis=(1, 2))
        factors.append(5000 * np.mean(level / whole) / level)
        truth = np.median(part * factors[-1][:, None, None], axis=0)
        np.testing.assert_allclose(made[y::2, x::2], truth, rtol=1e-6)
    truth = np.median(nets[:, 1::2, 1::2] * np.mean(factors, axis=0)[:, None, None], axis=0)
    np.testing.assert_allclose(made[1::2, 1::2], truth, rtol=1e-6)
    assert GOOD in verify(here, "flat_h.fit")


def test_colours_that_are_not_known_are_told(here):
    images = colour_flats(here / "f", "RGGB", BAYERPAT="X-Trans")
    write_list(here / "cosme1s.lst", [])
    (note,) = unexpected(make(["f"], dark="480"))
    assert note.startswith("flat_v.fit: BAYERPAT 'X-Trans' is no known pattern of colours")
    equal(here / "flat_v.fit", flat_by_colours(images, "RGGB", 480.0))


@pytest.mark.parametrize("cards", [{"BAYERPAT": "NONE"}, {"COLORTYP": 0}, {}])
def test_a_sensor_of_one_colour_is_scaled_as_a_whole(here, cards):
    """And `verify` knows, where a version before looked only whether there is a BAYERPAT."""
    images = colour_flats(here / "f", "G", {(3, 3), (9, 4)}, **cards)
    write_list(here / "cosme1s.lst", [(3, 3), (9, 4)])
    assert unexpected(make(["f"], dark="480")) == []
    equal(here / "flat_v.fit", flat64(images, 480.0, {(3, 3), (9, 4)}))
    assert GOOD in verify(here, "flat_v.fit")


def test_the_level_of_the_frames_is_in_the_header(here):
    images = colour_flats(here / "f", "RGGB", BAYERPAT="RGGB")
    write_list(here / "cosme1s.lst", [])
    make(["f"], dark="480")
    level = np.median([np.median(image.astype("f8") - 480) for image in images])
    header = fits.getheader(here / "flat_v.fit")
    assert header["FLATLEV"] == level
    with fits.open(here / "flat_v.fit", checksum=True) as hdus:
        assert hdus[0].verify_checksum() == 1


def test_a_colour_master_of_a_version_before_verifies(here):
    """It was scaled as a whole."""
    listed = {(5, 5), (6, 5), (20, 13)}
    images = colour_flats(here / "f", "RGGB", listed, BAYERPAT="RGGB")
    write_list(here / "cosme1s.lst", sorted(listed))
    make(["f"], dark="480")
    with fits.open(here / "flat_v.fit") as hdus:
        header = hdus[0].header
        data = flat64(images, 480.0, listed, step=2).astype("f4")
        assert (data != hdus[0].data).any()
    del header["DATAORD"]
    texts = [text.replace("scaled by colours to", "scaled to") for text in header["HISTORY"]]
    del header["HISTORY"]
    for text in texts:
        header.add_history(text)
    fits.writeto(here / "flat_v.fit", data, header, overwrite=True, checksum=True)
    assert GOOD in verify(here, "flat_v.fit")


def test_few_frames_and_pixels_that_stay(here):
    images = stack(0, 2, 20000, shape=(4, 5))
    write_stack(here / "f", "f", images, "Flat", 1.0, "V")
    write_list(here / "cosme1s.lst", [(x, y) for x in range(5) for y in range(4)])
    notes = make(["f"], dark="0")
    assert any("flat_v.fit: 2 frames" in n for n in notes)
    assert any("flat_v.fit: 40 values of listed pixels have no good neighbour" in n for n in notes)
    equal(here / "flat_v.fit", flat64(images))


# --- inputs and outputs ------------------------------------------------------------------------


def test_twice_in_the_folder_of_the_frames(tmp_path):
    images = stack(0, 3, 20000)
    write_stack(tmp_path, "sky", images, "Sky Flat", 1.0, "V")
    write(tmp_path / "dark1s.fit", np.full(SHAPE, 100, "f4"), "Master Dark", 1.0)
    tool("makeflat", ".", cwd=tmp_path)
    before = fits.getdata(tmp_path / "flat_v.fit").tobytes()
    out, _ = tool("makeflat", ".", cwd=tmp_path)
    assert "passed over: 2 masters" in out
    assert fits.getdata(tmp_path / "flat_v.fit").tobytes() == before
    equal(tmp_path / "flat_v.fit", flat64(images, 100))


def test_unlabelled_flats(here):
    images = stack(0, 3, 20000)
    write_stack(here / "f", "f", images, None, 1.0, "V")
    with pytest.raises(PulsarError, match="No flat frames found") as error:
        make(["f"], dark="0")
    assert "3 without IMAGETYP" in str(error.value)
    make(["f"], dark="0", assume_type=True)
    equal(here / "flat_v.fit", flat64(images))


def test_output_dir_and_overwrite(flats, here):
    make(["flats"], dark="0", output_dir="cal")
    assert names(here / "cal") == ["flat_l.fit"]
    make(["flats"], dark="0", output_dir="cal")
    mine = write(here / "cal" / "flat_l.fit", flats[0], "Flat", 1.0, "L")
    before = mine.read_bytes()
    with pytest.raises(PulsarError, match="--overwrite"):
        make(["flats"], dark="0", output_dir="cal")
    assert mine.read_bytes() == before
    make(["flats"], dark="0", output_dir="cal", overwrite=True)
    equal(mine, flat64(flats))


def test_neither_dark_nor_list_is_replaced(flats, here):
    dark = write(here / "flat_l.fit", np.full(SHAPE, 100, "f4"), "Master Dark", 2.0)
    before = dark.read_bytes()
    with pytest.raises(PulsarError, match=r"flat_l\.fit is an input"):
        make(["flats"], dark="flat_l.fit", overwrite=True)
    assert dark.read_bytes() == before


# --- what is refused, and in which words -----------------------------------------------------


def refused(cwd, *args, status=1):
    """What a command says that fails: one or two lines, and nothing is left behind."""
    before = names(cwd)
    out, err = tool("makeflat", *args, cwd=cwd, status=status)
    assert names(cwd) == before
    lines = [line for line in err.splitlines() if not line.startswith("warning:")]
    if status == 1:
        assert 1 <= len(lines) <= 2
        assert " error: " in lines[0]
        assert "flat_" not in out
    return lines[0].split(" error: ")[-1]


def test_messages_of_record(tmp_path):
    write_stack(tmp_path / "f", "f", stack(0, 3, 20000), "Flat Frame", 0.5, "L")
    write_stack(tmp_path / "b", "b", stack(0, 3, 300), "Bias Frame", 0.0)
    text = refused(tmp_path, "b")
    assert text.startswith("No flat frames found")
    assert "3 with IMAGETYP 'Bias Frame'" in text
    text = refused(tmp_path, "f")
    assert text.startswith("Dark not found for exposure 0.5")
    for part in ("dark500ms.fit", str(tmp_path), "f", "makedark", "--dark"):
        assert part in text
    write(tmp_path / "f" / "odd.fit", stack(0, 1, 20000)[0], "Flat Frame", 0.6, "Lum")
    text = refused(tmp_path, "f")
    assert text.startswith("Inconsistent exposures")
    for part in ("0.5 s: f0001.fit, f0002.fit, f0003.fit", "0.6 s: odd.fit"):
        assert part in text


def test_a_dark_flat_names_the_frame(tmp_path):
    images = stack(0, 3, 20000)
    images[1] = 50
    write_stack(tmp_path / "f", "f", images, "Flat Frame", 1.0, "L")
    text = refused(tmp_path, "f", "--dark", 100)
    assert "f0002.fit" in text
    assert "not positive" in text
    assert "f0001.fit" not in text


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (["f", "0"], 1, "positive"),
        (["f", "-5"], 1, "positive"),
        (["f", "nan"], 1, "not a finite number"),
        (["f", "--dark", "none.fit"], 1, "none.fit"),
        (["f", "--dark", "inf"], 1, "not a finite number"),
        (["nowhere"], 1, "nowhere: no such file"),
        ([], 2, "INPUT_SPEC"),
    ],
)
def test_what_is_refused(tmp_path, args, status, says):
    write_stack(tmp_path / "f", "f", stack(0, 3, 20000), "Flat Frame", 1.0, "L")
    before = names(tmp_path)
    done = run("makeflat", *args, cwd=tmp_path, status=status)
    assert says in done.stderr
    assert names(tmp_path) == before


def test_shapes_that_differ(tmp_path):
    write_stack(tmp_path / "f", "f", stack(0, 3, 20000), "Flat Frame", 1.0, "L")
    write_stack(tmp_path / "f", "g", stack(0, 3, 20000, shape=(4, 5)), "Flat Frame", 1.0, "R")
    tool("makeflat", "f", "--dark", 0, cwd=tmp_path)
    assert pixels(tmp_path / "flat_l.fit").shape == (24, 31)
    assert pixels(tmp_path / "flat_r.fit").shape == (4, 5)
