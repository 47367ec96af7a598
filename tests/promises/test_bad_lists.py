"""Lists of hot pixels that are wrong, large, or of another make."""

from __future__ import annotations

import codecs
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from harm import snapshot
from helpers import run, same
from hypothesis import example, given
from hypothesis import strategies as st
from many import refused, run_many
from night import flat64, pixels, stack, write_stack

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs import pixellists
from pulsar_dask.inputs.pixellists import read_list

FLATS = stack(3, 3, 20000)
SIZE = (24, 31)

WRONG = {
    "out": (b"P 1 1\r\nP 31 0\r\n", "line 2: P 31 0 lies outside the image of 31 x 24"),
    "below": (b"P 0 24\n", "line 1: P 0 24 lies outside"),
    "negative": (b"P 1 1\nP -1 0\n", "line 2: P -1 0 lies outside"),
    "fraction": (b"P 1 1\n\nP 1.5 2\n", "line 3: 'P 1.5 2' is not 'P X Y'"),
    "missing": (b"P 1 1\nP 1\n", "line 2: 'P 1' is not"),
    "words": (b"hot pixels\n", "line 1: 'hot pixels' is not"),
    "huge": (b"P 99999999999999999999999 1\n", "line 1"),
    "nul": (b"P 1 1\nP 1\x00 1\n", "line 2: 'P 1\\\\x00 1' is not"),
    "escape": (b"P 1 1\n\x1b[31mP 1 1\n", "line 2: '\\\\x1b[31mP 1 1' is not"),
    "zeros": (bytes(5_000), "line 1"),
    "binary": (bytes(range(256)) * 99, "line 1"),
    "csv": (b"x,y\n1,1\n", "line 1: 'x,y' is not"),
    "long": (b"P 1 1\n" + b"P" * 3_000_000, "line 2: too long"),
    "separator": (b"P 1\x0b1\nP 1 1\x85P 2 2\n", "line 2"),
}


@pytest.fixture
def folder(tmp_path):
    write_stack(tmp_path / "flats", "f", FLATS, "Flat Frame", 2.0, "L")
    return tmp_path


def test_wrong_lists(folder):
    for name, (content, _) in WRONG.items():
        (folder / f"{name}.lst").write_bytes(content)
    with open(folder / "sparse.lst", "wb") as file:
        file.truncate(1 << 30)
    (folder / "image.lst").write_bytes((folder / "flats" / "f0001.fit").read_bytes())
    (folder / "folder.lst").mkdir()
    cases = [(f"{name}.lst", f"{name}.lst, {says}") for name, (_, says) in WRONG.items()]
    cases += [
        ("sparse.lst", "sparse.lst, line 1: too long"),
        ("image.lst", "image.lst, line 1"),
        ("folder.lst", "folder.lst"),
        ("gone.lst", "gone.lst: No such file"),
    ]
    before = sorted(os.listdir(folder))
    lines = [("makeflat", "flats", "--dark", "0", "--cosme", name) for name, _ in cases]
    for (_, says), done in zip(cases, run_many(lines, folder), strict=True):
        refused(done, says)
    assert sorted(os.listdir(folder)) == before
    (folder / "sparse.lst").unlink()
    (folder / "cosme2s.lst").write_bytes(b"P 31 0\r\n")
    before = snapshot(folder)
    [done] = run_many([("makeflat", "flats", "--dark", "0")], folder)
    refused(done, "cosme2s.lst, line 1: P 31 0 lies outside")
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    "content",
    [
        b"P 1 2\r\nP 3 4\nP 5 6\rP 1 2",
        b"# mine\nP 1 2\n" + b"# " + b"x" * 2_500_000 + b"\nP 3 4 H\np\t5  6\n\n",
        codecs.BOM_UTF8 + b"P 1 2\nP 3 4\nP 5 6\n",
        "P 1 2\r\nP 3 4\r\nP 5 6".encode("utf-16"),
        codecs.BOM_UTF16_BE + "P 1 2\nP 3 4\n# Ω\nP 5 6".encode("utf-16-be"),
    ],
    ids=["endings", "long comment", "bom", "utf-16", "utf-16-be"],
)
def test_lists_of_other_makes(folder, content):
    (folder / "c.lst").write_bytes(content)
    line = ("makeflat", "flats", "--dark", "0", "--cosme", "c.lst", "-q")
    [done] = run_many([line], folder)
    assert done.status == 0, done
    truth = flat64(FLATS, 0.0, {(1, 2), (3, 4), (5, 6)})
    np.testing.assert_allclose(pixels(folder / "flat_l.fit"), truth, rtol=1e-6)


def test_an_empty_list_corrects_nothing(folder):
    (folder / "c.lst").write_bytes(b"")
    [done] = run_many([("makeflat", "flats", "--dark", "0", "--cosme", "c.lst")], folder)
    assert done.status == 0, done
    assert "0 pixels of c.lst corrected" in done.out
    np.testing.assert_allclose(pixels(folder / "flat_l.fit"), flat64(FLATS), rtol=1e-6)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no process substitution here")
def test_a_list_from_a_pipe_serves_every_filter(folder):
    """It can be read only once: the second filter must not find it empty."""
    write_stack(folder / "flats", "r", FLATS, "Flat Frame", 2.0, "R")
    ours, theirs = os.pipe()
    os.write(theirs, b"P 1 2\r\nP 3 4\r\n")
    os.close(theirs)
    line = ("makeflat", "flats", "--dark", "0", "--cosme", f"/dev/fd/{ours}")
    done = run(*line, cwd=folder, pass_fds=[ours])
    os.close(ours)
    assert done.stdout.count("2 pixels of") == 2
    same(pixels(folder / "flat_l.fit"), pixels(folder / "flat_r.fit"))


def test_the_list_beside_a_dark_that_is_given(folder):
    write_stack(folder / "other" / "darks", "d", stack(2, 3, 400), "Dark Frame", 2.0)
    lines = [
        ("makedark", "other/darks", "--output-dir", "other", "--hot-pixels", 5, "-q"),
        ("makeflat", "flats", "--dark", "other/dark2s.fit"),
    ]
    made, flat = run_many(lines, folder)
    assert made.status == 0, made
    assert flat.status == 0, flat
    assert "5 pixels of cosme2s.lst corrected" in flat.out


@pytest.mark.soak
def test_ten_million_lines(tmp_path):
    """Read by blocks, in a process of its own to see the memory that it takes."""
    resource = pytest.importorskip("resource")
    assert resource is not None
    part = b"".join(b"P %d %d\r\n" % (n % 4000, n // 4000) for n in range(1_000_000))
    with open(tmp_path / "c.lst", "wb") as file:
        for _ in range(10):
            file.write(part)
    with open(tmp_path / "wrong.lst", "wb") as file:
        file.write(part[:2_000_000] + b"0\n")
    with pytest.raises(PulsarError, match=rf"line {part[:2_000_000].count(10) + 1}: "):
        read_list(str(tmp_path / "wrong.lst"), (4000, 4000))
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from pulsar_dask.inputs.pixellists import read_list\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "places = read_list(sys.argv[1], (4000, 4000))\n"
        "assert (places == np.arange(1_000_000)).all()\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c.lst")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * (1 if sys.platform == "darwin" else 1024) < 100e6


def test_many_lines_of_one_column_are_one_column(tmp_path):
    (tmp_path / "c.lst").write_bytes(b"C 2 0\nL 1 0\n" * 9_000)
    places = read_list(str(tmp_path / "c.lst"), (5, 4))
    assert places.tolist() == sorted({1 * 4 + x for x in range(4)} | {y * 4 + 2 for y in range(5)})


# --- the fast way is the slow way ------------------------------------------------------------

plain = st.builds(
    lambda p, b, x, c, y, t, e: f"{p}{b}{x}{c}{y}{t}{e}".encode(),
    st.sampled_from("Pp"),
    st.sampled_from([" ", "\t", "  "]),
    st.integers(0, 32),
    st.sampled_from([" ", " \t"]),
    st.one_of(st.integers(0, 25), st.sampled_from(["007", "0000000003"])),
    st.sampled_from(["", " H", " c ", "  "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
other = st.sampled_from([b"\n", b"# P\n", b"C 3 0\r", b"L 3 0\r\n", b"P -1 2\n", b"P 1\n", b"#\r"])


@given(
    st.lists(st.one_of(plain, plain, plain, other), max_size=12),
    st.sampled_from([1, 2, 3, 7, 16, 1 << 20]),
    st.booleans(),
    st.integers(0, 2**32),
)
@example([b"P 1 2\r\n"] * 3, 7, False, 0)
def test_blocks_give_what_lines_give(tmp_path, lines, block, top, seed):
    """In blocks of any size, with the fast way or without."""
    random.Random(seed).shuffle(lines)
    path = tmp_path / "c.lst"
    path.write_bytes(b"".join(lines))

    def read(**changed):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in changed.items():
                patch.setattr(pixellists, name, value)
            try:
                return read_list(str(path), SIZE, origin_top=top).tolist()
            except PulsarError as error:
                return str(error)

    slow = read(_plain_places=lambda *_: None)
    assert read() == slow
    assert read(_BLOCK=block + 210, _SOME_PLACES=2) == slow
