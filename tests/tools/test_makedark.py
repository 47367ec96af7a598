"""makedark: the guide's command lines, the bias in all its forms, and what is refused."""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import datasum, names, run, same
from hypothesis import given, settings
from hypothesis import strategies as st
from night import Night, hottest, median64, noted, pixels, points, stack, tool, write, write_stack

from pulsar_dask.errors import PulsarError
from pulsar_dask.masters.search import Search
from pulsar_dask.tools.makedark import makedark
from pulsar_dask.tools.options import Options


def dark32(images, bias=0.0):
    return (median64(images) - bias).astype("f4")


def make(spec, bias=None, *, hot_pixels=10_000, **options):
    """makedark in this process; returns the texts of its warnings."""
    taken = [f.name for f in dataclasses.fields(Search) if f.name in options]
    search = Search(**{name: options.pop(name) for name in taken})
    with noted() as notes:
        makedark(
            [str(s) for s in spec],
            bias=bias,
            hot_pixels=hot_pixels,
            options=Options(search=search, quiet=True, threads=2, **options),
        )
    return notes


def check(folder, prefix, exposures, bias=0.0):
    """Masters and lists in a folder are those of some stacks, by name of the exposure."""
    for name, images in exposures.items():
        master = dark32(images, bias)
        same(pixels(folder / f"{prefix}{name}.fit"), master)
        assert points(folder / f"cosme{name}.lst") == hottest(master, 10_000)


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path)


# --- the guide's command lines -------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's masks")
def test_the_examples_of_the_guide(night, tmp_path):
    """As a shell runs them, one after the other in one folder."""

    def shell(line):
        done = run(*shlex.split(line), "--overwrite", cwd=tmp_path)
        return done.stdout

    both = {"120s": night.darks[120], "300s": night.darks[300]}
    bias = median64(night.bias).astype("f4").astype("f8")

    def expanded(mask):
        return " ".join(sorted(p.name for p in tmp_path.glob(mask)))

    shell(f"med {expanded('bias*.fit')} master_bias.fit")
    same(pixels(tmp_path / "master_bias.fit"), bias)
    shell("makedark darks/")
    check(tmp_path, "dark", both)
    shell("makedark darks/ master_bias.fit")
    check(tmp_path, "dark", both, bias)
    out = shell(f"makedark darks/ {expanded('bias*.fit')}")
    check(tmp_path, "dark", both, bias)
    same(pixels(tmp_path / "bias.fit"), bias)
    assert "passed over: 1 light frame" in out
    shell("makedark darks/ 100")
    check(tmp_path, "dark", both, 100)
    shell("make_cosme dark120s.fit cosme.lst")
    assert (tmp_path / "cosme.lst").read_bytes() == (tmp_path / "cosme120s.lst").read_bytes()


def sum_of(path):
    return datasum(fits.open(path, do_not_scale_image_data=True)[0].data)


def test_a_master_dark_says_what_it_is(night, tmp_path):
    tool("makedark", "darks/", "bias*.fit", cwd=tmp_path)
    with fits.open(tmp_path / "dark300s.fit", checksum=True) as hdus:
        header = hdus[0].header
        assert header["IMAGETYP"] == "Master Dark"
        assert header["NCOMBINE"] == 5
        assert header["EXPTIME"] == 300
        assert header["COMBMETH"] == "median"
        assert header["BITPIX"] == -32
        assert header["CREATOR"].startswith("pulsar-dask")
        history = list(header["HISTORY"])
    assert [h for h in history if h.startswith("input")] == [
        f"input d300_{i:04d}.fit DATASUM {sum_of(tmp_path / 'darks' / f'd300_{i:04d}.fit'):010}"
        for i in range(1, 6)
    ]
    assert "minus bias.fit, the median of 5 frames" in history
    bias = fits.getheader(tmp_path / "bias.fit")
    assert (bias["IMAGETYP"], bias["NCOMBINE"]) == ("Master Bias", 5)


# --- the bias ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["darks/", "-100"],
        ["darks/", "--bias", "-100"],
        ["--bias=-100", "darks/"],
        ["darks/", "-1e2"],
    ],
)
def test_a_negative_constant(tmp_path, args):
    images = stack(0, 3, 500)
    write_stack(tmp_path / "darks", "d", images, "Dark Frame", 2.5)
    tool("makedark", *args, cwd=tmp_path)
    check(tmp_path, "dark", {"2500ms": images}, -100)


@pytest.mark.parametrize("text", ["100", "0", "0.25", "-7.5", "1e3"])
def test_constants(here, text):
    images = stack(0, 3, 500)
    paths = write_stack(here / "darks", "d", images, "Dark Frame", 2.5)
    for spec, bias in (["darks", text], None), (["darks"], text), ([*paths, text], None):
        make(spec, bias)
        check(here, "dark", {"2500ms": images}, float(text))
        assert "bias.fit" not in names(here)


@pytest.mark.parametrize(("exposure", "told"), [(0.0, False), (2.0, False), (60.0, True)])
def test_biases_that_were_exposed_are_told(here, exposure, told):
    write_stack(here / "d", "d", stack(0, 3, 400), "Dark", 60.0)
    write_stack(here / "b", "b", stack(1, 3, 300), "Bias", exposure)
    notes = make(["d"], "b")
    assert any("bias.fit: b0001.fit is a bias by its label" in note for note in notes) == told


def test_a_name_that_looks_like_a_number_is_a_file(here):
    images, bias = stack(0, 3, 500), stack(1, 1, 300)[0]
    write_stack(here / "darks", "d", images, "Dark Frame", 2.0)
    write(here / "100", bias, "Bias Frame")
    make(["darks", "100"])
    check(here, "dark", {"2s": images}, bias.astype("f8"))


FORMS = {
    "file": ["master.fit"],
    "sequence": ["b/bias0001.fit"],
    "mask": ["b/*.fit"],
    "folder": ["b"],
    "list": ["@b.txt"],
    "list without @": ["b.txt"],
    "files": ["b/bias0001.fit", "b/bias0002.fit", "b/bias0003.fit", "b/bias0004.fit"],
}


@pytest.mark.few
@pytest.mark.parametrize("label", ["Bias Frame", "Zero", None])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_bias(here, form, label):
    images, bias = stack(0, 3, 500), stack(1, 4, 300)
    write_stack(here / "darks", "d", images, "Dark", 2.0)
    write_stack(here / "b", "bias", bias, label)
    master = median64(bias).astype("f4")
    write(here / "master.fit", master, "Master Bias")
    (here / "b.txt").write_text(
        "# bias\r\n" + "".join(f"b/bias{i:04d}.fit\r\n" for i in range(1, 5))
    )
    make(["darks", *FORMS[form]])
    check(here, "dark", {"2s": images}, master.astype("f8"))
    assert ("bias.fit" in names(here)) == (form != "file")
    if form != "file":
        same(pixels(here / "bias.fit"), master)
    if len(FORMS[form]) == 1:
        make(["darks"], FORMS[form][0])
        check(here, "dark", {"2s": images}, master.astype("f8"))


def test_a_bias_of_many_integers_is_rounded_as_its_file_is(here):
    """Bias frames of 32 bits make a bias in float64."""
    rng = np.random.default_rng(0)
    bias = rng.integers(10**8, 2 * 10**8, (4, 6, 7)).astype("i4")
    darks = rng.integers(10**8, 2 * 10**8, (3, 6, 7)).astype("i4")
    write_stack(here / "b", "b", bias, "Bias")
    write_stack(here / "d", "d", darks, "Dark", 1.0)
    make(["d", "b"])
    assert pixels(here / "bias.fit").dtype == np.float64
    same(pixels(here / "bias.fit"), median64(bias))
    same(pixels(here / "dark1s.fit"), dark32(darks, median64(bias)))
    again = pixels(here / "dark1s.fit")
    make(["d", "bias.fit"])
    same(pixels(here / "dark1s.fit"), again)


def test_a_bias_with_missing_pixels(here):
    bias = np.full((2, 4, 5), 10.0, "f4")
    bias[:, 1, 1] = np.nan
    bias[0, 2, 2] = np.nan
    darks = np.full((3, 4, 5), 25.0, "f4")
    darks[:, 0, 0] = np.nan
    darks[1, 3, 3] = np.inf
    write_stack(here / "b", "b", bias, "Bias")
    write_stack(here / "d", "d", darks, "Dark", 1.0)
    notes = make(["d", "b"])
    wanted = np.full((4, 5), 15.0, "f4")
    wanted[0, 0] = wanted[1, 1] = np.nan
    same(pixels(here / "dark1s.fit"), wanted)
    assert points(here / "cosme1s.lst") == hottest(wanted, 100)
    assert any("dark1s.fit: 2 pixels have no value" in n for n in notes)
    assert any("bias.fit: 1 pixel has no value in any frame and is NaN" in n for n in notes)


@pytest.mark.parametrize("label", ["Dark Frame", "Flat"])
def test_a_bias_that_is_labelled_otherwise(here, label):
    write_stack(here / "d", "d", stack(0, 3, 500), "Dark", 1.0)
    other = stack(1, 2, 100)
    write_stack(here / "o", "o", other, label, 1.0)
    with pytest.raises(PulsarError, match="No bias frames found"):
        make(["d"], "o/o0001.fit")
    notes = make(["d"], "o/o*1.fit", overwrite=True)
    assert any(re.search(r"o0001\.fit is labelled .*taken as bias", n) for n in notes)
    same(pixels(here / "dark1s.fit"), dark32(stack(0, 3, 500), other[0].astype("f8")))


# --- what a shell makes of masks -------------------------------------------------------------


def test_darks_and_bias_told_apart_by_their_types(here):
    darks, bias = stack(0, 3, 500), stack(1, 4, 300)
    files = write_stack(here, "dark", darks, "Dark Frame", 60.0)
    files += write_stack(here, "bias", bias, "Bias Frame", 0.0)
    files.append(write(here / "m31.fit", darks[0], "Light Frame", 60.0))
    files.append(write(here / "dark9s.fit", dark32(darks), "Master Dark", 9.0))
    for order in (files, files[::-1]):
        done = make(order)
        assert not any("cannot tell" in n for n in done)
        master = median64(bias).astype("f4")
        same(pixels(here / "bias.fit"), master)
        check(here, "dark", {"60s": darks}, master.astype("f8"))
    # masters of the first run are among what the masks catch now, and change nothing
    before = {n: (here / n).read_bytes() for n in ("cosme60s.lst",)}
    caught = sorted([*here.glob("dark*.fit"), *here.glob("bias*.fit")])
    assert here / "bias.fit" in caught
    make(caught)
    assert {n: (here / n).read_bytes() for n in before} == before
    check(here, "dark", {"60s": darks}, median64(bias).astype("f4").astype("f8"))


@pytest.mark.parametrize("label", ["Master Bias", None])
def test_a_master_bias_after_the_darks(here, label):
    darks, bias = stack(0, 3, 500), stack(1, 1, 300)[0]
    files = write_stack(here, "dark", darks, "DARK", 60.0)
    make([*files, write(here / "mb.fit", bias, label)])
    check(here, "dark", {"60s": darks}, bias.astype("f8"))
    assert "bias.fit" not in names(here)


def test_one_numbered_dark_and_a_bias(here):
    """A single numbered file stands for its sequence, also before a bias."""
    darks, bias = stack(0, 3, 500), stack(1, 1, 300)[0]
    write_stack(here, "dark", darks, "DARK", 60.0)
    write(here / "mb.fit", bias, "Master Bias")
    make(["dark0001.fit", "mb.fit"])
    check(here, "dark", {"60s": darks}, bias.astype("f8"))


def test_what_is_ambiguous_points_to_bias(here):
    files = write_stack(here, "a", stack(0, 3, 500), None, 60.0)
    files += write_stack(here, "b", stack(1, 3, 300), "Bias Frame", 0.0)
    before = names(here)
    with pytest.raises(PulsarError, match="--bias") as error:
        make(files)
    assert "--assume-type" in str(error.value)
    write_stack(here / "d", "d", stack(0, 3, 500), "Dark", 60.0)
    with pytest.raises(PulsarError, match="--bias"):
        make(["d", "b0001.fit", "100"])
    assert names(here) == sorted([*before, "d"])
    # as it says
    make(files[:3], "b*.fit", assume_type=True)
    check(here, "dark", {"60s": stack(0, 3, 500)}, median64(stack(1, 3, 300)))


# --- inputs --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "mask", "list", "sequence", "files"])
def test_forms_of_the_input(here, form):
    images = stack(0, 4, 500)
    paths = write_stack(here / "d", "d", images, "Dark", 3.0)
    (here / "d.txt").write_text("\n".join(map(str, paths)))
    spec = {
        "folder": ["d"],
        "mask": ["d/d*.fit"],
        "list": ["@d.txt"],
        "sequence": ["d/d0001.fit"],
        "files": paths,
    }[form]
    make(spec)
    check(here, "dark", {"3s": images})


def test_exposures_and_their_names(here):
    times = {"500ms": 0.5, "1500ms": 1.5, "120s": 119.9997, "5ms": 0.005, "0s": 0.0}
    stacks = {}
    for seed, (name, seconds) in enumerate(times.items()):
        stacks[name] = stack(seed, 3, 400 + seed)
        write_stack(here / "d", f"x{seed}_", stacks[name], "Dark", seconds)
    make(["d"])
    check(here, "dark", stacks)
    made = [f"dark{n}.fit" for n in times] + [f"cosme{n}.lst" for n in times]
    assert names(here) == sorted([*made, "d"])


def test_exposures_within_the_tolerance_are_one_stack(here):
    images = stack(0, 5, 500)
    for i, seconds in enumerate([60.0, 60.0, 60.0003, 59.9998, 60.0]):
        write(here / "d" / f"d{i}.fit", images[i], "Dark", seconds)
    make(["d"])
    check(here, "dark", {"60s": images})
    make(["d"], tolerance=0.0, output_dir="o")
    wanted = {"59999800us": images[3:4], "60000000us": images[[0, 1, 4]], "60000300us": images[2:3]}
    check(here / "o", "dark", wanted)


def test_a_wide_tolerance_makes_one_master_by_one_name(here):
    images = stack(0, 3, 500)
    for i, seconds in enumerate([59.98, 59.98, 60.0]):
        write(here / "d" / f"d{i}.fit", images[i], "Dark", seconds)
    make(["d"], tolerance=0.1)
    assert names(here) == ["cosme60s.lst", "d", "dark60s.fit"]
    check(here, "dark", {"60s": images})


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from(["u1", "i2", "u2", "i4", "f4"]))
@settings(max_examples=15)
def test_any_frames(tmp_path_factory, seed, count, dtype):
    folder = tmp_path_factory.mktemp("any")
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(5, 20, rng.integers(2, 4)))  # none is the copy of another
    top = np.iinfo(dtype).max if dtype[0] != "f" else 10**6
    images = rng.integers(0, top, (count, *shape), endpoint=True).astype(dtype)
    bias = rng.integers(0, top, (2, *shape), endpoint=True).astype(dtype)
    if dtype == "f4":
        images[rng.random(images.shape) < 0.2] = np.nan
    write_stack(folder / "d", "d", images, "Dark", 1.0)
    write_stack(folder / "b", "b", bias, "Bias")
    make([folder / "d", folder / "b"], output_dir=str(folder / "out"), hot_pixels=7)
    level = median64(bias).astype("f8" if dtype == "i4" else "f4").astype("f8")
    master = dark32(images, level)
    same(pixels(folder / "out" / "dark1s.fit"), master)
    assert points(folder / "out" / "cosme1s.lst") == hottest(master, 7)


def test_colour_frames(here):
    images = stack(0, 3, 500, shape=(3, 11, 13))
    bias = stack(1, 3, 300, shape=(3, 11, 13))
    write_stack(here / "d", "d", images, "Dark", 1.0)
    write_stack(here / "b", "b", bias, "Bias")
    make(["d", "b"], hot_pixels=20)
    master = dark32(images, median64(bias))
    same(pixels(here / "dark1s.fit"), master)
    assert points(here / "cosme1s.lst") == hottest(master, 20)


# --- twice ---------------------------------------------------------------------------------


def test_twice_in_the_folder_of_the_frames(tmp_path):
    """Masters of the first run are no frames of the second."""
    images, bias = stack(0, 4, 500), stack(1, 3, 300)
    write_stack(tmp_path, "dark_", images, "Dark", 30.0)
    write_stack(tmp_path, "bias_", bias, "Bias", 0.0)
    first, _ = tool("makedark", ".", "bias_*.fit", cwd=tmp_path)
    assert "passed over" not in first
    made = ("bias.fit", "dark30s.fit", "cosme30s.lst")
    before = [fits.getdata(tmp_path / n).tobytes() for n in made[:2]]
    listed = (tmp_path / made[2]).read_bytes()
    out, _ = tool("makedark", ".", "bias_*.fit", cwd=tmp_path)
    assert "passed over: 2 masters" in out
    assert [fits.getdata(tmp_path / n).tobytes() for n in made[:2]] == before
    assert (tmp_path / made[2]).read_bytes() == listed
    check(tmp_path, "dark", {"30s": images}, median64(bias).astype("f4").astype("f8"))


# --- outputs -------------------------------------------------------------------------------


def test_output_dir_and_hot_pixels(tmp_path):
    images = stack(0, 3, 500)
    write_stack(tmp_path / "d", "d", images, "Dark", 1.0)
    out, _ = tool("makedark", "d", "--output-dir", "cal/2024", "--hot-pixels", 3, cwd=tmp_path)
    assert names(tmp_path / "cal" / "2024") == ["cosme1s.lst", "dark1s.fit"]
    assert points(tmp_path / "cal" / "2024" / "cosme1s.lst") == hottest(dark32(images), 3)
    assert names(tmp_path) == ["cal", "d"]
    assert "3 hottest pixels" in out
    assert str(Path("cal/2024/dark1s.fit")) in out


def test_no_hot_pixels_at_all(here):
    write_stack(here / "d", "d", stack(0, 3, 500), "Dark", 1.0)
    make(["d"], hot_pixels=0)
    assert (here / "cosme1s.lst").read_bytes() == b""


@pytest.mark.parametrize("name", ["dark1s.fit", "cosme1s.lst", "bias.fit"])
def test_files_of_others_are_not_replaced(here, name):
    write_stack(here / "d", "d", stack(0, 3, 500), "Dark", 1.0)
    write_stack(here / "b", "b", stack(1, 3, 300), "Bias", 0.0)
    mine = here / name
    mine.write_bytes(b"# mine\n") if name.endswith("lst") else write(
        mine, stack(2, 1, 9)[0], "Dark"
    )
    content = mine.read_bytes()
    with pytest.raises(PulsarError, match="--overwrite") as error:
        make(["d", "b"])
    assert name in str(error.value)
    assert mine.read_bytes() == content
    assert names(here) == sorted(["d", "b", name])
    make(["d", "b"], overwrite=True)
    assert mine.read_bytes() != content
    make(["d", "b"])  # now it is one of ours


def test_an_input_is_never_replaced(here):
    write_stack(here / "d", "d", stack(0, 3, 500), "Dark", 1.0)
    darks = [write(here / "dark1s.fit", stack(1, 1, 300)[0], "Dark", 1.0)]
    darks.append(write(here / "dark_b.fit", stack(2, 1, 300)[0], "Dark", 1.0))
    before = [p.read_bytes() for p in darks]
    for overwrite in (False, True):
        with pytest.raises(PulsarError, match=r"dark1s\.fit is an input"):
            make(darks, overwrite=overwrite, force_type=True)
    assert [p.read_bytes() for p in darks] == before
    assert names(here) == ["d", "dark1s.fit", "dark_b.fit"]


def test_a_failure_leaves_nothing(tmp_path):
    """A damaged frame is found when pixels are read, with every output begun."""
    paths = write_stack(tmp_path / "d", "d", stack(0, 3, 500), "Dark", 1.0)
    write_stack(tmp_path / "d", "e", stack(0, 3, 500), "Dark", 2.0)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: 2880 + 500])
    _, err = tool("makedark", "d", cwd=tmp_path, status=1)
    assert "d0002.fit" in err
    assert names(tmp_path) == ["d"]


# --- what is refused, and in which words -----------------------------------------------------


def refused(cwd, *args, status=1):
    """What a command says that fails: one or two lines, and nothing is left behind."""
    before = names(cwd)
    out, err = tool("makedark", *args, cwd=cwd, status=status)
    assert names(cwd) == before
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("warning:")]
    if status == 1:
        assert 1 <= len(lines) <= 2
        assert " error: " in lines[0]
    return err


def test_no_dark_frames(tmp_path):
    write_stack(tmp_path / "d", "f", stack(0, 2, 500), "Flat Frame", 1.0)
    write_stack(tmp_path / "d", "u", stack(0, 3, 500), None, 1.0)
    write(tmp_path / "d" / "m.fit", stack(0, 1, 500)[0], "Master Dark", 1.0)
    err = refused(tmp_path, "d")
    assert "No dark frames found" in err
    for part in ("2 with IMAGETYP 'Flat Frame'", "3 without IMAGETYP", "1 master", "'Dark Frame'"):
        assert part in err
    assert "--assume-type" in err
    tool("makedark", "d", "--assume-type", cwd=tmp_path)
    check(tmp_path, "dark", {"1s": stack(0, 3, 500)})


def test_what_is_refused(tmp_path):
    write_stack(tmp_path / "d", "d", stack(0, 3, 500), "Dark", 1.0)
    write_stack(tmp_path / "small", "b", stack(0, 2, 300, shape=(4, 5)), "Bias", 0.0)
    (tmp_path / "empty").mkdir()
    write_stack(tmp_path / "untimed", "u", stack(0, 2, 300), "Dark")
    assert "no FITS file" in refused(tmp_path, "empty")
    assert "nowhere: no such file" in refused(tmp_path, "nowhere")
    assert "nowhere.fit: no such file" in refused(tmp_path, "d", "nowhere.fit")
    err = refused(tmp_path, "d", "small")
    assert "31 x 24" in err
    assert "5 x 4" in err
    assert "EXPTIME" in refused(tmp_path, "untimed")
    assert "not a finite number" in refused(tmp_path, "d", "nan")


def test_wrong_command_lines(tmp_path):
    write_stack(tmp_path / "d", "d", stack(0, 3, 500), "Dark", 1.0)
    assert "INPUT_SPEC" in refused(tmp_path, status=2)
    assert "--nonsense" in refused(tmp_path, "d", "--nonsense", status=2)
    assert "--hot-pixels" in refused(tmp_path, "d", "--hot-pixels", "many", status=2)
    assert "at least" in refused(tmp_path, "d", "--memory", "0.01")


def test_warnings_go_to_stderr_and_do_not_fail(tmp_path):
    images = stack(0, 4, 500)
    for i, image in enumerate(images):
        write(tmp_path / "d" / f"d{i}.fit", image, "Dark", 1.0, CCD_TEMP=-10.0 + i)
    out, err = tool("makedark", "d", cwd=tmp_path)
    lines = err.splitlines()
    assert all(line.startswith("warning: dark1s.fit: ") for line in lines)
    assert len(lines) == 2
    assert "from -10 to -7 degC" in lines[0]
    assert "4 frames" in lines[1]
    assert "warning" not in out
    out, _ = tool("makedark", "d", "--quiet", cwd=tmp_path)
    assert out == ""


def test_a_name_with_control_characters_is_shown_safely(tmp_path):
    folder = tmp_path / "d"
    write_stack(folder, "d", stack(0, 1, 500), "Dark")
    try:
        shutil.move(folder / "d0001.fit", folder / "d\x1b[31m\n.fit")
    except OSError:
        pytest.skip("such names are not allowed here")
    err = refused(tmp_path, "d")
    assert "\x1b" not in err
