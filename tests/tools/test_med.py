"""`med`, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from few import also
from helpers import (
    clone,
    command,
    exact_median,
    fitsverify_clean,
    names,
    run,
    same,
    write_frame,
    write_old_master,
)

from pulsar_dask._version import __version__


def pixels(path):
    with fits.open(path, checksum=True) as hdus:
        assert len(hdus) == 1
        return np.array(hdus[0].data)


@pytest.fixture
def biases(tmp_path):
    """A folder of five bias frames of 20 x 30 pixels, uint16, and the stack."""
    stack = np.random.default_rng(0).integers(0, 2**16, (5, 20, 30))
    for i, image in enumerate(stack, 1):
        write_frame(
            tmp_path / f"bias{i:04}.fit", (image - 32768).astype("i2"), bzero=32768,
            cards={"IMAGETYP": "Bias", "EXPTIME": 0.0, "DATE-OBS": f"2024-05-20T21:00:{i:02}"},
        )  # fmt: skip
    return tmp_path, np.median(stack, 0).astype("f4")


# --- the forms of the command line -----------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        ["bias*.fit"],
        [f"bias{i:04}.fit" for i in range(1, 6)],
        ["bias0001.fit"],
        ["@biaslist.txt"],
        ["biaslist.txt"],
        ["."],
    ],
    ids=["quoted", "expanded", "sequence", "list", "list without @", "folder"],
)
def test_command_lines_of_the_guide(biases, spec):
    folder, truth = biases
    (folder / "biaslist.txt").write_text("# mine\n" + "\n".join(
        f"bias{i:04}.fit" for i in range(1, 6)))  # fmt: skip
    done = run("med", *spec, "master_bias.fit", cwd=folder)
    same(pixels(folder / "master_bias.fit"), truth)
    assert done.stderr == ""
    assert "5 frames" in done.stdout
    assert "master_bias.fit" in done.stdout


def test_options_may_stand_anywhere(biases):
    folder, truth = biases
    run("med", "--memory", 2, "bias*.fit", "--threads", 1, "m.fit", "--quiet", cwd=folder)
    same(pixels(folder / "m.fit"), truth)


def test_the_installed_command(biases):
    folder, truth = biases
    program = shutil.which("med", path=os.path.dirname(sys.executable))
    if program is None:
        pytest.skip("the package is not installed with its commands")
    subprocess.run([program, "bias*.fit", "m.fit"], cwd=folder, check=True, capture_output=True)
    same(pixels(folder / "m.fit"), truth)


def test_no_sequence(biases):
    folder, _ = biases
    done = run("med", "--no-sequence", "bias0002.fit", "m.fit", cwd=folder)
    assert "one frame" in done.stderr
    same(pixels(folder / "m.fit"), pixels(folder / "bias0002.fit").astype("f4"))


def test_recursive(biases):
    folder, truth = biases
    (folder / "deep" / "er").mkdir(parents=True)
    for path in list(folder.glob("*.fit")):
        path.rename(folder / "deep" / "er" / path.name)
    run("med", "deep", "m.fit", cwd=folder, status=1)
    run("med", "deep", "m.fit", "--recursive", cwd=folder)
    same(pixels(folder / "m.fit"), truth)


def test_masters_alone_are_combined(biases):
    folder, truth = biases
    (folder / "raw").mkdir()
    for path in list(folder.glob("*.fit")):
        path.rename(folder / "raw" / path.name)
    for i in range(3):
        run("med", "raw", f"m{i}.fit", cwd=folder)
    (folder / "list.txt").write_text("m0.fit\nm1.fit\nm2.fit\n")
    for spec in (["."], ["m?.fit"], ["m0.fit", "m1.fit", "m2.fit"], ["list.txt"], ["m0.fit"]):
        run("med", *spec, "all.fit", cwd=folder)
        same(pixels(folder / "all.fit"), truth)
        (folder / "all.fit").unlink()
    done = run("med", ".", "all.fit", "--recursive", cwd=folder)
    assert "passed over: 3 masters\n" in done.stdout
    same(pixels(folder / "all.fit"), truth)


def test_a_second_run_gives_the_same(biases):
    """The master that the first run left is caught by the mask, and is no input."""
    folder, truth = biases
    for _ in range(2):
        run("med", "bias*.fit", "bias.fit", cwd=folder)
        same(pixels(folder / "bias.fit"), truth)
    run("med", *[p.name for p in sorted(folder.glob("bias*.fit"))], "bias.fit", cwd=folder)
    same(pixels(folder / "bias.fit"), truth)
    done = run("med", ".", "other.fit", cwd=folder)
    same(pixels(folder / "other.fit"), truth)
    assert "passed over: 1 master\n" in done.stdout


def test_gap_in_a_sequence_is_said(biases):
    folder, _ = biases
    (folder / "bias0003.fit").unlink()
    done = run("med", "bias0001.fit", "m.fit", cwd=folder)
    assert "bias0003.fit" in done.stderr
    assert done.stderr.startswith("warning: ")
    assert "4 frames" in done.stdout


# --- what is said, and where -----------------------------------------------------------------


def test_quiet_says_nothing(biases):
    done = run("med", "bias*.fit", "m.fit", "--quiet", cwd=biases[0])
    assert (done.stdout, done.stderr) == ("", "")


def test_summary(biases):
    done = run("med", "bias*.fit", "m.fit", cwd=biases[0])
    for part in ("5 frames", "30 x 20", "uint16", "peak memory", "m.fit"):
        assert part in done.stdout


def test_verbose_names_the_frames_and_the_memory(biases):
    done = run("med", "bias*.fit", "m.fit", "--verbose", cwd=biases[0])
    assert "bias0003.fit" in done.stdout
    assert "memory: process" in done.stdout


@pytest.mark.parametrize("arguments", [["--version"], ["med", "--version"]])
def test_version(tmp_path, arguments):
    assert __version__ in run(*arguments, cwd=tmp_path).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["med", "--help"], ["med", "-h"]])
def test_help(tmp_path, arguments):
    text = run(*arguments, cwd=tmp_path).stdout
    assert text.startswith("Usage: ")
    if arguments[0] == "med":
        for option in ("--memory", "--threads", "--scheduler", "--overwrite", "--dtype",
                       "--recursive", "--no-sequence", "--quiet", "--verbose"):  # fmt: skip
            assert option in text


@pytest.mark.parametrize("arguments", [["med", "--help"], ["--help"], ["med"], ["--version"]])
def test_help_imports_nothing_heavy(tmp_path, arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command(*arguments)[1:]],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.split("\n")}
    assert "click" in loaded
    assert not loaded & {"numpy", "dask", "astropy", "numba", "xarray", "distributed", "zarr",
                         "psutil", "tqdm"}  # fmt: skip


# --- exit status -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bias*.fit"],
        ["bias*.fit", "m.fit", "--nonsense"],
        ["bias*.fit", "m.fit", "--memory", "much"],
        ["bias*.fit", "m.fit", "--memory", "-1"],
        ["bias*.fit", "m.fit", "--memory", "nan"],
        ["bias*.fit", "m.fit", "--memory", "0"],
        ["bias*.fit", "m.fit", "--memory", "1,5"],
        ["bias*.fit", "m.fit", "--threads", "0"],
        ["bias*.fit", "m.fit", "--dtype", "complex64"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_status_2(biases, arguments):
    before = names(biases[0])
    done = run("med", *arguments, cwd=biases[0], status=2)
    assert done.stdout == ""
    assert done.stderr
    assert names(biases[0]) == before


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (["gone*.fit"], "gone*.fit: no file matches"),
        (["gone.fit"], "gone.fit: no such file"),
        (["@gone.txt"], "gone.txt"),
        (["empty"], "empty: no FITS file"),
        (["text.fit"], "text.fit: not a FITS file"),
        (["bias*.fit", "small.fit"], "small.fit is 3 x 2"),
        (["bias*.fit", "--memory", "0.01"], "--memory 0.01 is too little"),
    ],
)
def test_failed_work_is_status_1_and_leaves_nothing(biases, spec, word):
    folder, _ = biases
    (folder / "empty").mkdir()
    (folder / "text.fit").write_text("no FITS\n" * 1000)
    write_frame(folder / "small.fit", np.zeros((2, 3), "i2"))
    before = names(folder)
    done = run("med", *spec, "m.fit", cwd=folder, status=1)
    assert word in done.stderr
    assert "error: " in done.stderr
    assert len(done.stderr.strip().split("\n")) <= 2
    assert names(folder) == before


def test_no_scheduler_is_status_1_and_leaves_nothing(biases):
    folder, _ = biases
    before = names(folder)
    done = run(
        "med", "bias*.fit", "m.fit", "--scheduler", "tcp://127.0.0.1:9", cwd=folder, status=1,
        env=os.environ | {"DASK_PULSAR_DASK__PATIENCE": "1"},
    )  # fmt: skip
    assert "no dask scheduler" in done.stderr
    assert "error: " in done.stderr
    assert len(done.stderr.strip().split("\n")) <= 2
    assert names(folder) == before


def test_different_shapes_are_both_named(tmp_path):
    for i, shape in enumerate([(4, 5), (4, 5), (5, 4), (3, 3)], 1):
        write_frame(tmp_path / f"f{i}.fit", np.zeros(shape, "i2"))
    done = run("med", "f1.fit", "m.fit", cwd=tmp_path, status=1)
    assert "f1.fit is 5 x 4" in done.stderr
    assert "f3.fit is 4 x 5" in done.stderr


def test_planes_and_no_planes_do_not_mix(tmp_path):
    write_frame(tmp_path / "f1.fit", np.zeros((4, 5), "i2"))
    write_frame(tmp_path / "f2.fit", np.zeros((3, 4, 5), "i2"))
    done = run("med", "f1.fit", "m.fit", cwd=tmp_path, status=1)
    assert "5 x 4 x 3" in done.stderr


def test_a_missing_output_name_harms_nothing(biases):
    folder, _ = biases
    files = sorted(p.name for p in folder.glob("bias*.fit"))
    before = {p: (folder / p).read_bytes() for p in files}
    done = run("med", *files, cwd=folder, status=1)
    assert "output" in done.stderr
    done = run("med", *files, "--overwrite", cwd=folder, status=1)
    assert {p: (folder / p).read_bytes() for p in files} == before
    assert names(folder) == files


def test_files_of_others_are_not_replaced(biases):
    folder, truth = biases
    write_frame(folder / "mine.fit", np.zeros((2, 2), "i2"))
    before = (folder / "mine.fit").read_bytes()
    done = run("med", "bias0001.fit", "mine.fit", cwd=folder, status=1)
    assert "--overwrite" in done.stderr
    assert (folder / "mine.fit").read_bytes() == before
    run("med", "bias0001.fit", "mine.fit", "--overwrite", cwd=folder)
    same(pixels(folder / "mine.fit"), truth)


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "bad\x1b[31m.fit"
    path.write_text("no FITS")
    done = run("med", path.name, "m.fit", cwd=tmp_path, status=1)
    assert "\x1b" not in done.stderr
    assert "bad\\x1b[31m.fit" in done.stderr


def test_debug_shows_where(tmp_path):
    done = subprocess.run(
        command("med", "gone.fit", "m.fit", "--debug"), cwd=tmp_path, capture_output=True, text=True
    )
    assert "Traceback" in done.stderr
    assert done.returncode == 1


def test_standard_output_may_be_closed(biases):
    process = subprocess.Popen(
        command("med", "bias*.fit", "m.fit"), cwd=biases[0],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(60)
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def slow_stack(tmp_path_factory):
    """Frames that take some seconds to combine: 150 frames of 4 Mpx."""
    folder = tmp_path_factory.mktemp("slow")
    link_stack(folder, 150, [np.random.default_rng(i).integers(0, 999, (2000, 2000)).astype("i2")
                             for i in range(2)])  # fmt: skip
    return folder


def at_work(process):
    """Wait until a tool has made its plan, and works."""
    assert any(" pixels, " in line for line in process.stdout), process.stderr.read()
    time.sleep(0.3)


def link_stack(folder, count, images, **kwargs):
    """Frames with the pixels of a few."""
    for i, image in enumerate(images):
        write_frame(folder / f"f{i:04}.fit", image, **kwargs)
    for i in range(len(images), count):
        clone(folder / f"f{i % len(images):04}.fit", folder / f"f{i:04}.fit", i)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, *also(signal.SIGTERM)])
@pytest.mark.slow
def test_an_interrupt_leaves_what_was_there(slow_stack, tmp_path, number):
    write_old_master(tmp_path / "m.fit")
    before = (tmp_path / "m.fit").read_bytes()
    process = subprocess.Popen(
        command("med", slow_stack, "m.fit", "--threads", 1), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    at_work(process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -number
    assert "Traceback" not in errors
    assert names(tmp_path) == ["m.fit"]
    assert (tmp_path / "m.fit").read_bytes() == before


# --- types -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("u1", "f4"), ("i2", "f4"), ("i4", "f8"), ("i8", "f8"), ("f4", "f4"), ("f8", "f8")],
)
def test_type_of_the_output(tmp_path, stored, dtype):
    stack = np.random.default_rng(0).integers(0, 100, (4, 3, 5)).astype(stored)
    for i, image in enumerate(stack):
        write_frame(tmp_path / f"f{i}.fit", image)
    run("med", "f0.fit", "m.fit", cwd=tmp_path)
    assert pixels(tmp_path / "m.fit").dtype == np.dtype(dtype).newbyteorder(">")
    same(pixels(tmp_path / "m.fit"), np.median(stack.astype("f8"), 0).astype(dtype))


def test_rounding_and_clipping(tmp_path):
    first = np.array([[0, 1, 2, 40000, -7, 255, 65535]])
    second = np.array([[1, 2, 3, 40001, -8, 256, 70001]])
    write_frame(tmp_path / "f1.fit", first.astype("i4"))
    write_frame(tmp_path / "f2.fit", second.astype("i4"))
    results = {
        "uint16": [0, 2, 2, 40000, 0, 256, 65535],
        "int16": [0, 2, 2, 32767, -8, 256, 32767],
        "uint8": [0, 2, 2, 255, 0, 255, 255],
        "int32": [0, 2, 2, 40000, -8, 256, 67768],
        "float32": [0.5, 1.5, 2.5, 40000.5, -7.5, 255.5, 67768],
    }
    clipped = {"uint16": 2, "int16": 2, "uint8": 4}
    for dtype, truth in results.items():
        done = run("med", "f1.fit", f"{dtype}.fit", "--dtype", dtype, cwd=tmp_path)
        same(pixels(tmp_path / f"{dtype}.fit"), [truth])
        if dtype in clipped:
            assert f"{clipped[dtype]} pixels did not fit {dtype}" in done.stderr
        else:
            assert "did not fit" not in done.stderr


@pytest.mark.parametrize(("dtype", "value"), [("float32", np.nan), ("int16", 0)])
def test_pixels_without_any_value(tmp_path, dtype, value):
    for i in range(3):
        image = np.full((2, 4), float(i), "f4")
        image[0, 1:3] = np.nan
        write_frame(tmp_path / f"f{i}.fit", image)
    done = run("med", "f0.fit", "m.fit", "--dtype", dtype, cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), [[1, value, value, 1], [1, 1, 1, 1]])
    assert "2 pixels have no value in any frame" in done.stderr


def test_one_frame_is_its_own_median(tmp_path):
    image = np.arange(15, dtype="i2").reshape(3, 5)
    write_frame(tmp_path / "one.fit", image)
    done = run("med", "one.fit", "m.fit", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), image.astype("f4"))
    assert "one frame is its own median" in done.stderr


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_frames_of_mixed_types_and_places(tmp_path, order):
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 200, (3, 40, 50))
    write = [
        lambda name: write_frame(tmp_path / f"{name}.fit", stack[0].astype("f8")),
        lambda name: write_frame(tmp_path / f"{name}.fits.fz", stack[1].astype("i2"),
                                 place="tiled", tile=(7, 11)),
        lambda name: write_frame(tmp_path / f"{name}.fits.gz", stack[2].astype("u1"),
                                 place="extension"),
    ]  # fmt: skip
    for name, which in zip("abc", order, strict=True):
        write[which](name)
    run("med", ".", "m.fit", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), np.median(stack, 0))


def test_planes(tmp_path):
    stack = np.random.default_rng(0).integers(0, 999, (4, 3, 6, 7)).astype("i2")
    for i, image in enumerate(stack):
        write_frame(tmp_path / f"f{i}.fit", image)
    run("med", "f0.fit", "m.fit", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), np.median(stack, 0).astype("f4"))


def test_zarr(biases):
    folder, truth = biases
    for _ in range(2):
        run("med", "bias*.fit", "m.zarr", cwd=folder)
        dataset = xr.open_zarr(folder / "m.zarr")
        same(dataset.master.values, truth)
        assert "NCOMBINE" in dataset.master.attrs["header"]
        assert names(folder)[-1] == "m.zarr"
        assert len(names(folder)) == 6


def test_a_folder_of_others_named_zarr_is_not_replaced(biases):
    folder, _ = biases
    (folder / "m.zarr").mkdir()
    (folder / "m.zarr" / "mine").write_text("x")
    run("med", "bias*.fit", "m.zarr", cwd=folder, status=1)
    assert names(folder / "m.zarr") == ["mine"]


@pytest.mark.parametrize(
    "cards",
    [
        ["Bias", "Zero", "Master Bias"],
        ["Bias", "Dark", "Master"],
        [None, None, "Master"],
        ["Light", "light", "Master Light"],
    ],
)
def test_kind_of_the_master(tmp_path, cards):
    for i, label in enumerate(cards[:2]):
        write_frame(tmp_path / f"f{i}.fit", np.full((2, 2), i, "i2"), cards={"IMAGETYP": label})
    run("med", "f0.fit", "m.fit", cwd=tmp_path)
    header = fits.getheader(tmp_path / "m.fit")
    assert (header["IMAGETYP"], header["NCOMBINE"]) == (cards[2], 2)


def test_odd_names(tmp_path):
    for i, name in enumerate(["-a [1] ü.fit", "new\nline.fit", "b*.fit"]):
        write_frame(tmp_path / name, np.full((2, 3), i, "i2"))
    run("med", ".", "-- out [2] é.fit", "--quiet", cwd=tmp_path, status=2)
    run("med", "--quiet", "--", ".", "-- out [2] é.fit", cwd=tmp_path)
    same(pixels(tmp_path / "-- out [2] é.fit"), np.ones((2, 3)))


# --- inputs that change or are damaged ---------------------------------------------------------


@pytest.mark.parametrize("how", ["truncated", "damaged", "empty", "folder"])
def test_a_bad_frame_among_good_ones_is_named(biases, how):
    folder, _ = biases
    bad = folder / "bias0003.fit"
    if how == "truncated":
        os.truncate(bad, 2880 + 100)
    elif how == "empty":
        os.truncate(bad, 0)
    elif how == "damaged":
        bad.write_bytes(bad.read_bytes().replace(b"BITPIX  =                   16",
                                                 b"BITPIX  =                   12"))  # fmt: skip
    else:
        bad.unlink()
        bad.mkdir()
    done = run("med", *(f"bias{i:04}.fit" for i in range(1, 6)), "m.fit", cwd=folder, status=1)
    assert "bias0003.fit" in done.stderr
    assert not (folder / "m.fit").exists()


@pytest.mark.slow
def test_a_frame_that_changes_while_it_is_read_is_an_error(slow_stack, tmp_path):
    for path in slow_stack.glob("f*.fit"):
        os.link(path, tmp_path / path.name)
    process = subprocess.Popen(
        command("med", "f*.fit", "m.fit", "--threads", 1), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    at_work(process)
    (tmp_path / "f0149.fit").unlink()
    shutil.copy(slow_stack / "f0000.fit", tmp_path / "f0149.fit")
    os.utime(tmp_path / "f0149.fit", ns=(0, 0))
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "f0149.fit" in errors
    assert "changed" in errors
    assert len(names(tmp_path)) == 150


# --- real frames -------------------------------------------------------------------------------


def test_real_frames(real, tmp_path, fitsverify):
    files = sorted(real.glob("bias*.fits.fz"))
    done = run("med", real / "bias0001.fits.fz", "bias.fit", cwd=tmp_path)
    assert f"{len(files)} frames" in done.stdout
    stack = np.stack([fits.getdata(p, 1).astype("f8") for p in files])
    same(pixels(tmp_path / "bias.fit"), np.median(stack, 0).astype("f4"))
    fitsverify_clean(tmp_path / "bias.fit")
    header, first = fits.getheader(tmp_path / "bias.fit"), fits.getheader(files[0], 1)
    assert header["IMAGETYP"] == "Master Bias"
    assert header["NCOMBINE"] == len(files) == 12
    assert header["CAMERA"] == first["CAMERA"]
    dates = sorted(fits.getheader(p, 1)["DATE-OBS"] for p in files)
    assert (header["DATE-OBS"], header["DATE-END"]) == (dates[0], dates[-1])
    temperatures = [fits.getheader(p, 1)["CCD-TEMP"] for p in files]
    assert header["CCD-TEMP"] == pytest.approx(np.median(temperatures), abs=1e-6)
    assert [h for h in header["HISTORY"] if h.startswith("input")] == [
        f"input {p.name} DATASUM {datasum_before_compression(p):010}" for p in files
    ]


def datasum_before_compression(path):
    with fits.open(path, disable_image_compression=True) as hdus:
        return int(hdus[1].header["ZDATASUM"])


@pytest.mark.slow
def test_siril_loads_a_master_of_real_frames(real, tmp_path):
    if shutil.which("siril-cli") is None:
        pytest.skip("siril-cli is not installed")
    run("med", real / "dark*.fits.fz", "dark.fit", "--dtype", "uint16", cwd=tmp_path)
    script = "requires 0.99.4\nsetext fit\nload dark\nsave again\n"
    done = subprocess.run(
        ["siril-cli", "-d", str(tmp_path), "-s", "-"], input=script, capture_output=True, text=True,
        env=os.environ | {"HOME": str(tmp_path), "LC_ALL": "C"}, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    again = fits.getdata(tmp_path / "again.fit")
    same(again.astype("f8"), pixels(tmp_path / "dark.fit").astype("f8"))


# --- memory ------------------------------------------------------------------------------------


# Through a small process in between: on Linux a program's peak includes that of its parent.
MEASURE = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
size = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([os.waitstatus_to_exitcode(status), size]))
"""


def peak(arguments, cwd):
    """Exit status and peak resident memory of a tool, in bytes, as the system counts it."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *command(*arguments)],
        cwd=cwd, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="this system does not tell a child's memory")
@pytest.mark.parametrize("kind", ["uint16", "float32"])
@pytest.mark.more
def test_memory_stays_below_the_budget(tmp_path, kind):
    """1.6 GB of frames in 0.4 GB."""
    rng = np.random.default_rng(0)
    count = 400 if kind == "uint16" else 200
    images = [rng.integers(0, 2**15, (1000, 2000)).astype("i2") for _ in range(3)]
    if kind == "float32":
        images = [i.astype("f4") for i in images]
    link_stack(tmp_path, count, images, bzero=32768 if kind == "uint16" else None)
    stored = sum(p.stat().st_size for p in tmp_path.iterdir())
    assert stored > 1.5e9
    status, size = peak(["med", "f0000.fit", "m.fit", "--memory", "0.4"], tmp_path)
    assert status == 0
    assert size < 0.4e9
    share = [i.astype("f8") for i in images]
    counts = [len(range(i, count, 3)) for i in range(3)]
    truth = exact_median(np.repeat(np.array(share)[:, 500, :400], counts, axis=0))
    offset = 32768 if kind == "uint16" else 0
    same(pixels(tmp_path / "m.fit")[500, :400], (truth + offset).astype("f4"))


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="this system does not tell a child's memory")
@pytest.mark.slow
def test_memory_of_the_program_that_starts_it_does_not_count(biases):
    """From a notebook that holds a lot, say."""
    folder, truth = biases
    big = (
        "import subprocess, sys; held = b'x' * 600_000_000;sys.exit(subprocess.call(sys.argv[1:]))"
    )
    line = command("med", "bias*.fit", "m.fit", "--memory", "0.5")
    subprocess.run([sys.executable, "-c", big, *line], cwd=folder, check=True)
    same(pixels(folder / "m.fit"), truth)


def test_too_little_memory_says_the_least_and_that_suffices(biases):
    folder, truth = biases
    done = run("med", "bias*.fit", "m.fit", "--memory", "0.05", cwd=folder, status=1, alone=True)
    least = re.search(r"at least ([\d.]+) GB", done.stderr)[1]
    assert not (folder / "m.fit").exists()
    more = f"{float(least) + 0.01:.2f}"  # the process itself is not the same size each time
    run("med", "bias*.fit", "m.fit", "--memory", more, cwd=folder, alone=True)
    same(pixels(folder / "m.fit"), truth)


def test_few_open_files(tmp_path):
    pytest.importorskip("resource")
    for i in range(200):
        write_frame(tmp_path / f"f{i:03}.fit", np.full((5, 6), i, "i2"))
    script = (
        "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48));"
        "runpy.run_module('pulsar_dask', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "med", "f000.fit", "m.fit"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same(pixels(tmp_path / "m.fit"), np.full((5, 6), 99.5, "f4"))


def test_a_folder_that_cannot_be_written_for_compiled_code(biases):
    """Without a place for the cache of compiled code, it is compiled anew."""
    folder, truth = biases
    (folder / "file").write_text("x")
    cache = str(folder / "file" / "cache")  # cannot be made: its parent is a file
    run("med", "bias*.fit", "m.fit", cwd=folder,
        env=os.environ | {"NUMBA_CACHE_DIR": cache, "HOME": cache})  # fmt: skip
    same(pixels(folder / "m.fit"), truth)
