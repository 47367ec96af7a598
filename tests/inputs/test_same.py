"""One file under two names: an input is never replaced, however its name is spelled."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harm import LINUX_ROOT
from helpers import names, run
from night import stack, write_stack

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs.same import Same
from pulsar_dask.inputs.words import same_file
from pulsar_dask.output.ours import check_output


@pytest.fixture
def night(tmp_path) -> Path:
    write_stack(tmp_path / "raw", "b", stack(1, 3, 1000), "Bias")
    return tmp_path


def bits(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def refuse_all(night: Path, other: Path, *, by: Path | None = None) -> None:
    """Outputs among the inputs, which lie in `other` as well as in `raw`."""
    before = bits(night / "raw")
    mask = (by or night / "raw") / "b*.fit"
    for name, says in (("b0001.fit", "is an input"), ("b0009.fit", "numbered sequence")):
        done = run("med", mask, other / name, "--overwrite", cwd=night, status=1)
        assert says in done.stderr
        assert bits(night / "raw") == before
    run("med", mask, other / "m.fit", cwd=night)  # a second time it is the output, no input
    run("med", (by or night / "raw") / "*.fit", other / "m.fit", cwd=night)
    (other / "m.fit").unlink()


@contextlib.contextmanager
def mounted(place: Path, *line: object):
    if not LINUX_ROOT:
        pytest.skip("needs Linux and root")
    place.mkdir()
    if subprocess.run(["mount", *map(str, line), str(place)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_through_a_bind_mount(night):
    with mounted(night / "again", "--bind", night / "raw") as other:
        assert os.path.realpath(other) != os.path.realpath(night / "raw")
        refuse_all(night, other)
        refuse_all(night, night / "raw", by=other)


def test_through_a_linked_folder(night):
    (night / "again").symlink_to("raw", target_is_directory=True)
    refuse_all(night, night / "again")
    refuse_all(night, night / "raw", by=night / "again")


@pytest.mark.skipif(shutil.which("mkfs.vfat") is None, reason="mkfs.vfat is not installed")
def test_on_a_file_system_that_does_not_tell_case(night):
    image = night / "image"
    subprocess.run(["truncate", "-s", "8M", str(image)], check=True)
    subprocess.run(["mkfs.vfat", str(image)], check=True, capture_output=True)
    with mounted(night / "card", "-o", "loop", image) as card:
        for path in (night / "raw").iterdir():
            shutil.copy(path, card)
        before = bits(card)
        for name, says in (("B0001.FIT", "is an input"), ("B0009.fit", "numbered sequence")):
            done = run("med", card / "b*.fit", card / name, "--overwrite", cwd=night, status=1)
            assert says in done.stderr
        assert bits(card) == before


def test_a_hard_link_to_an_input_is_that_input(night):
    os.link(night / "raw" / "b0002.fit", night / "m.fit")
    before = bits(night / "raw")
    done = run("med", "raw/b*.fit", "m.fit", "--overwrite", cwd=night, status=1)
    assert "m.fit is an input" in done.stderr
    assert bits(night / "raw") == before
    assert os.path.samefile(night / "m.fit", night / "raw" / "b0002.fit")


@pytest.mark.parametrize("role", ["bias", "dark", "list"])
def test_a_hard_link_to_what_calibrates(night, role):
    write_stack(night / "raw", "d", stack(2, 3, 1100), "Dark", 2)
    write_stack(night / "raw", "f", stack(3, 3, 20000), "Flat", 2, "L")
    run("med", "raw/b*.fit", "bias.fit", cwd=night)
    run("makedark", "raw/d*.fit", "bias.fit", cwd=night)
    out = night / "out"
    out.mkdir()
    if role == "bias":
        line = ("makedark", "raw/d*.fit", "--bias", "bias.fit")
        os.link(night / "bias.fit", out / "dark2s.fit")
    else:
        line = ("makeflat", "raw/f*.fit", "--dark", "dark2s.fit", "--cosme", "cosme2s.lst")
        os.link(night / ("dark2s.fit" if role == "dark" else "cosme2s.lst"), out / "flat_l.fit")
    before = bits(out)
    done = run(*line, "--output-dir", "out", "--overwrite", cwd=night, status=1)
    assert "is an input" in done.stderr
    assert bits(out) == before


def test_a_further_name_of_a_master_is_an_input(night):
    """It is read under that name; the output is not it."""
    run("med", "raw/b*.fit", "m.fit", cwd=night)
    os.link(night / "m.fit", night / "raw" / "b0004.fit")
    done = run("med", "raw/b*.fit", "m.fit", cwd=night, status=1)
    assert "m.fit is an input" in done.stderr


def test_numbers_of_files_that_change(night, monkeypatch):
    """As in some network folders: then the names tell."""
    count = iter(range(1, 10_000))
    real = os.stat

    def stat(path, *args, **kwargs):
        status = list(real(path, *args, **kwargs))
        status[1] = next(count)
        return os.stat_result(status)

    (night / "link").symlink_to("raw")
    monkeypatch.setattr(os, "stat", stat)
    one, other = str(night / "raw" / "b0001.fit"), str(night / "link" / "b0001.fit")
    assert same_file(one, other)
    assert Same(other).is_name(one)
    assert not same_file(one, str(night / "raw" / "b0002.fit"))
    for name in ("b0001.fit", "b0007.fit"):
        with pytest.raises(PulsarError, match="input"):
            check_output(str(night / "link" / name), [one], overwrite=True)


def test_others_are_others(night):
    one = str(night / "raw" / "b0001.fit")
    copy = str(shutil.copy2(one, night / "b0001.fit"))
    assert not same_file(one, copy)
    check_output(copy, [one], overwrite=True)
    check_output(str(night / "b0002.fit"), [one], overwrite=True)
    assert not same_file(str(night / "a"), str(night / "b"))
    assert same_file(str(night / "a"), str(night / "raw" / ".." / "a"))
    assert names(night) == ["b0001.fit", "raw"]
    if sys.platform == "linux":
        check_output(str(night / "raw" / "B0004.fit"), [one], overwrite=True)
