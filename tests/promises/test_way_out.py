"""What a new user is likely to type, and the way out that is named."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from harm import snapshot
from helpers import names, run, same, write_old_master
from many import refused, run_many
from night import noted, pixels, stack, write, write_stack

import pulsar_dask
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.inputs.find import find_inputs
from pulsar_dask.inputs.words import at_home
from pulsar_dask.masters.darks import gather_darks
from pulsar_dask.masters.flats import gather_flats
from pulsar_dask.tools.commands import makedark as makedark_command

BIAS, DARKS = stack(1, 3, 300), stack(2, 3, 400)


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Path:
    """Folders of bias, darks and flats; nothing here may be changed."""
    folder = tmp_path_factory.mktemp("night")
    write_stack(folder / "bias", "b", BIAS, "Bias Frame", 0.0)
    write_stack(folder / "darks", "d", DARKS, "Dark Frame", 2.0)
    write_stack(folder / "flats", "f", stack(3, 3, 20000), "Flat Frame", 2.0, "L")
    for i, name in enumerate("LR"):  # each the first of a sequence
        path = write(folder / f"{name}{i}.fits", DARKS[i], "Flat Frame", 2.0, name)
        for kind in ("gz", "fz"):
            shutil.copy(path, f"{path}.{kind}")
    write(folder / "dark.fit", DARKS[0], "Master Dark", 2.0)
    write_old_master(folder / "master.fit")
    (folder / "notes.txt").write_text("# nothing\n")
    (folder / "preview.jpg").write_bytes(b"\xff\xd8")
    write_stack(folder / "[L] 2024", "b", BIAS, "Bias Frame", 0.0)
    return folder


OUTPUT_MISSING = "Is the name of the output missing? It comes last"
ORDER = "Is the order right? The input comes first"
LAST = "a number comes last, after the input"
ONE = "no such file; a mask is not taken here, name one file"
WRONG = [
    ("med L0.fits.gz R1.fits.gz", OUTPUT_MISSING),
    ("med L0.fits.fz R1.fits.fz", OUTPUT_MISSING),
    ("med flats notes.txt", OUTPUT_MISSING),
    ("med flats new.txt", "new.txt: a master is a .fit, .fits, .fts or .zarr. Name it so"),
    ("med master_bias.fit bias", f"master_bias.fit: no such file or folder. {ORDER}"),
    ("med m.fit bias/b*.fit", f"m.fit: no such file or folder. {ORDER}"),
    ("cube c.zarr bias", f"c.zarr: no such file or folder. {ORDER}"),
    ("make_cosme c.lst master.fit", f"c.lst: no such file or folder. {ORDER}"),
    ("med baias master.fit", "baias: no such file or folder; did you mean bias/?"),
    ("makedark bias darks", "; is the order right? The input comes first, the bias last"),
    ("makedark bias flats", "IMAGETYP = 'Dark Frame'; --force-type takes all"),
    ("makedark 100 darks", f"100: no such file or folder; {LAST}"),
    ("makeflat 5000 flats", f"5000: no such file or folder; {LAST}"),
    ("makedark darks flats", "No bias frames found in flats (3 with IMAGETYP 'Flat Frame')"),
    ("makedark darks flats", "What follows the input, here darks, is the bias"),
    ("makedark darks --bias flats", "raw bias frames have IMAGETYP = 'Bias Frame'"),
    ("makeflat flats --dark gone.fit", "gone.fit: No such file or directory; is the name right?"),
    ("makeflat flats --dark darks", "darks: a folder, not a regular file; name one file"),
    ("makeflat flats --dark 0 --cosme gone.lst", "gone.lst: No such file or directory; is the"),
    ("verify bias", "bias: a folder; verify takes masters and cubes"),
    ("verify m*.fit", ONE),
    ("find_hot dark*.fit c.lst", ONE),
    ("med bias m.fit --scheduler gone.json", "gone.json: no such file; `dask scheduler"),
    ("makedark darks --output-dir dark.fit/sub", "dark.fit/sub: cannot be written (Not a dir"),
    ("med dark.fit notes.txt m.fit", "notes.txt: the list names no file. A .txt or .lst is read"),
    ("med @notes.txt m.fit", "notes.txt: the list names no file\n"),
    ("med dark.fit preview.jpg m.fit", "not a FITS file; remove it from the input; a folder's"),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[line for line, _ in WRONG])
def test_the_way_out_is_named(night, line, says):
    before = snapshot(night)
    [done] = run_many([tuple(line.split())], night)
    refused(done, says)
    assert snapshot(night) == before


def test_a_cube_without_an_output(night):
    [done] = run_many([("cube", "darks")], night)
    refused(done, "the name of the output is missing; it comes last", status=2)


def test_a_folder_whose_name_is_taken_for_a_mask(night, tmp_path):
    [done] = run_many([("med", "[L] 2024/b*.fit", tmp_path / "m.fit")], night)
    refused(done, "no file matches this mask; for the folder [L] 2024 itself write")
    escaped = re.search(r'write "(.*)"', done.err)[1]
    run("med", escaped, tmp_path / "m.fit", cwd=night)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="this system does not name pipes")
def test_a_list_through_a_pipe_needs_its_sign(night, tmp_path):
    end, start = os.pipe()
    os.write(start, b"dark.fit\n")
    os.close(start)
    done = run("med", f"/dev/fd/{end}", "m.fit", cwd=night, status=1, pass_fds=[end])
    os.close(end)
    assert "a list has a @ before its name, as in @<(ls *.fit)" in done.stderr


def test_a_file_that_may_not_be_read_is_not_damaged(night, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PulsarError, match=r"dark\.fit: Permission denied; allow this user to read"):
        scan_frame(night / "dark.fit")


# --- the home folder -------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    write_stack(tmp_path / "home" / "bias", "b", BIAS, "Bias Frame", 0.0)
    write_stack(tmp_path / "darks", "d", DARKS, "Dark Frame", 2.0)
    (tmp_path / "home" / "list.txt").write_text("~/bias/b0001.fit\n~/bias/b0002.fit\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_home_as_a_shell_has_it(home, tmp_path):
    own = {name: str(home) for name in ("HOME", "USERPROFILE")}
    run("med", "~/bias/b*.fit", "~/m.fit", cwd=tmp_path, variables=own)
    options = ("--bias=~/m.fit", "--output-dir=~/made")
    run("makedark", "darks", *options, cwd=tmp_path, variables=own)
    assert names(tmp_path) == ["darks", "home"]
    assert names(home / "made") == ["cosme2s.lst", "dark2s.fit"]
    same(pixels(home / "m.fit"), np.median(BIAS, 0).astype("f4"))


def test_home_in_specs_lists_and_python(home):
    assert len(find_inputs("~/bias/b*.fit").paths) == 3
    assert len(find_inputs("@~/list.txt").paths) == 2
    with noted():  # of few frames
        assert len(gather_darks("darks", "~/bias").biases) == 3
    pulsar_dask.write_cube("~/bias", "~/c.zarr")
    assert pulsar_dask.median("~/c.zarr").shape == BIAS[0].shape


def test_a_tilde_that_is_a_name_stays(home):
    for name in ("~", "~.fit", "~x"):
        Path(name).touch()
        assert at_home(name) == name
        assert at_home(f"./{name}") == f"./{name}"
    Path("~").unlink()
    assert at_home("~") == str(home)
    assert at_home("a~") == "a~"
    assert at_home("~nobody-of-that-name/a.fit") == "~nobody-of-that-name/a.fit"
    assert at_home("~\0/a") == "~\0/a"


@pytest.mark.parametrize(
    "args", [["--output-dir=~/o", "~/d"], ["--output-dir", "~/o", "--", "~/d"]]
)
def test_home_in_any_argument(home, args):
    with makedark_command.make_context("makedark", list(args)) as context:
        assert context.params["output_dir"] == f"{home}/o"
        assert context.params["input_spec"] == (f"{home}/d",)


# --- exposures, settings ------------------------------------------------------------------------


def test_exposures_that_are_nearly_the_same(tmp_path):
    for i, exposure in enumerate((59.9, 60.0, 60.1)):
        write(tmp_path / f"d{i}.fit", DARKS[i], "Dark Frame", exposure)
        write(tmp_path / f"f{i}.fit", DARKS[i], "Flat Frame", exposure, "L")
    with noted() as notes:
        assert len(gather_darks(tmp_path).groups) == 3
    [note] = [n for n in notes if "tolerance" in n]
    assert "darks of 59.9, 60, 60.1 s are made one by one; `exposure_tolerance` 0.2" in note
    with pytest.raises(PulsarError, match=r"^Inconsistent exposures .*`exposure_tolerance` 0\.2"):
        gather_flats(tmp_path, dark=0)
    search = pulsar_dask.Search(tolerance=0.2)
    with noted() as notes:
        assert len(gather_darks(tmp_path, search=search).groups) == 1
    assert not [n for n in notes if "tolerance" in n]


# --- Python ---------------------------------------------------------------------------------------


def test_arguments_of_another_type(night):
    with pytest.raises(PulsarError, match=r"`memory` '2GB': give gigabytes as a number"):
        pulsar_dask.median(night / "bias", memory="2GB")
    with pytest.raises(PulsarError, match=r"`threads` '4': give how many"):
        pulsar_dask.flat_masters(night / "flats", dark=0, threads="4")
    dataset = xr.open_dataset(night / "dark.fit", engine="pulsar")
    with pytest.raises(PulsarError, match=r"`master` is a Dataset .*give one of them \(image\)"):
        pulsar_dask.hot_pixels(dataset, 10)
    assert pulsar_dask.hot_pixels(dataset.image, 10).sizes == {"pixel": 10}
    with pytest.raises(PulsarError, match=r"`master` is of type ndarray; give"):
        pulsar_dask.hot_pixels(DARKS[0])
