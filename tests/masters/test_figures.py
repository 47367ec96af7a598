"""Figures of frames and of a sensor that are known: noise, read noise, gain, rejected values."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import run
from night import write_stack

SHAPE = (256, 300)


def document(*args, cwd):
    found = json.loads(run(*args, "--json", cwd=cwd).stdout)
    return {p["name"]: p["figures"] for p in found["products"] if p["what"] == "master"}


def biases(rng, n, noise, step=1):
    values = rng.normal(500, noise, (n, *SHAPE)) + rng.normal(0, 30, SHAPE)  # a fixed pattern
    return (np.rint(values / step) * step).astype("u2")


@pytest.mark.parametrize(("noise", "step"), [(0.8, 1), (6.0, 1), (20.0, 16)])
def test_read_noise_of_pairs_of_biases(tmp_path, noise, step):
    rng = np.random.default_rng(1)
    stack = biases(rng, 9, noise, step)
    stack += (np.arange(9) * 3).astype("u2")[:, None, None] * step  # a drift is no noise
    stack[3, rng.random(SHAPE) < 1e-3] += 4800
    write_stack(tmp_path / "b", "b", stack, "Bias Frame", 0.0)
    found = document("med", "b", "bias.fit", cwd=tmp_path)["bias.fit"]["read_noise"]
    true = np.hypot(noise, step / np.sqrt(12))
    assert found["error"] < 0.005 * true
    assert abs(found["value"] - true) < 3 * found["error"] + 0.002 * true
    assert found["without_rounding"] == pytest.approx(
        np.sqrt(max(0, found["value"] ** 2 - step**2 / 12))
    )
    assert found["pairs"] == 4


@pytest.mark.parametrize("pattern", [None, "RGGB"])
def test_gain_of_pairs_of_flats(tmp_path, pattern):
    rng, gain, noise = np.random.default_rng(2), 0.4, 9.0
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = (1 - 0.4 * ((x - 150) ** 2 + (y - 128) ** 2) / 150**2) * rng.normal(1, 0.01, SHAPE)
    if pattern:
        light *= np.where((y + x) % 2, 0.5, 1.0)
    flats = [
        500 + rng.poisson(8000 * (1 - 0.02 * i) * light) / gain + rng.normal(0, noise, SHAPE)
        for i in range(8)
    ]
    cards = {"BAYERPAT": pattern} if pattern else {}
    write_stack(tmp_path / "f", "f", np.rint(flats).astype("u2"), "Flat Frame", 1.0, "L", **cards)
    darks = np.rint(rng.normal(500, noise, (6, *SHAPE))).astype("u2")
    write_stack(tmp_path / "f", "d", darks, "Dark Frame", 1.0, **cards)
    found = document("makeflat", "f", cwd=tmp_path)["flat_l"]["gain"]
    assert found["error"] < 0.006 * gain
    assert abs(found["value"] - gain) < 3.5 * found["error"]
    # of the dark that is out of them, which is made in the same run
    assert found["read_noise"] == pytest.approx(noise, rel=0.01)


@pytest.mark.parametrize(("method", "n"), [("median", 8), ("median", 15), ("mean", 9)])
def test_noise_of_a_master_is_that_of_its_pixels(tmp_path, method, n):
    rng = np.random.default_rng(n)
    true = 500 + rng.normal(0, 30, SHAPE)
    stack = np.rint(true + rng.normal(0, 12, (n, *SHAPE))).astype("u2")
    write_stack(tmp_path / "b", "b", stack, "Bias Frame", 0.0)
    found = document("med", "b", "m.fit", "--combine", method, cwd=tmp_path)["m.fit"]
    combine = np.median if method == "median" else np.mean
    residual = float(np.std(combine(stack, axis=0) - true))
    assert found["noise_of_frame"] == pytest.approx(12, rel=0.01)
    assert found["noise"] == pytest.approx(residual, rel=0.03)
    assert found["noise_expected"] == pytest.approx(residual, rel=0.02)
    levels, means = np.array(found["frame_levels"]), stack.mean(axis=(1, 2))
    assert np.abs((levels - levels.mean()) - (means - means.mean())).max() < 0.3
    assert found["frame_noise"] == pytest.approx([12 * np.sqrt(1 - 1 / n)] * n, rel=0.1)


def test_shares_of_rejected_values(tmp_path):
    rng = np.random.default_rng(4)
    stack = np.rint(rng.normal(500, 8, (12, 64, 100))).astype("u2")
    struck = rng.random((64, 100)) < 0.1
    stack[7, struck] += 900
    write_stack(tmp_path / "b", "b", stack, "Bias Frame", 0.0)
    options = ("--combine", "winsorized")
    found = document("med", "b", "m.fit", *options, cwd=tmp_path)["m.fit"]
    assert found["frame_rejected"][7] == pytest.approx(struck.mean(), rel=0.02)
    assert max(np.delete(found["frame_rejected"], 7)) < 0.002


def test_figures_stand_in_the_order_of_the_frames(tmp_path):
    """And not in that of their dates, in which they are judged."""
    rng = np.random.default_rng(4)
    stack = biases(rng, 6, 6.0) + (np.arange(6) * 5).astype("u2")[:, None, None]
    frames = write_stack(tmp_path / "b", "b", stack, "Bias Frame", 0.0)
    for i, frame in enumerate(frames):
        frame.rename(frame.with_name(f"x{(i * 5) % 6}.fit"))
    found = document("med", "b", "bias.fit", cwd=tmp_path)["bias.fit"]
    levels = [found["frame_levels"][(i * 5) % 6] for i in range(6)]
    assert np.allclose(np.diff(levels), 5, atol=0.2)
