"""The script of docs/nightly.md, as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from night import Night, pixels, write
from programs import PACKAGE

PAGE = (PACKAGE / "docs" / "nightly.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("sh", "jq", "flock", "realpath")),
    reason="needs sh, jq, flock",
)


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return found


@pytest.fixture
def night(tmp_path, monkeypatch):
    """A night with a folder for its bias, the script, and the commands on the PATH."""
    Night(tmp_path / "night")
    (tmp_path / "night" / "bias").mkdir()
    for path in (tmp_path / "night").glob("bias*.fit"):
        path.rename(path.parent / "bias" / path.name)
    bin = tmp_path / "bin"
    bin.mkdir()
    for name in ("makedark", "makeflat"):
        line = f'#!/bin/sh\nexec "{sys.executable}" -m pulsar_dask {name} "$@"\n'
        (bin / name).write_text(line)
        (bin / name).chmod(0o755)
    (bin / "nightly.sh").write_text(block("sh"))
    monkeypatch.setenv("DASK_PULSAR_DASK__MAKEDARK__HOT_PIXELS", "20")
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def nightly(folder, status):
    line = ["sh", "bin/nightly.sh", "night", "made"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_night_with_a_damaged_frame_one_that_does_not_belong_and_one_master_less(night):
    darks = night / "night" / "darks"
    damaged = darks / "d120_0002.fit"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    for i in range(5, 14):  # so many that one can be told from the others
        write(darks / f"d120_{i:04}.fit", noise(i), "Dark Frame", 120.0)
    write(darks / "d120_0014.fit", noise(14) + 900, "Dark Frame", 120.0)
    for path in darks.glob("d300*"):  # of the flats of Ha
        path.unlink()
    said = nightly(night, 1)
    assert f"makedark: damaged, left out: {damaged}" in said
    assert re.search(r"^level: dark120s\.fit: .*d120_0014\.fit.*left out$", said, re.M)
    assert "few-frames" not in said
    assert re.search(r"^not-made: .*flat_h", said, re.M)
    assert (night / "made" / "flat_l.fit").exists()
    assert not (night / "made" / "flat_h.fit").exists()
    document = json.loads((night / "made" / "makedark.json").read_text())
    used = {os.path.basename(p) for f in document["products"] for p in f.get("frames", ())}
    assert "d120_0001.fit" in used
    assert not used & {"d120_0002.fit", "d120_0014.fit"}
    assert damaged.stat().st_size == 3000  # left where it was
    assert (night / "made" / "nightly.log").read_text().count("exit status") == 3


def noise(seed):
    return np.random.default_rng(seed).normal(420, 12, (24, 31)).round().astype("u2")


def test_nothing_is_said_of_a_good_night(night):
    for i in range(1, 6):
        image = 40 * noise(i)  # of a level and a noise as flats have them
        write(night / "night" / "flats" / f"fHa_000{i}.fit", image, "Flat Frame", 300.0, "Ha")
    assert nightly(night, 0) == ""
    assert (night / "made" / "flat_h.fit").exists()


def test_another_run_is_at_work(night):
    (night / "made").mkdir()
    held = subprocess.Popen(
        ["flock", "made/nightly.lock", "sh", "-c", "echo held; cat"],
        cwd=night,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    assert "another run is at work" in nightly(night, 75)
    held.communicate("")
    assert not (night / "made" / "bias.fit").exists()


def test_the_same_in_python(night, monkeypatch):
    monkeypatch.chdir(night / "night")
    names = {}
    exec(compile(block("python"), "nightly.md", "exec"), names)
    made = [os.path.basename(path) for path in names["masters"]]
    assert sorted(made) == ["dark120s.fit", "dark300s.fit"]
    assert pixels(night / "night" / "dark120s.fit").shape == (24, 31)
    assert names["doubts"] == []
    frame = night / "night" / "darks" / "d120_0001.fit"
    frame.write_bytes(b"nothing")
    exec(compile(block("python"), "nightly.md", "exec"), names)
    assert names["damaged"] == [str(frame)]
