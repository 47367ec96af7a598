"""What may be replaced."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from helpers import header_bytes, run, write_frame
from masters import write_master

from pulsar_dask.errors import PulsarError
from pulsar_dask.output.ours import check_output, is_ours


@pytest.fixture
def stack(here):
    for i in range(1, 4):
        write_frame(here / f"bias{i}.fit", np.zeros((2, 2), "i2"))
    write_frame(here / "other.fit", np.zeros((2, 2), "i2"))
    write_master(here / "master.fit", np.zeros((2, 2)), "float32")
    (here / "cosme.lst").write_bytes(b"P 1 2\r\nP 3 4\r\n")
    (here / "mine.lst").write_bytes(b"# by hand\nP 1 2\n")
    (here / "folder").mkdir()
    return [str(here / f"bias{i}.fit") for i in range(1, 4)]


@pytest.mark.parametrize("output", ["new.fit", "master.fit", "cosme.lst", "folder/bias1.fit"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_outputs_that_may_be_written(stack, output, overwrite):
    check_output(output, stack, overwrite=overwrite)


@pytest.mark.parametrize("output", ["other.fit", "mine.lst"])
def test_files_of_others_need_overwrite(stack, output):
    with pytest.raises(PulsarError, match=f"^{output} exists .*`overwrite`"):
        check_output(output, stack, overwrite=False)
    check_output(output, stack, overwrite=True)


@pytest.mark.parametrize(
    "output", ["bias1.fit", "./bias3.fit", "bias4.fit", "bias9.fit", "folder/../bias2.fit"]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_inputs_and_their_sequence_are_never_replaced(stack, output, overwrite):
    with pytest.raises(PulsarError, match="input"):
        check_output(output, stack, overwrite=overwrite)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_never_replaced(stack, overwrite):
    with pytest.raises(PulsarError, match=r"^folder "):
        check_output("folder", stack, overwrite=overwrite)


def test_a_missing_folder_is_named(stack):
    with pytest.raises(PulsarError, match="gone"):
        check_output("gone/m.fit", stack, overwrite=False)


@pytest.mark.parametrize("output", ["bias1.FIT", "BIAS4.fit", "bias01.fit", "bias4.fits"])
def test_other_names_are_other_sequences(stack, output):
    if os.path.exists("BIAS1.FIT"):
        pytest.skip("the file system does not tell upper from lower case")
    if output == "bias1.FIT":
        with pytest.raises(PulsarError, match="sequence"):
            check_output(output, stack, overwrite=False)
    else:
        check_output(output, stack, overwrite=False)


@pytest.mark.parametrize(
    "content",
    [
        header_bytes({"SIMPLE": True, "CREATOR": "pulsar-dask 0.1.0"}),
        header_bytes({"SIMPLE": True, "CREATOR": "siril"}),
        header_bytes({"SIMPLE": True, "COMMENT": "CREATOR = 'pulsar-dask"}),
        header_bytes({"SIMPLE": True}) + b"CREATOR = 'pulsar-dask'",
        b"",
        b"CREATOR = 'pulsar-dask'",
    ],
)
def test_what_is_no_master_of_ours(tmp_path, content):
    path = tmp_path / "m.fit"
    path.write_bytes(content)
    assert not is_ours(str(path))


def edit_header(path):
    """As a program does that knows nothing of CHECKSUM."""
    data = path.read_bytes()
    mine = b"OBJECT  = 'mine'".ljust(80) + b"END".ljust(80)
    path.write_bytes(data.replace(b"END".ljust(160), mine, 1))


def edit_pixel(path):
    data = bytearray(path.read_bytes())
    data[2880] ^= 1
    path.write_bytes(data)


def edit_with_checksum(path):
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus[0].header["CREATOR"] = "another program"


def append_to(path):
    path.write_bytes(path.read_bytes() + b"notes of mine")


def append_hdu(path):
    """One that a program has given a CHECKSUM."""
    fits.append(path, np.zeros((3, 4), "i2"), checksum=True)


def append_copy(path):
    """One that states what ours does."""
    data, header = fits.getdata(path, header=True)
    fits.append(path, data, header, checksum=True)


def append_empty(path):
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.ImageHDU())
        hdus[-1].add_checksum()


@pytest.mark.parametrize(
    "edit",
    [
        edit_header,
        edit_pixel,
        edit_with_checksum,
        append_to,
        append_hdu,
        append_copy,
        append_empty,
    ],
)
def test_a_master_that_was_changed_is_theirs_who_changed_it(tmp_path, edit):
    path = tmp_path / "m.fit"
    write_master(path, np.ones((5, 7)), "float32")
    assert is_ours(str(path))
    check_output(str(path), [], overwrite=False)
    edit(path)
    assert not is_ours(str(path))
    with pytest.raises(PulsarError, match=r"m.fit .* `overwrite`") as told:
        check_output(str(path), [], overwrite=False)
    assert ("was changed after" in str(told.value)) is (edit is not edit_with_checksum)
    check_output(str(path), [], overwrite=True)


@pytest.mark.few
@pytest.mark.parametrize("edit", [append_hdu, append_copy, append_empty])
@pytest.mark.parametrize("name", ["m.fit", "m.planes.fit"])
def test_an_hdu_that_was_added_is_not_lost(stack, here, edit, name):
    words = ("med", *stack, "m.fit", "--planes", "count")
    run(*words, cwd=here)
    run("verify", name, cwd=here)
    edit(here / name)
    said = run("verify", name, cwd=here, status=1).stdout
    assert f"{name}: what is beside its image in the file is not what was written" in said
    assert "whole" not in said
    before = (here / name).read_bytes()
    for line in (words, words[:-2]):
        assert f"{name} was changed after" in run(*line, cwd=here, status=1).stderr
        assert (here / name).read_bytes() == before
    run(*words, "--overwrite", cwd=here)
    run("verify", name, cwd=here)


def test_what_is_read_only_needs_overwrite(stack, here):
    run("med", *stack, "bias.zarr", cwd=here)
    for name, words in {
        "master.fit": ("med", *stack),
        "bias.zarr": ("med", *stack),
        "cosme.lst": ("make_cosme", "bias1.fit"),
    }.items():
        path, inside = here / name, here / name / "zarr.json"
        found = inside if path.is_dir() else path
        before = found.stat()
        path.chmod(path.stat().st_mode & 0o555)
        said = run(*words, name, cwd=here, status=1).stderr
        assert f"{name} is read-only; name another output or add --overwrite" in said
        assert found.stat().st_mtime_ns == before.st_mtime_ns
        run(*words, name, "--overwrite", cwd=here)
        assert found.stat().st_mtime_ns > before.st_mtime_ns
        assert path.stat().st_mode & 0o200
