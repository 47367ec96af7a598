"""Lazy lights are what the command writes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import same
from night import pixels, stack, tool, write

import pulsar_dask as pulsar

SHAPE = (24, 31)


def test_lazy_lights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, frame in enumerate(stack(1, 3, 1500, shape=SHAPE), 1):
        write(tmp_path / f"lights/l{i}.fit", frame, "Light Frame", 60.0, "R", BAYERPAT="RGGB")
    dark = stack(2, 1, 30, noise=3, shape=SHAPE)[0].astype("f4")
    write(tmp_path / "d.fit", dark, "Master Dark", 120.0, BIASSUB=True)
    flat = np.random.default_rng(1).uniform(4000, 6000, SHAPE).astype("f4")
    flat[4, 4] = flat[10:15, 10:15] = 0
    write(tmp_path / "f.fit", flat, "Master Flat", None, "R")
    (tmp_path / "bad.lst").write_text("P 3 4\n")
    tool("calibrate", "lights/", "out/", "-d", "d.fit", "-b", 500, "--scale-dark", "exposure",
         "-f", "f.fit", 5000, "-c", "bad.lst", cwd=tmp_path)  # fmt: skip
    right = np.stack([pixels(tmp_path / f"out/l{i}.fit") for i in (1, 2, 3)])
    ways = {"dark": "d.fit", "bias": 500, "flat": "f.fit", "level": 5000, "cosme": "bad.lst"}
    for cube in ("lights/", pulsar.open_frames("lights/")):
        lights = pulsar.calibrate(cube, by_exposure=True, **ways)
        assert lights.dims == ("frame", "y", "x")
        assert lights.dtype == "float32"
        same(lights.values, right)
        same(lights.isel(frame=1)[3:9, 2:20].values, right[1, 3:9, 2:20])
    assert list(lights.exposure.values) == [60.0] * 3


def test_what_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "l.fit", stack(1, 1, 1500, shape=SHAPE)[0], "Light Frame", 60.0)
    write(tmp_path / "d.fit", np.zeros((3, 3), "f4"), "Master Dark", 60.0, BIASSUB=False)
    with pytest.raises(pulsar.PulsarError, match="does not agree"):
        pulsar.calibrate("l.fit", dark="d.fit")
    with pytest.raises(pulsar.PulsarError, match="pedestal"):
        pulsar.calibrate("l.fit", pedestal="much")
