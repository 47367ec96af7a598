"""The demo as a user runs it: it checks the masters against the truth by itself."""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits
from helpers import run

from pulsar_dask.demo.__main__ import NEXT

MASTERS = [
    "bias.fit",
    *(f"dark{exposure}.fit" for exposure in ("2s", "120s", "300s")),
    *(f"flat_{code}.fit" for code in "lrh"),
]
LIGHTS = ("L", "R", "Ha")
LISTS = [f"cosme{exposure}.lst" for exposure in ("2s", "120s", "300s")]


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pulsar_dask.demo", folder.name],
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )


def made(folder: Path) -> dict[str, str]:
    """A digest of each list, and of the pixels of each master as they are stored."""
    contents = {name: (folder / name).read_bytes() for name in LISTS}
    for name in MASTERS:
        with fits.open(folder / name) as (hdu,):
            contents[name] = hdu.data.tobytes()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


@pytest.mark.more
def test_the_guides_workflow_agrees_with_the_truth_twice(tmp_path: Path) -> None:
    folder = tmp_path / "a night"

    first = run_demo(folder)
    assert first.returncode == 0, first.stdout
    assert "All checks passed" in first.stdout
    checks = len(MASTERS + LISTS) + 1 + 2 * len(LIGHTS)
    assert len(re.findall(r"  ok$", first.stdout, re.M)) == checks
    assert "warning" not in first.stdout
    assert f"To look at: open {Path(folder.name) / 'report.html'}" in first.stdout
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "every pixel is the same, and nothing is odd." in page
    for line in (
        "$ med bias*.fit bias.fit",
        "$ makedark darks/ bias.fit",
        "$ makeflat flats/",
        "$ autocalibrate lights/ calibrated/ . .",
    ):
        assert line in first.stdout
    files = {p.name for p in folder.iterdir() if p.is_file() and not re.match("bias0", p.name)}
    assert files == {"README.txt", "report.html", *MASTERS, *LISTS}  # and nothing temporary
    lights = sorted(p.name for p in (folder / "calibrated").iterdir())
    assert lights == sorted(f"out_exp{t}_{f}_1.fit" for t in (120, 300) for f in LIGHTS)
    once = made(folder)
    steps = first.stdout.partition("\nNext:\n")[2].splitlines()
    assert any(line.split()[:1] == ["cd"] for line in steps)
    for line in NEXT:  # as they stand there
        assert any(step.startswith(f"  {line} ") for step in steps)
        run(*shlex.split(line.removeprefix("pulsar-dask ")), cwd=folder)
    assert made(folder) == once

    second = run_demo(folder)  # its own masters lie in the folder now
    assert second.returncode == 0, second.stdout
    assert made(folder) == once
    assert sorted(p.name for p in (folder / "calibrated").iterdir()) == lights


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bias0001.fit").write_text("mine")
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert "not the demo's" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["bias0001.fit"]
