"""The library of masters in Python."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import run, same
from night import pixels, stack, write

import pulsar_dask
from pulsar_dask import PulsarError, Search

SHAPE = (24, 31)
PAGE = Path(pulsar_dask.__file__).parent / "docs" / "library.md"


@pytest.fixture
def night(here):
    cards = {"GAIN": 100, "DATE_OBS": "2026-01-10T22:00:00"}
    frame = stack(1, 1, 1500, shape=SHAPE)[0]
    write(here / "lights/light_0001.fit", frame, "Light Frame", 120.0, "R", **cards)
    for folder in ("masters", "darks", "flats"):
        dark = stack(2, 1, 540, shape=SHAPE)[0].astype("f4")
        write(here / folder / "dark120s.fit", dark, "Master Dark", 120.0, BIASSUB=False, **cards)
        flat = np.random.default_rng(3).uniform(4000, 6000, SHAPE).astype("f4")
        write(here / folder / "f/x.fit", flat, "Master Flat", 3.0, "R", BIASSUB=True, **cards)
    return here


def test_what_serves_a_light(night):
    light = pulsar_dask.scan_frame("lights/light_0001.fit")
    shelves = pulsar_dask.library("masters")
    assert repr(shelves) == "Library(0 biases, 1 darks, 1 flats)"
    choice = shelves.match(light)
    assert str(choice) == "DARK=dark120s.fit FLAT=x.fit k=1"
    assert (choice.k, choice.bias, choice.list, choice.missing) == (1, None, None, ())
    write(night / "g.fit", np.zeros(SHAPE, "u2"), "Light Frame", 120.0, "Ha", GAIN=0)
    other = shelves.match(pulsar_dask.scan_frame("g.fit"))
    assert [what for what, _ in other.missing] == ["dark", "flat"]
    assert other.reasons == ("dark120s.fit GAIN 100, not 0",)
    mixed = pulsar_dask.library("masters", search=Search(mix="gain"))
    assert [w for w, _ in mixed.match(pulsar_dask.scan_frame("g.fit")).missing] == ["flat"]


def test_the_page(night):
    """Its lines as they stand there; what they give is the same by both ways."""
    page = PAGE.read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            run(*line.removeprefix("pulsar-dask ").split(), cwd=night)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    known: dict = {}
    exec(code, known)
    values = known["lights"].values[0]
    same(pixels(night / "calibrated/out_exp120_R_1.fit"), values)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"places": []}, "`places` is empty"),
        ({"places": "nowhere"}, "nowhere: no such file or folder"),
        ({"latest": "no"}, "`latest`"),
        ({"flat_future_days": -1}, "`flat_future_days`"),
        ({"temperature_tolerance": "2"}, "`temperature_tolerance`"),
        ({"flatlog": "no.csv"}, "no.csv"),
        ({"search": True}, "`search`"),
        ({"places": 5}, "`places` 5: give a path"),
        ({"bias": [1]}, "`bias` [1]: give a path"),
        ({"bias": float("nan")}, "`bias`"),
        ({"no_bias": None}, "`no_bias` None: give True or False"),
        ({"lastest": True}, "did you mean `latest`?"),
    ],
)
def test_what_is_refused(night, given, says):
    with pytest.raises(PulsarError, match=re.escape(says)):
        pulsar_dask.library(**{"places": "masters"} | given)
