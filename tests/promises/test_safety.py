"""No code from files, no shell, and no text of others on a terminal, in a path or a format."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np
import pytest
from harm import snapshot
from many import quiet_terminal, refused, run_many
from night import stack, write

import pulsar_dask

MODULES = sorted(Path(pulsar_dask.__file__).parent.rglob("*.py"))

#: Calls that run text, or bytes of a file, as code or as a command.
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "execfile",
    "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "os.spawnv",
    "subprocess.getoutput", "subprocess.getstatusoutput",
    "pickle.load", "pickle.loads", "cPickle.loads", "cloudpickle.load", "cloudpickle.loads",
    "marshal.load", "marshal.loads", "shelve.open", "dill.load", "dill.loads", "joblib.load",
    "yaml.load", "yaml.unsafe_load", "pandas.read_pickle", "tempfile.mktemp",
}  # fmt: skip

#: Module, call: why it stays.
ALLOWED: dict[tuple[str, str], str] = {}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """The calls of a module by the full name of what is called, as its imports have it."""
    body = ast.parse(path.read_text(encoding="utf-8"))
    known = {}
    for node in ast.walk(body):
        if isinstance(node, ast.Import):
            known |= {(n.asname or n.name): n.name for n in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {(n.asname or n.name): f"{node.module}.{n.name}" for n in node.names}
    found = []
    for node in ast.walk(body):
        if isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split(".")
            name = ".".join([known.get(first, first), *rest])
            found.append((name.removeprefix("builtins."), node))
    return found


def unsafe(path: Path) -> list[str]:
    found = []
    for name, call in calls(path):
        keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
        allow = keywords.get("allow_pickle", "False") != "False"
        shell = keywords.get("shell", "False") != "False"
        if name in FORBIDDEN or allow or shell:
            found.append(f"{path.name}:{call.lineno}: {name}")
    return [text for text in found if (path.name, text.split(": ")[1]) not in ALLOWED]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_runs_text_as_code(path):
    assert unsafe(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "eval('1')",
        "from os import system as s\ns('ls')",
        "import pickle as p\np.loads(b'')",
        "from pickle import load\nload(f)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
        "import builtins\nbuiltins.exec('1')",
    ],
)
def test_what_would_be_found(tmp_path, text):
    (tmp_path / "m.py").write_text(text)
    assert len(unsafe(tmp_path / "m.py")) == 1


def test_no_format_is_made_from_a_text_of_others():
    """`format` is applied to constants only."""
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                what = node.func.value
                if node.func.attr in ("format", "format_map") and not isinstance(
                    what, ast.Constant
                ):
                    found.append(f"{path.name}:{node.lineno}")
    assert found == []


# --- what a hostile night does -----------------------------------------------------------------

ESCAPES = "\x1b[31m\x1b]0;owned\x07\r\x9b2J"
TEXTS = [
    "{0.__class__}{}%s%n",
    "../../hacked",
    "/tmp/hacked",
    "$(touch hacked);`touch hacked`",
    "~",
]


def hostile(path: Path, image, kind: str, number: int, seconds: float = 2.0) -> None:
    """A frame whose header texts are attacks; astropy would not write their control characters."""
    text = TEXTS[number % len(TEXTS)]
    write(path, image, kind, seconds, f"{text}@@@@@@@@", GAIN=f"{text}@@@@@@@@",
          INSTRUME=f"@@@@@@@@{text}", READOUTM=text, OBJECT=f"@@@@@@@@{text}")  # fmt: skip
    assert len(ESCAPES.encode("latin-1")) > 8
    data = path.read_bytes()
    path.write_bytes(data.replace(b"@@@@@@@@", ESCAPES.encode("latin-1")[:8]))


def test_headers_names_and_lists_of_a_hostile_night(tmp_path):
    """Each command says nothing that a terminal obeys, and writes nowhere else."""
    folder = tmp_path / "in" / "here"
    (folder / "out").mkdir(parents=True)
    rng_level = {"Dark Frame": 400, "Flat Frame": 20000, "Bias Frame": 300, ESCAPES[:4]: 5}
    odd = "{}%s\x1b[31m" if os.name != "nt" else "{}%s"
    for k, (kind, level) in enumerate(rng_level.items()):
        for i, image in enumerate(stack(k, 5, level)):
            path = folder / f"n{k}" / f"{odd}{i}.fit"
            hostile(path, image, "Dark Frame" if k == 3 else kind, i)
            if k == 3:
                path.write_bytes(path.read_bytes().replace(b"'Dark Frame", b"'\x1b[31mFrame"))
    (folder / "list.txt").write_text(f"n0/{odd}0.fit\n../../{odd}\x1b[2J\n")
    (folder / "hot.lst").write_bytes(b"P 1 1\nP \x1b[31m{} %s\n")
    before = snapshot(tmp_path)
    lines = [
        ("med", "n0", "out/m.fit", "-v"),
        ("med", "n0", "n1", "n3", "out/x.fit", "-v"),
        ("med", "list.txt", "out/m.fit"),
        ("makedark", "n0", "--bias", "n2", "--output-dir", "out", "-v"),
        ("makedark", "n3", "--output-dir", "out", "-v"),
        ("makedark", "n0", "n3", "--output-dir", "out", "-v"),
        ("makeflat", "n1", "--dark", "0", "--output-dir", "out", "-v"),
        ("makeflat", "n1", "--dark", f"n0/{odd}0.fit", "--output-dir", "out", "--overwrite", "-v"),
        ("makeflat", "n1", "--dark", "0", "--cosme", "hot.lst", "--output-dir", "out"),
        ("makeflat", "n3", "--dark", "0", "--output-dir", "out"),
        ("make_cosme", f"n0/{odd}0.fit", "out/c.lst", "-v"),
        ("cube", "n1", "out/c.zarr", "-v"),
        ("med", "out/c.zarr", "out/z.fit", "-v"),
    ]
    for done in run_many(lines, folder):
        assert done.status in (0, 1), done
        assert "Traceback" not in done.err, done
        assert "should not happen" not in done.err, done
        assert quiet_terminal(done.out + done.err), done
    after = snapshot(tmp_path)
    assert {n: after[n] for n in before} == before
    place = os.path.join("in", "here", "out") + os.sep
    new = set(after) - set(before)
    assert new
    assert all(name.startswith(place) for name in new)
    plain = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-" + os.sep)
    assert all(set(name) <= plain for name in new)
    assert not any(os.path.basename(name).startswith(".") for name in new)


def test_a_dark_that_is_named_by_a_hostile_header(tmp_path):
    """Exposures and filters of any header make names without a path in them."""
    for i, (seconds, name) in enumerate([(2.0, "../../x"), (2.5e-5, "a/b"), (9e8, "..")]):
        image = np.full((6, 7), 1000 + i, "i2")
        write(tmp_path / "in" / f"f{i}.fit", image, "Flat Frame", seconds, name)
        write(tmp_path / "in" / f"d{i}.fit", image, "Dark Frame", seconds)
    lines = [
        ("makedark", "in", "--output-dir", "out"),
        ("makeflat", "in", "--dark", "0", "--output-dir", "out"),
    ]
    for done in run_many(lines, tmp_path):
        assert done.status == 0, done
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]
    assert {"flat_x.fit", "flat_a_b.fit", "flat__.fit"} <= set(os.listdir(tmp_path / "out"))


def test_escapes_in_errors_of_the_command_line(tmp_path):
    lines = [(tool, f"--{ESCAPES}") for tool in ("med", "makedark", "makeflat", "cube")]
    lines += [("med", f"{ESCAPES}*.fit", "m.fit"), ("makedark", f"@{ESCAPES}.txt"), (ESCAPES,)]
    for done in run_many(lines, tmp_path):
        refused(done, "\\x1b[31m", status=2 if "--" in done.args[-1] or len(done.args) == 1 else 1)
    assert os.listdir(tmp_path) == []


def test_no_command_shows_the_help(tmp_path):
    (done,) = run_many([()], tmp_path)
    assert "Masters:\n  med " in done.out + done.err
