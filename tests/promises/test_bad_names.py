"""Names that are odd, wrong or hostile, as arguments, in lists and as outputs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from harm import snapshot
from helpers import names, run, same
from many import quiet_terminal, refused, run_many
from night import noted, pixels, stack, write, write_stack

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs.find import find_inputs
from pulsar_dask.tools.commands import med as med_command

BIAS = stack(1, 3, 300)
TRUTH = np.median(BIAS, 0).astype("f4")

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
needs_devices = pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_stack(tmp_path, "bias", BIAS, "Bias Frame", 0)
    return tmp_path


def touched(folder: Path, name: str, content: bytes) -> None:
    """Write a file of that name where the file system takes it."""
    try:
        with open(os.fsencode(folder) + b"/" + os.fsencode(name), "wb") as file:
            file.write(content)
    except (OSError, ValueError):
        pytest.skip("the file system does not take such a name")


# --- lists ---------------------------------------------------------------------------------


def test_what_is_no_list_of_files(folder):
    content = {
        "itself.txt": b"bias0001.fit\nitself.txt\n",
        "linked.txt": b"link.txt\n",
        "nested.txt": b"# my nights\nother.txt\n",
        "at.txt": b"@other.txt\n",
        "other.txt": b"bias0001.fit\n",
        "folder.txt": b"bias0001.fit\nsub\n",
        "gone.txt": b"bias0001.fit\ngone\x1b[31m.fit\n",
        "empty.txt": b"",
        "zeros.txt": bytes(200_000),
        "long.txt": b"x" * 200_000,
        "binary.txt": bytes(range(256)) * 40,
        "image.txt": (folder / "bias0001.fit").read_bytes(),
    }
    for name, data in content.items():
        (folder / name).write_bytes(data)
    (folder / "sub").mkdir()
    lines = [
        ("itself.txt", "itself.txt, line 2", "this list itself"),
        ("nested.txt", "nested.txt, line 2", "not lists"),
        ("at.txt", "at.txt, line 1", "not lists"),
        ("folder.txt", "folder.txt, line 2", "sub is a folder"),
        ("gone.txt", "gone.txt, line 2: gone\\x1b[31m.fit: no such file"),
        ("empty.txt", "empty.txt: the list names no file"),
        ("zeros.txt", "zeros.txt, line 1"),
        ("long.txt", "long.txt, line 1"),
        ("binary.txt", "binary.txt, line"),
        ("image.txt", "image.txt, line 1"),
        ("@sub", "sub: a folder"),
        ("@", "@list.txt"),
        ("@nowhere.txt", "nowhere.txt: No such file"),
    ]
    before = snapshot(folder)
    for (_, *says), done in zip(
        lines, run_many([("med", spec, "m.fit") for spec, *_ in lines], folder), strict=True
    ):
        refused(done, *says)
    assert snapshot(folder) == before


def test_a_list_that_names_itself_through_a_link(folder):
    (folder / "link.txt").symlink_to("list.txt")
    (folder / "list.txt").write_text("link.txt\n")
    [done] = run_many([("med", "@list.txt", "m.fit")], folder)
    refused(done, "list.txt, line 1: link.txt is this list itself")


@needs_devices
def test_devices_as_lists_and_frames(folder):
    (folder / "zero.fit").symlink_to("/dev/zero")
    (folder / "device.txt").write_text("/dev/zero\n")
    lines = [
        ("@/dev/zero", "/dev/zero, line 1: too long"),
        ("@/dev/null", "/dev/null: the list names no file"),
        ("device.txt", "device.txt, line 1: /dev/zero is not a regular file"),
        ("zero.fit", "zero.fit: not a regular file"),
    ]
    before = names(folder)
    for (_, says), done in zip(
        lines, run_many([("med", spec, "m.fit") for spec, _ in lines], folder), strict=True
    ):
        refused(done, says)
    assert names(folder) == before


@needs_pipes
def test_pipes_that_nobody_writes_to(folder):
    os.mkfifo(folder / "pipe.txt")
    (folder / "list.txt").write_text("pipe.txt\n")
    first, second = run_many([("med", "@pipe.txt", "m.fit"), ("med", "list.txt", "m.fit")], folder)
    refused(first, "pipe.txt: a pipe through which nothing comes")
    refused(second, "list.txt, line 1: pipe.txt is not a regular file")


@needs_pipes
def test_a_list_from_a_pipe_is_read_once(folder):
    """As a shell's ``@<(ls bias*.fit)`` is: asking the disk in advance must not take it away."""
    listed = "".join(f"bias{i:04}.fit\n" for i in (1, 2, 3))
    ours, theirs = os.pipe()
    os.write(theirs, listed.encode())
    os.close(theirs)
    done = run("med", f"@/dev/fd/{ours}", "m.fit", cwd=folder, pass_fds=[ours])
    os.close(ours)
    assert "3 frames" in done.stdout
    same(pixels(folder / "m.fit"), TRUTH)
    os.mkfifo(folder / "pipe.txt")
    if not os.fork():
        (folder / "pipe.txt").write_text(listed)
        os._exit(0)
    run("med", "@pipe.txt", "n.fit", cwd=folder)
    os.wait()
    same(pixels(folder / "n.fit"), TRUTH)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_lists_as_windows_writes_them(folder, encoding):
    os.rename(folder / "bias0002.fit", folder / "biäs Ω.fit")
    text = "bias0001.fit\r\nbiäs Ω.fit\r\nbias0003.fit\r\n"
    (folder / "list.txt").write_bytes(text.encode(encoding))
    assert len(find_inputs(folder / "list.txt").paths) == 3


def test_listed_names_that_end_in_blanks(folder):
    touched(folder, "a.fit ", b"x")
    (folder / "list.txt").write_text("a.fit \n  bias0001.fit \n")
    paths = find_inputs(folder / "list.txt").paths
    assert [os.path.basename(p) for p in paths] == ["a.fit ", "bias0001.fit"]


# --- five thousand ---------------------------------------------------------------------------


@pytest.mark.more
def test_five_thousand_names(folder, monkeypatch):
    """Each another name of one frame: in a list, through a mask and on the command line."""
    many = [f"f{i:05}.fit" for i in range(5000)]
    write(folder / "one.fit", BIAS[0])
    (folder / "many").mkdir()
    for name in many:
        os.link(folder / "one.fit", folder / "many" / name)
    (folder / "list.txt").write_text("".join(f"many/{name}\n" for name in many))
    monkeypatch.chdir(folder)
    for spec in ("list.txt", "many/*.fit", [f"many/{n}" for n in many], "many/f00000.fit", "many"):
        assert len(find_inputs(spec).paths) == 5000
    # the command line is as long as a system takes; 5,000 links are one file, named in one line
    for name in many:
        os.unlink(folder / "many" / name)
        (folder / "many" / name).symlink_to("../one.fit")
    done = run("med", *[f"many/{n}" for n in many], "m.fit", cwd=folder)
    same(pixels(folder / "m.fit"), BIAS[0].astype("f4"))
    assert "and 4996 more" in done.stderr
    assert len(done.stderr) < 1000


# --- odd names -------------------------------------------------------------------------------

ODD = [
    "a b  c.fit",
    "new\nline.fit",
    "[a-z]*.fit",
    "-v.fit",
    "-1.fit",
    "--memory",
    "-",
    "ä Ω 日本.fit",
    "{}%s{0}.fit",
    "\x1b[31mred\x1b]0;title\x07.fit",
    "\u202egnp.fit",
    "$(touch hacked).fit",
    "`touch hacked`;touch hacked&.fit",
    os.fsdecode(b"a\xff\xfe.fit"),
    "#a.fit",
    "~.fit",
    "a\r.fit",
    "100",
    "nan",
]


def test_odd_names_of_frames(tmp_path):
    image = write(tmp_path / "plain.fit", BIAS[0], "Bias Frame", 0.0).read_bytes()
    there = []
    for name in ODD:
        try:
            with open(os.fsencode(tmp_path) + b"/" + os.fsencode(name), "wb") as file:
                file.write(image)
            there.append(name)
        except (OSError, ValueError):
            continue  # the file system does not take it
    assert there
    before = snapshot(tmp_path)
    lines = []
    for i, name in enumerate(there):
        lines += [
            ("med", "-v", "--", name, f"m{i}.fit"),
            ("make_cosme", os.path.join(".", name), f"c{i}.lst"),
            ("makeflat", os.path.join(".", name)),
        ]
    done = run_many(lines, tmp_path)
    for med, cosme, flat in zip(done[::3], done[1::3], done[2::3], strict=True):
        for one in (med, cosme):
            assert one.status == 0, one
            assert quiet_terminal(one.out + one.err), one
        refused(flat, "No flat frames found in")
    made = {f"{letter}{i}" for i in range(len(there)) for letter in ("m", "c")}
    after = snapshot(tmp_path)
    assert {os.path.splitext(name)[0] for name in set(after) - set(before)} == made
    assert {n: after[n] for n in before} == before
    for i in range(len(there)):
        same(pixels(tmp_path / f"m{i}.fit"), BIAS[0].astype("f4"))


def test_names_like_negative_numbers_keep_their_place(folder):
    """An argument is where it was: the last is the output, whatever it looks like."""
    for i in (1, 2):
        os.rename(folder / f"bias000{i}.fit", folder / f"-{i}.fit")
    before = snapshot(folder)
    lines = [
        ("med", "-1.fit", "-2.fit", "bias0003.fit", "m.fit", "-q"),
        ("med", "-1.fit", "-2.fit", "--overwrite"),
        ("med", "-1.fit", "-3x.fit", "-q", "--no-sequence"),
    ]
    done = run_many(lines, folder)
    assert done[0].status == 0
    same(pixels(folder / "m.fit"), TRUTH)
    refused(done[1], "-2.fit")
    assert done[2].status == 0
    same(pixels(folder / "-3x.fit"), BIAS[0].astype("f4"))
    assert {n: c for n, c in snapshot(folder).items() if n in before} == before


def test_a_number_keeps_its_sign(folder):
    write_stack(folder / "darks", "d", stack(2, 3, 400), "Dark Frame", 2.0)
    lines = [("makedark", "darks", "-5.5", "-q"), ("makedark", "--bias", "-5.5", "darks", "-q"),
             ("makedark", "darks", "-q", "--", "-5.5")]  # fmt: skip
    truth = (np.median(stack(2, 3, 400), 0) + 5.5).astype("f4")
    for line in lines:
        [done] = run_many([line], folder)
        assert done.status == 0, done
        same(pixels(folder / "dark2s.fit"), truth)


WRONG = [
    ("med", ""),
    ("med", "", "m.fit"),
    ("med", "bias*.fit", ""),
    ("med", "bias*.fit", "m.fit", "--memory", ""),
    ("med", "bias*.fit", "m.fit", "--scheduler", ""),
    ("makedark", ".", ""),
    ("makedark", ".", "--bias", ""),
    ("makedark", ".", "--output-dir", ""),
    ("makeflat", ".", "--dark", ""),
    ("makeflat", ".", "--cosme", ""),
    ("make_cosme", "", "c.lst"),
    ("make_cosme", "bias0001.fit", ""),
    ("cube", ".", ""),
    ("--a\x1b[31m\nb",),
    ("med\x1b[31m",),
    ("med", "bias*.fit", "m.fit", "--no\x1b]0;x\x07such"),
    ("med", "bias*.fit", "m.fit", "--dtype", "\x1b[31m"),
    ("med", "bias*.fit", "m.fit", "--memory", "\x1b[31m\n"),
    ("med", "bias*.fit", "m.fit", "--scheduler", "\x1b[31m"),
    ("med", "bias*.fit", "m.fit", "-\x1b"),
    ("med", "--memory"),
    ("make_cosme", "bias0001.fit", "c.lst", "\x1b[31m\nthird"),
    ("makedark", ".", "--output-dir", "bias0001.fit"),
]


def test_command_lines_that_are_wrong(folder):
    before = snapshot(folder)
    for done in run_many(WRONG, folder):
        refused(done, status=2)
        assert done.out == ""
    assert snapshot(folder) == before


# --- outputs ---------------------------------------------------------------------------------


def test_outputs_that_cannot_be(folder):
    (folder / "folder").mkdir()
    (folder / "folder.fit").mkdir()
    (folder / "link.fit").symlink_to("bias0001.fit")
    (folder / "nowhere.fit").symlink_to("gone.fit")
    os.link(folder / "bias0001.fit", folder / "hard.fit")
    (folder / "mine.txt").write_text("mine")
    long = "x" * 300 + ".fit"
    cases = [
        ("folder", "folder is a folder"),
        ("folder/", "folder/ is a folder"),
        ("folder.fit", "folder.fit is a folder"),
        ("..", ".. is a folder"),
        ("gone/m.fit", "does not exist"),
        ("bias0001.fit/m.fit", "bias0001.fit does not exist"),
        ("m", "m: a master is a .fit"),
        ("m.fit/", "m.fit/: a master is a .fit"),
        ("m.fit.gz", "a master is a .fit"),
        (".fit", ".fit: a master is a .fit"),
        ("m\x1b[31m.tiff", "m\\x1b[31m.tiff: a master"),
        ("bias0001.fit", "is an input"),
        ("./folder/../bias0001.fit", "is an input"),
        ("link.fit", "link.fit is an input"),
        ("bias0009.fit", "numbered sequence"),
        ("nowhere.fit", "nowhere.fit exists"),
        ("hard.fit", "hard.fit is an input"),
        (long, "name"),
    ]
    before = snapshot(folder)
    lines = [("med", "bias0001.fit", out) for out, _ in cases]
    for (_, says), done in zip(cases, run_many(lines, folder), strict=True):
        refused(done, says)
    lists = [
        ("folder", "folder is a folder"),
        ("gone/c.lst", "does not exist"),
        ("c.fit.gz", "a mask lies as its image and is not compressed"),
        ("nowhere.fit", "nowhere.fit exists"),
        ("mine.txt", "mine.txt exists"),
        (long, "name"),
    ]
    lines = [("make_cosme", "bias0001.fit", out) for out, _ in lists]
    for (_, says), done in zip(lists, run_many(lines, folder), strict=True):
        refused(done, says)
    assert snapshot(folder) == before


def test_a_hard_link_to_an_input_is_that_input_and_stays(folder):
    os.link(folder / "bias0001.fit", folder / "hard.fit")
    before = (folder / "bias0001.fit").read_bytes()
    [done] = run_many([("med", "bias0001.fit", "hard.fit", "--overwrite", "-q")], folder)
    refused(done, "hard.fit is an input")
    assert (folder / "bias0001.fit").read_bytes() == before
    assert os.path.samefile(folder / "bias0001.fit", folder / "hard.fit")


def test_a_mask_never_replaces_a_master(folder):
    [made] = run_many([("med", "bias*.fit", "m.fit")], folder)
    assert made.status == 0
    before = snapshot(folder)
    for more in ([], ["--overwrite"]):
        [done] = run_many([("make_cosme", "bias0001.fit", "m.fit", *more)], folder)
        refused(done, "m.fit is there and is no mask")
    assert snapshot(folder) == before


def test_names_that_an_encoding_lacks(folder):
    """As where a Windows console or file takes Western letters only."""
    os.rename(folder / "bias0001.fit", folder / "Ω.fit")
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "1"}
    done = run("med", "Ω.fit", "日.fit", "-v", cwd=folder, env=environment)
    assert "\\u65e5.fit: float32" in done.stdout
    assert "\\u03a9.fit" in done.stdout


def test_numbers_in_other_scripts_are_no_sequence(folder):
    for name in ("b١.fit", "b1.fit", "b2.fit"):
        touched(folder, name, (folder / "bias0001.fit").read_bytes())
    with noted() as notes:
        assert [os.path.basename(p) for p in find_inputs(folder / "b1.fit").paths] == [
            "b1.fit",
            "b2.fit",
        ]
        assert len(find_inputs(folder / "b١.fit").paths) == 1
    assert notes == []


@pytest.mark.parametrize("spec", ["a\0.fit", "a\0*", "\0", "[\0]", "@a\0"])
def test_names_with_nul_in_python(here, spec):
    with pytest.raises(PulsarError, match=r"^@?\[?a?\\x00"):
        find_inputs(spec)


@pytest.mark.parametrize("args", [["a", "-1", "b"], ["-1", "a"], ["a", "--", "-1", "-v"]])
def test_arguments_keep_their_order(args):
    with med_command.make_context("med", list(args)) as context:
        assert context.params["names"] == tuple(a for a in args if a != "--")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such folders")
def test_a_folder_that_may_be_entered_but_not_listed(folder):
    if os.geteuid() == 0:
        pytest.skip("this user may read every folder")
    folder.chmod(0o300)
    try:
        [done] = run_many([("med", str(folder / "bias0001.fit"), "m.fit")], folder.parent)
        refused(done, "--no-sequence")
    finally:
        folder.chmod(0o700)
