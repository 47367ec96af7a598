"""The README's examples, run as they stand there, on the demo's night."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pulsar_dask import demo

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def example(language: str, *, holding: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    (block,) = (b for b in blocks if holding in b)
    return block


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    with pytest.MonkeyPatch.context() as patch:  # a small one
        patch.setattr(demo, "HEIGHT", 140)
        patch.setattr(demo, "WIDTH", 200)
        demo.make_night(folder, demo.make_sensor())
    return folder


@pytest.mark.slow
def test_shell_example(night: Path) -> None:
    for line in example("sh", holding="make_cosme").splitlines():
        command = [sys.executable, "-m", "pulsar_dask", *shlex.split(line, comments=True)]
        subprocess.run(command, cwd=night, check=True, capture_output=True)
    frames = [fits.getdata(p) for p in sorted(night.glob("bias*.fit"))]
    expected = np.median(np.array(frames, "f8"), axis=0).astype("f4")
    assert np.array_equal(fits.getdata(night / "master_bias.fit"), expected)
    made = ["dark120s.fit", "dark300s.fit", "dark2s.fit", "flat_l.fit", "flat_r.fit", "flat_h.fit"]
    for name in [*made, "cosme120s.lst", "cosme300s.lst", "cosme2s.lst", "hottest.lst"]:
        assert (night / name).stat().st_size > 0


def test_notebook_example(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(night)
    names: dict[str, object] = {}
    exec(compile(example("python", holding="corner"), "README.md", "exec"), names)
    frames = np.array([fits.getdata(p) for p in sorted(night.glob("darks/dark_120s_*.fit"))])
    assert np.array_equal(names["corner"], frames[0, :100])
    assert np.allclose(names["level"], frames.mean(0))
    bias = np.median([fits.getdata(p) for p in sorted(night.glob("bias*.fit"))], axis=0)
    darks = np.array([fits.getdata(p) for p in sorted(night.glob("darks/dark_300s_*.fit"))], "f8")
    assert np.array_equal(names["tile"], (np.median(darks, axis=0) - bias).astype("f4")[:64])
    assert names["hot"].sizes == {"pixel": 100}  # type: ignore[attr-defined]


def test_help_names_every_option_of_the_readme() -> None:
    text = ""
    for tool in ("med", "makedark", "makeflat", "make_cosme", "verify"):
        run = [sys.executable, "-m", "pulsar_dask", tool, "--help"]
        text += subprocess.run(run, check=True, capture_output=True, text=True).stdout
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert option in text


@pytest.mark.skipif(os.name == "nt", reason="the Makefile needs a POSIX shell")
def test_the_two_commands_are_in_the_makefile() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", example("sh", holding="make demo"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
