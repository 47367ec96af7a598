"""Lists of hot pixels: every form that programs write, and the line that is wrong."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from night import points

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs.pixellists import read_list
from pulsar_dask.output.lists import write_list

SIZE = (20, 30)


def read(path, content, size=SIZE, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    places = read_list(str(path), size, **options)
    assert places.tolist() == sorted(set(places.tolist()))
    return {(p % size[-1], p // size[-1]) for p in places.tolist()}


COLUMN = {(4, y) for y in range(20)}


ROW = {(x, 3) for x in range(30)}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", set()),
        (b"P 1 2\r\nP 3 4\r\n", {(1, 2), (3, 4)}),
        (b"P 1 2\nP 3 4\n", {(1, 2), (3, 4)}),
        (b"P 1 2\rP 3 4\r", {(1, 2), (3, 4)}),
        (b"P 1 2\rP 3 4\nP 5 6\r\nP 7 8", {(1, 2), (3, 4), (5, 6), (7, 8)}),
        (b"\xef\xbb\xbfP 1 2\r\n", {(1, 2)}),
        (b"# hot pixels\r\n\r\n   \nP 1 2\n  # more\n#\n", {(1, 2)}),
        (b"# " + b"long " * 200 + b"\nP 1 2\n", {(1, 2)}),
        (b"#" + b"x" * 199 + b"\nP 1 2\n#" + b"x" * 200 + b"\nP 3 4\n", {(1, 2), (3, 4)}),
        (b"#" + b"x" * 398 + b"\nP 1 2\n#" + b"x" * 399, {(1, 2)}),
        (b"# caf\xe9 \xff\nP 1 2\n", {(1, 2)}),
        (b"P 1 2 H\r\nP 3 4 C\r\n", {(1, 2), (3, 4)}),
        (b"p 1 2 h\n", {(1, 2)}),
        (b"  P\t1   2  \n", {(1, 2)}),
        (b"P 1 2\nP 1 2\n", {(1, 2)}),
        (b"P 0 0\nP 29 19\n", {(0, 0), (29, 19)}),
        (b"C 4 0\n", COLUMN),
        (b"L 3 0\r\n", ROW),
        (b"C 4 0 H\nL 3 0 H\nP 5 5 H\n", COLUMN | ROW | {(5, 5)}),
    ],
)
def test_every_form_of_a_list(tmp_path, content, found):
    assert read(tmp_path / "c.lst", content) == found


def test_a_list_for_a_colour_image(tmp_path):
    assert read(tmp_path / "c.lst", b"P 29 19\n", (3, 20, 30)) == {(29, 19)}


def test_a_list_that_counts_from_the_top(tmp_path):
    content = b"P 1 0\nL 2 0\nC 4 0\n"
    row = {(x, 17) for x in range(30)}
    assert read(tmp_path / "c.lst", content, origin_top=True) == {(1, 19)} | row | COLUMN


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("P 1 2\nP 3\n", 2),
        ("\n# a\n\nX 1 2\n", 4),
        ("P 1.5 2\n", 1),
        ("P 1 2\r\nP one 2\r\n", 2),
        ("P 1 2\rP 1 2 3\r", 2),
        ("P 1 2 HH\n", 1),
        ("1 2\n", 1),
        ("P1 2\n", 1),
        ("P 1,2\n", 1),
        ("C 4\n", 1),
        ("# fine\nP 1 2 # not fine\n", 2),
        ("P 30 0\n", 1),
        ("P 1 2\nP 0 20\n", 2),
        ("P -1 0\n", 1),
        ("P 0 -1\n", 1),
        ("C 30 0\n", 1),
        ("L 20 0\n", 1),
        ("P 1 2\nL -1 0\n", 2),
        ("P 99999999999999999999 0\n", 1),
        ("P 1 2\n" + "P" * 1000 + "\n", 2),
        ("\0" * 5000, 1),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, content, line):
    with pytest.raises(PulsarError) as error:
        read(tmp_path / "c.lst", content)
    text = str(error.value)
    assert re.search(rf"c\.lst, line {line}\b", text)
    assert text.isprintable()
    assert len(text) < 400


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(PulsarError, match=r"c\.lst"):
        read_list(str(tmp_path / "c.lst"), SIZE)
    with pytest.raises(PulsarError, match=re.escape(str(tmp_path))):
        read_list(str(tmp_path), SIZE)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.booleans(),
    st.sampled_from([b"\r\n", b"\n", b"\r"]),
    st.data(),
)
def test_lists_come_back_as_they_were_written(tmp_path, size, top, ending, data):
    rows, columns = size
    point = st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1))
    wanted = data.draw(st.lists(point, max_size=30, unique=True))
    path = tmp_path / "c.lst"
    x, y = np.array(wanted, int).reshape(-1, 2).T
    write_list(str(path), x, y, rows=rows if top else None)
    assert points(path) == [(a, rows - 1 - b if top else b) for a, b in wanted]
    path.write_bytes(path.read_bytes().replace(b"\r\n", ending))
    found = read_list(str(path), size, origin_top=top)
    assert found.tolist() == sorted(b * columns + a for a, b in wanted)


@pytest.mark.slow
def test_a_million_lines(tmp_path):
    """Read in a process of its own, to see the memory that it takes."""
    path = tmp_path / "c.lst"
    path.write_bytes(b"".join(b"P %d %d\r\n" % (n % 4000, n // 4000) for n in range(1_000_000)))
    code = (
        "import resource, sys, numpy\n"
        "from pulsar_dask.inputs.pixellists import read_list\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "places = read_list(sys.argv[1], (4000, 4000))\n"
        "assert places.tolist() == list(range(1_000_000))\n"
        "places = None\n"
        "print(peak() - before)\n"
    )
    resource = pytest.importorskip("resource")
    assert resource is not None
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 150e6
