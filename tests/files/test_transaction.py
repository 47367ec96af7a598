"""Outputs of one run appear together, or none does: at every step of giving them their names,
with an error and with a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import names, run
from night import stack, write_stack
from steps import struck

from pulsar_dask.files.leftovers import remove_stale

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


class Outputs(NamedTuple):
    args: list[str]
    old: Path
    new: Path
    """Folders with what an earlier and this run make."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Outputs]:
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("before", 1), ("raw", 5)):
        write_stack(folder / name, "d", stack(seed, 3, 1100), "Dark", 2)
        write_stack(folder / name, "e", stack(seed + 1, 3, 1200), "Dark", 5)
        write_stack(folder / name / "bias", "b", stack(seed + 2, 3, 1000), "Bias")
    tools = {
        "makedark": (["makedark", "{}/d*.fit"], []),
        "all": (["makedark", "{}", "{}/bias"], []),
        "zarr": (["med", "{}/d*.fit"], ["m.zarr"]),
        "med": (["med", "{}/d*.fit"], ["m.fit"]),
        "planes": (["med", "{}/d*.fit"], ["m.fit"]),  # which only the old master has
    }
    made = {}
    for tool, (words, more) in tools.items():
        places = []
        for name in ("before", "raw"):
            place = folder / tool / name
            place.mkdir(parents=True)
            args = [word.format(folder / name) for word in words] + more
            more_planes = ["--planes", "count"] if (tool, name) == ("planes", "before") else []
            run(*args, *more_planes, cwd=place)
            places.append(place)
        made[tool] = Outputs(args, *places)
    return made


def content(path: Path) -> object:
    """What tells an old output from a new one, whatever the time in its header."""
    if path.is_dir():
        chunks = sorted(p for p in (path / "master" / "c").rglob("*") if p.is_file())
        return [(str(p.relative_to(path)), p.read_bytes()) for p in chunks]
    data = path.read_bytes()
    return data[data.index(b"END" + b" " * 77) :] if path.suffix == ".fit" else data


def place_of(runs: Outputs, there: list[str] | None, folder: Path) -> dict[str, object]:
    """A folder with some of the old outputs; what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names(runs.old) if there is None else there:
        copy = shutil.copytree if (runs.old / name).is_dir() else shutil.copy2
        copy(runs.old / name, folder / name)
    return contents(folder)


def contents(folder: Path) -> dict[str, object]:
    return {name: content(folder / name) for name in names(folder) if not name.startswith(".")}


CASES = [
    ("makedark", None),
    ("zarr", None),
    *(
        pytest.param(*case, marks=pytest.mark.more)
        for case in (
            ("makedark", []),
            ("makedark", ["dark2s.fit"]),
            ("makedark", ["cosme2s.lst"]),
            ("med", None),
            ("planes", None),
            ("all", None),
            ("all", ["dark5s.fit", "cosme5s.lst"]),
            ("zarr", []),
            ("med", []),
        )
    ),
]


@pytest.mark.parametrize(("tool", "there"), CASES)
def test_an_error_at_any_step_leaves_all_old_or_all_new(runs, tmp_path, tool, there):
    case, folder = runs[tool], tmp_path / "out"
    new = contents(case.new)
    failed = 0
    for number in range(1, 200):
        before = place_of(case, there, folder)
        bits = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        done = struck(case.args, folder, number, "fail")
        assert "Traceback" not in done.err
        after = contents(folder)
        if done.status:
            failed += 1
            assert done.status == 1
            assert "Permission denied" in done.err
            assert after == before, number
            assert all(path.read_bytes() == data for path, data in bits.items())
        else:
            backup = {"cosme2s.lst.bak": before["cosme2s.lst"]} if there == ["cosme2s.lst"] else {}
            assert after == new | backup, number
        if [n for n in names(folder) if n.startswith(".")]:  # where it is the removal that failed
            assert not done.status or "the next run" in done.err, number
            remove_stale(str(folder))
        assert [n for n in names(folder) if n.startswith(".")] == []
        if not done.struck:
            break
    assert not done.struck
    assert number > len(new)
    assert failed >= (tool in ("makedark", "all")) * len(new)


@pytest.mark.parametrize(("tool", "there"), CASES)
def test_a_kill_at_any_step_is_mended_by_the_next_run(runs, tmp_path, tool, there):
    case, folder = runs[tool], tmp_path / "out"
    new, seen = contents(case.new), set()
    for number in range(1, 200):
        before = place_of(case, there, folder)
        done = struck(case.args, folder, number, "kill")
        if not done.struck:
            assert done.status == 0
            break
        assert done.status == -signal.SIGKILL
        between = contents(folder)
        for name in new:  # each is whole, an old or a new one; or it was not there
            assert between.get(name) in (before.get(name), new[name]), number
        assert len(set(names(folder)) - set(between)) <= 1
        remove_stale(str(folder))
        after = contents(folder)
        after = {name: data for name, data in after.items() if not name.endswith(".bak")}
        assert after in (before, new), number
        assert [n for n in names(folder) if n.startswith(".")] == []
        seen.add("old" if after == before else "new")
    assert not done.struck
    assert seen == {"old", "new"}
    run(*case.args, cwd=folder)
    assert {n: c for n, c in contents(folder).items() if ".bak" not in n} == new


@pytest.mark.parametrize("what", ["changed", "removed", "copied"])
def test_what_the_user_does_after_a_kill_stays(runs, tmp_path, what):
    """Only names that still hold what the killed run has put there are given back."""
    case, folder = runs["makedark"], tmp_path / "out"
    for number in range(1, 200):
        before = place_of(case, None, folder)
        assert struck(case.args, folder, number, "kill").struck
        if contents(folder)["dark2s.fit"] != before["dark2s.fit"]:
            break
    dark = folder / "dark2s.fit"
    if what == "changed":
        dark.write_bytes(dark.read_bytes() + b"mine")
    else:
        dark.unlink()
        if what == "copied":  # perhaps under the number of the one before
            dark.write_bytes(b"mine")
    mine = dark.read_bytes() if dark.exists() else None
    remove_stale(str(folder))
    assert sorted(names(folder)) == ["cosme2s.lst", "dark2s.fit"]
    assert mine is None or dark.read_bytes() == mine


def test_links_are_not_to_be_had(runs, tmp_path, monkeypatch):
    """As on exFAT: what was there is moved, and comes back all the same."""
    from pulsar_dask.errors import PulsarError
    from pulsar_dask.files import transaction
    from pulsar_dask.files.atomic import AtomicFile

    monkeypatch.setattr(
        transaction, "_keep", lambda part, old, name: part.beside.stat(name) is None
    )
    for name in "abc":
        (tmp_path / name).write_bytes(b"old")

    def refuse() -> None:
        if (tmp_path / "a").read_bytes() == b"new":
            raise PulsarError("now")

    def commit(last: str) -> None:
        files = {
            str(tmp_path / name): AtomicFile(str(tmp_path / name)) for name in ("a", "b", last)
        }
        for file in files.values():
            file.write_at(b"new", 0)
            file.seal()
        transaction.commit_all(files, dict.fromkeys(files, refuse))

    with pytest.raises(PulsarError, match="now"):
        commit("d")  # which is not there, so that it is looked at once more
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == dict.fromkeys("abc", b"old")
    commit("c")
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == dict.fromkeys("abc", b"new")


def test_an_error_names_the_output(runs, tmp_path):
    case, folder = runs["makedark"], tmp_path / "out"
    said = set()
    for number in range(1, 30):
        place_of(case, None, folder)
        done = struck(case.args, folder, number, "fail")
        if done.status:
            (line,) = [x for x in done.err.splitlines() if not x.startswith("warning: ")]
            said.add(os.path.basename(line.split(": error: ")[1].split(": cannot")[0]))
    assert said == {"dark2s.fit", "cosme2s.lst"}


@pytest.mark.parametrize("which", ["bias.fit", "dark5s.fit", "cosme5s.lst"])
def test_an_output_that_the_system_holds_fast(runs, tmp_path, which):
    """As on Windows one that is open in another program: nothing is tampered with here."""
    case, folder = runs["all"], tmp_path / "out"
    place_of(case, None, folder)
    bits = {p.name: p.read_bytes() for p in folder.iterdir()}
    if subprocess.run(["chattr", "+i", folder / which], capture_output=True).returncode:
        pytest.skip("nothing can be held fast here")
    try:
        done = run(*case.args, cwd=folder, status=1)
    finally:
        subprocess.run(["chattr", "-i", folder / which], check=True)
    assert f"{which}: cannot be written (Operation not permitted)" in done.stderr
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == bits
    run(*case.args, cwd=folder)
    assert contents(folder) == contents(case.new)
