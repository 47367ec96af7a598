"""``--json`` and ``--log``: what programs get, of each tool and of each way to fail."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from helpers import run
from night import Night, stack, write, write_stack
from programs import PACKAGE, document


def test_each_tool(tmp_path):
    Night(tmp_path)
    dark, err = document("makedark", "darks", "bias*.fit", cwd=tmp_path)
    files = {Path(p["path"]).name: p for p in dark["products"]}
    assert set(files) == {
        "bias.fit", "dark120s.fit", "dark300s.fit", "cosme120s.lst", "cosme300s.lst",
    }  # fmt: skip
    assert all(Path(p["path"]).is_file() and not p["replaces"] for p in dark["products"])
    master = files["dark120s.fit"]
    assert master["kind"] == "dark"
    assert master["group"]["exposure"] == 120
    assert master["shape"] == [24, 31]
    assert sorted(Path(f).name for f in master["frames"]) == [
        f"d120_000{i}.fit" for i in (1, 2, 3, 4)
    ]
    assert dark["left_out"] == [
        {"path": str(tmp_path / "darks" / "m31_0001.fit"), "reason": "light frame"}
    ]
    few = [w for w in dark["warnings"] if w["code"] == "few-frames"]
    assert {Path(w["product"]).name for w in few} == {"bias.fit", "dark120s.fit", "dark300s.fit"}
    assert "dark120s.fit: float32" in err  # all else goes there
    flat, _ = document("makeflat", "flats", cwd=tmp_path)
    levels = next(p for p in flat["products"] if p["name"] == "flat_l")["figures"]["raw_levels"]
    assert len(levels) == 4
    assert levels == sorted(levels)  # a twilight that rises
    med, _ = document("med", "bias*.fit", "bias.fit", cwd=tmp_path)
    assert [p["replaces"] for p in med["products"]] == [True]
    cosme, _ = document("make_cosme", "dark120s.fit", "c.lst", "--hot-pixels", 5, cwd=tmp_path)
    assert [(p["what"], p["pixels"]) for p in cosme["products"]] == [("list", 5)]
    cube, _ = document("cube", "darks/d120_0001.fit", "c.zarr", cwd=tmp_path)
    assert cube["products"][0]["shape"] == [4, 24, 31]
    frames, _ = document("frames", "darks", cwd=tmp_path)
    assert len(frames["frames"]) == 10
    assert {m["name"] for m in frames["masters"]} == {"dark120s.fit", "dark300s.fit"}
    good, _ = document("verify", "dark120s.fit", cwd=tmp_path)
    assert good["verified"] == [{"path": str(tmp_path / "dark120s.fit"), "status": "good"}]
    (tmp_path / "darks" / "d120_0001.fit").unlink()
    away, _ = document("verify", "dark120s.fit", cwd=tmp_path, status=3)
    assert away["verified"][0]["status"] == "away"


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("med", "gone", "m.fit"), 1, "input"),
        (("med", "b", "m.txt"), 1, "output"),
        (("makedark", "b"), 1, "frames"),
        (("makeflat", "f"), 1, "not-made"),
        (("med", "b", "m.fit", "--memory", "0.001"), 1, "memory"),
        (("med", "b", "m.fit", "--memory", "x"), 2, "usage"),
        (("med", "b", "m.fit", "--strict"), 1, "few"),
        (("verify", "b/b0001.fit"), 1, "not-ours"),
    ],
)
def test_failures_have_codes(tmp_path, words, status, code):
    write_stack(tmp_path / "b", "b", stack(1, 1, 300), "Bias Frame", 0.0)
    write(tmp_path / "f" / "f.fit", stack(1, 1, 300)[0], "Flat Frame", 2.0, "L")
    code = "one-frame" if code == "few" else code
    found, err = document(*words, cwd=tmp_path, status=status)
    assert [e["code"] for e in found["errors"]] == [code]
    assert found["errors"][0]["text"][:12] in err
    if code == "not-made":
        assert [f["name"] for f in found["failed"]] == ["flat_l.fit"]


def test_the_log_keeps_all(tmp_path):
    write_stack(tmp_path / "b", "b", stack(1, 3, 300), "Bias Frame", 0.0)
    for status, name in ((0, "b"), (1, "gone")):
        run("med", name, "m.fit", "--quiet", "--log", "night.log", cwd=tmp_path, status=status)
    lines = (tmp_path / "night.log").read_text().splitlines()
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[\d+\] (.*)")
    texts = [stamp.fullmatch(line)[1] for line in lines]
    assert "  b/b0002.fit" in texts  # as --verbose says
    assert "m.fit: float32, median of 3 frames" in texts
    assert "pulsar-dask: error: gone: no such file or folder" in texts
    assert [t for t in texts if t.startswith("exit status")] == ["exit status 0", "exit status 1"]


def test_a_log_spoils_nothing(tmp_path):
    frames = write_stack(tmp_path / "b", "b", stack(1, 3, 300), "Bias Frame", 0.0)
    before = frames[0].read_bytes()
    for log, says in (("b/b0001.fit", "no log"), ("b", "is a directory"), ("no/x.log", "right")):
        done = run("med", "b", "m.fit", "--log", log, cwd=tmp_path, status=1)
        assert says in done.stderr.lower()
    assert frames[0].read_bytes() == before
    assert not (tmp_path / "m.fit").exists()


#: What is given a code as its second argument.
_HAVE_CODES = ("PulsarError", "OneGroup", "warn", "Remark", "Said", "Found", "_few", "say")


def test_codes_are_listed():
    """Each code in the source stands in the page for programs."""
    page = (PACKAGE / "docs" / "programs.md").read_text()
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) > 1:
                name = getattr(node.func, "id", "")
                code = node.args[1]
                if name in _HAVE_CODES and isinstance(code, ast.Constant):
                    used.add(code.value)
    assert len(used) > 20
    assert not {code for code in used if f"`{code}`" not in page}


def test_a_missing_name_is_asked_for(tmp_path):
    write_stack(tmp_path / "darks", "d", stack(1, 3, 300), "Dark Frame", 2.0)
    done = run("makedark", "dark", cwd=tmp_path, status=1)
    assert "dark: no such file or folder; did you mean darks/?" in done.stderr
    assert "did you mean" not in run("makedark", "zzz", cwd=tmp_path, status=1).stderr


def test_what_is_replaced_is_said(tmp_path):
    write_stack(tmp_path / "b", "b", stack(1, 3, 300), "Bias Frame", 0.0)
    assert "replaces" not in run("med", "b", "m.fit", cwd=tmp_path).stdout
    again = run("med", "b", "m.fit", cwd=tmp_path).stdout
    assert "m.fit: float32, median of 3 frames, replaces what was there\n" in again
    assert "tiles of" not in again
    assert "memory:" in run("med", "b", "m.fit", "-v", cwd=tmp_path).stdout
