"""What `verify` says where its inputs have other shapes now, and of the fewest bias frames that are
combined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import run, same, write_frame
from night import pixels, stack, write, write_stack

SHAPE = (6, 10)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with masters of few small frames."""
    write_stack(tmp_path / "bias", "b", stack(1, 2, 300, shape=SHAPE), "Bias")
    write_stack(tmp_path / "darks", "d", stack(2, 3, 500, shape=SHAPE), "Dark", 60)
    write_stack(tmp_path / "flats", "f", stack(3, 3, 9000, shape=SHAPE), "Flat", 60, "L")
    run("med", "bias", "m.fit", cwd=tmp_path)
    run("makedark", "darks", "bias", "--hot-pixels", 4, cwd=tmp_path)
    run("makeflat", "flats", cwd=tmp_path)
    run("cube", "bias", "c.zarr", cwd=tmp_path)
    return tmp_path


def turn(path: Path, kind: str | None, *given: object) -> None:
    """The same pixels in rows of another length: the sum of the data stays as it was."""
    write(path, pixels(path).astype("u2").reshape(SHAPE[::-1]), kind, *given)


@pytest.mark.parametrize(
    ("name", "changed", "given"),
    [
        ("m.fit", "bias/b0002.fit", ("Bias",)),
        ("dark60s.fit", "darks/d0002.fit", ("Dark", 60)),
        ("dark60s.fit", "bias/b0002.fit", ("Bias",)),
        ("flat_l.fit", "flats/f0003.fit", ("Flat", 60, "L")),
        ("c.zarr", "bias/b0001.fit", ("Bias",)),
    ],
)
def test_an_input_of_another_shape(made, name, changed, given):
    turn(made / changed, *given)
    said = run("verify", name, cwd=made, status=1).stderr
    assert "frames of one stack must have one shape" in said
    assert "6 x 10" in said
    assert "10 x 6" in said


def test_a_dark_of_another_shape(made):
    """Its sum tells nothing: the pixels are float32, and their bytes the same."""
    image = pixels(made / "dark60s.fit").astype("f4")
    write_frame(made / "dark60s.fit", image.reshape(SHAPE[::-1]))
    said = run("verify", "flat_l.fit", cwd=made, status=1).stderr
    assert "frames of one stack must have one shape" in said


def test_a_bias_of_two_frames(made):
    bias = np.median([pixels(made / f"bias/b000{i}.fit") for i in (1, 2)], axis=0)
    darks = np.median([pixels(made / f"darks/d000{i}.fit") for i in (1, 2, 3)], axis=0)
    assert not np.array_equal(bias, pixels(made / "bias/b0001.fit"))
    same(pixels(made / "dark60s.fit"), (darks - bias.astype("f4")).astype("f4"))
    said = run("verify", "dark60s.fit", "bias.fit", "--all", cwd=made).stdout
    assert said.count("60 pixels computed again are the same") == 2
    assert "5 of 5 files that it was made of are as they were" in said
