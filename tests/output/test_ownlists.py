"""Whose a list of hot pixels is: one that may be the user's is not lost."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import names, run
from night import stack, write, write_stack

from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.provenance import read_trace, read_written
from pulsar_dask.output.ours import is_ours

N = 20
LINE = ("makedark", "d*.fit", "--hot-pixels", N)
IRIS = "".join(f"P {i} 1\r\n" for i in range(N)).encode()


@pytest.fixture
def night(tmp_path) -> Path:
    write_stack(tmp_path, "d", stack(1, 3, 1000), "Dark", 2)
    write_stack(tmp_path / "more", "d", stack(2, 3, 1000), "Dark", 2)
    return tmp_path


def test_a_dark_vouches_for_its_list(night):
    run(*LINE, cwd=night)
    data = (night / "cosme2s.lst").read_bytes()
    assert read_written(str(night / "dark2s.fit")) == {"cosme2s.lst": zlib.crc32(data)}
    history = list(map(str, read_header(scan_frame(night / "dark2s.fit"))["HISTORY"]))
    trace = read_trace(history, str(night))
    assert [s.role for s in trace.sources] == ["input"] * 3
    assert list(map(str, trace.steps)) == ["median of 3 frames"]
    assert trace.written == (str(night / "cosme2s.lst"),)
    assert is_ours(str(night / "cosme2s.lst"))
    assert "as they were" in run("verify", "dark2s.fit", cwd=night).stdout


def test_a_list_that_a_dark_vouches_for_is_replaced(night):
    """Also one of another length; nothing is kept of it."""
    run(*LINE, cwd=night)
    old = (night / "cosme2s.lst").read_bytes()
    done = run("makedark", "more/d*.fit", "--hot-pixels", N + 5, cwd=night)
    assert ".bak" not in done.stdout
    assert (night / "cosme2s.lst").read_bytes() != old
    assert {n for n in names(night) if "cosme" in n} == {"cosme2s.lst"}


@pytest.mark.parametrize("how", ["swapped", "one pixel", "dark edited", "dark gone"])
def test_a_list_of_our_form_is_kept(night, how):
    run(*LINE, cwd=night)
    path = night / "cosme2s.lst"
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "swapped":
        lines[3], lines[7] = lines[7], lines[3]
    else:
        lines[0] = b"P 0 0\r\n" if lines[0] != b"P 0 0\r\n" else b"P 1 1\r\n"
    if how == "dark gone":
        (night / "dark2s.fit").unlink()
    path.write_bytes(b"".join(lines))
    if how == "dark edited":  # it vouches for the list, but is the user's now itself
        dark = night / "dark2s.fit"
        crc = zlib.crc32(path.read_bytes())
        old = read_written(str(dark))["cosme2s.lst"]
        dark.write_bytes(dark.read_bytes().replace(b"%010d" % old, b"%010d" % crc))
        assert read_written(str(dark)) == {"cosme2s.lst": crc}
        run(*LINE, cwd=night, status=1)
        dark.unlink()
    mine = path.read_bytes()
    done = run("makedark", "more/d*.fit", "--hot-pixels", N, cwd=night)
    assert "cosme2s.lst was there, and no master beside it says" in done.stdout
    assert "what it held is cosme2s.lst.bak" in done.stdout
    assert (night / "cosme2s.lst.bak").read_bytes() == mine
    assert path.read_bytes() != mine
    assert is_ours(str(path))


def test_a_list_of_an_older_version_is_kept(night):
    """Its dark names no list."""
    run(*LINE, cwd=night)
    dark = night / "dark2s.fit"
    run("med", "more/d*.fit", "dark2s.fit", cwd=night)  # a master of ours that vouches for nothing
    assert read_written(str(dark)) == {}
    old = (night / "cosme2s.lst").read_bytes()
    run(*LINE, cwd=night)
    assert "cosme2s.lst.bak" not in names(night)  # it stays the same
    run("med", "more/d*.fit", "dark2s.fit", cwd=night)
    run("makedark", "more/d*.fit", "--hot-pixels", N, cwd=night)
    assert (night / "cosme2s.lst.bak").read_bytes() == old


OTHERS = {
    "longer": IRIS + b"P 1 2\r\n",
    "shorter": IRIS[:-8],
    "columns": IRIS[:-8] + b"C 9 0\r\n",
    "letters": IRIS.replace(b"\r\n", b" H\r\n"),
    "lines": IRIS.replace(b"\r\n", b"\n"),
    "empty": b"",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_list_of_another_form_needs_overwrite(night, kind):
    path = night / "cosme2s.lst"
    path.write_bytes(OTHERS[kind])
    before = names(night)
    done = run(*LINE, cwd=night, status=1)
    assert "cosme2s.lst exists and was not written by pulsar-dask" in done.stderr
    assert "--overwrite" in done.stderr
    assert path.read_bytes() == OTHERS[kind]
    assert names(night) == before
    run(*LINE, "--overwrite", cwd=night)
    assert path.read_bytes() != OTHERS[kind]
    assert set(names(night)) - set(before) == {"dark2s.fit"}


def test_what_is_kept_takes_no_name_of_the_users(night):
    path = night / "cosme2s.lst"
    for i, row in enumerate((b" 1\r", b" 2\r", b" 3\r")):
        mine = IRIS.replace(b" 1\r", row)
        path.write_bytes(mine)
        (night / "dark2s.fit").unlink(missing_ok=True)
        run(*LINE, cwd=night)
        assert (night / f"cosme2s.lst.bak{i or ''}").read_bytes() == mine
    path.write_bytes(IRIS)  # it is there already
    (night / "dark2s.fit").unlink()
    run(*LINE, cwd=night)
    assert len([n for n in names(night) if ".bak" in n]) == 3
    assert (night / "cosme2s.lst.bak").read_bytes() == IRIS


def test_make_cosme(night):
    write(night / "m.fit", np.random.default_rng(1).integers(0, 9000, (20, 30), "u2"))
    write(night / "n.fit", np.random.default_rng(2).integers(0, 9000, (20, 30), "u2"))
    line = ("make_cosme", "m.fit", "c.lst", "--hot-pixels", N)
    run(*line, cwd=night)
    made = (night / "c.lst").read_bytes()
    assert ".bak" not in run(*line, cwd=night).stdout
    done = run("make_cosme", "n.fit", "c.lst", "--hot-pixels", N, cwd=night)
    assert "what it held is c.lst.bak" in done.stdout
    assert (night / "c.lst.bak").read_bytes() == made
    run("make_cosme", "m.fit", "c.lst", "--hot-pixels", N + 1, cwd=night, status=1)
    run("make_cosme", "m.fit", "c.lst", "--hot-pixels", N + 1, "--overwrite", cwd=night)
    assert [n for n in names(night) if n.startswith("c.")] == ["c.lst", "c.lst.bak"]
    # over a list that a dark beside it vouches for
    run(*LINE, cwd=night)
    run("make_cosme", "n.fit", "cosme2s.lst", "--hot-pixels", 3, cwd=night)
    assert "cosme2s.lst.bak" not in names(night)


def test_make_cosme_of_another_number(night):
    """More of the same image, or fewer: the list is ours by what it holds."""
    for name, seed in (("m", 1), ("n", 2)):
        image = np.random.default_rng(seed).integers(0, 9000, (20, 30), "u2")
        write(night / f"{name}.fit", image)
    line = ("make_cosme", "m.fit", "c.lst", "--hot-pixels")

    def lists():
        return {n: (night / n).read_bytes() for n in names(night) if n.startswith("c.")}

    run(*line, N, cwd=night)
    short = lists()["c.lst"]
    run(*line, N + 5, cwd=night)
    long = lists()["c.lst"]
    assert long.startswith(short)
    assert long.count(b"\n") == N + 5
    assert set(lists()) == {"c.lst"}  # nothing went that would have to be kept
    done = run(*line, N, cwd=night)
    assert "what it held is c.lst.bak" in done.stdout
    assert lists() == {"c.lst": short, "c.lst.bak": long}
    # of another image, another order, another origin, or not as ours are
    (night / "c.lst.bak").unlink()
    lines = short.splitlines(keepends=True)
    others = [short, b"".join([lines[1], lines[0], *lines[2:]]), short[:-1], short + b"# mine\r\n"]
    words = [("n.fit",), ("m.fit",), ("m.fit",), ("m.fit",)]
    for mine, (image,) in zip(others, words, strict=True):
        (night / "c.lst").write_bytes(mine)
        done = run("make_cosme", image, "c.lst", "--hot-pixels", N + 2, cwd=night, status=1)
        assert "name another output or add --overwrite" in done.stderr
        assert lists() == {"c.lst": mine}
    (night / "c.lst").write_bytes(b"")
    run(*line, 0, cwd=night)
    (night / "c.lst").write_bytes(short)
    run(*line, 0, cwd=night, status=1)
    assert lists() == {"c.lst": short}
    # first over a list that a dark vouches for, which it then does not any more
    run(*LINE, cwd=night)
    for count in (3, 4, 4):
        done = run("make_cosme", "dark2s.fit", "cosme2s.lst", "--hot-pixels", count, cwd=night)
        assert (night / "cosme2s.lst").read_bytes().count(b"\n") == count
    assert not [n for n in names(night) if "cosme" in n and "bak" in n]


def test_the_way_out_where_the_tool_names_its_outputs(night):
    (night / "cosme2s.lst").write_bytes(OTHERS["lines"])
    err = run(*LINE, cwd=night, status=1).stderr
    assert "rename it or add --overwrite" in err
    assert "another output" not in err
    (night / "cosme2s.lst").rename(night / "mine.lst")
    run(*LINE, cwd=night)
    (night / "dark2s.fit").chmod(0o444)
    err = run(*LINE, cwd=night, status=1).stderr
    assert "dark2s.fit is read-only; rename it or add --overwrite" in err
    write(night / "b" / "dark2s.fit", stack(1, 1, 1000)[0], "Dark", 2)
    err = run("makedark", "b", "--force-type", "--output-dir", "b", cwd=night, status=1).stderr
    assert "is an input; an input is never replaced, choose another --output-dir" in err


def test_a_list_of_names_is_an_input(night):
    """The names of the frames, in a file that the run would replace."""
    names_of = "".join(f"d{i:04}.fit\n" for i in (1, 2, 3)).encode()
    for how in ((), ("--overwrite",)):
        (night / "cosme2s.lst").write_bytes(names_of)
        done = run("makedark", "@cosme2s.lst", *how, cwd=night, status=1)
        assert "is an input" in done.stderr
        assert (night / "cosme2s.lst").read_bytes() == names_of
    assert "dark2s.fit" not in names(night)
