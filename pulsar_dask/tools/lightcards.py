"""Cards of a calibrated light: what was done to it."""

from __future__ import annotations

from typing import Any

from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames.frame import Frame
from pulsar_dask.masters.calibration import Calibration, Fit

#: Cards of a light that holds a step, by the letter that CALSTAT has for it.
STEPS = {"bias": "B", "dark": "D", "flat": "F", "list": "C"}


def cards_of(frame: Frame, c: Calibration, found: Fit) -> dict[str, tuple[Any, str]]:
    """Value and comment by keyword; one of None removes the card."""
    roles = {role for role, _ in c.images} | ({"list"} if c.lists else set())
    if c.bias is not None or (c.dark is not None and c.dark_holds_bias):
        roles.add("bias")
    done = "".join(letter for role, letter in STEPS.items() if role in roles)
    before = str(read_header(frame).get("CALSTAT", "")).strip().upper()
    kept = "".join(x for x in before if x.isalpha() and x not in done)
    cards: dict[str, tuple[Any, str]] = {
        "CALSTAT": (kept + done, "bias, dark, flat, pixels corrected")
    }
    if c.dark is not None:
        cards["OPTIMIZ"] = (c.scale, "k, how often the dark was subtracted")
    if c.flat is not None:
        levels = [v for plane in found.levels for v in plane]
        cards["FLATMULT"] = (sum(levels) / len(levels), "[ADU] M, the level of the flat")
    if c.pedestal:
        cards["PEDESTAL"] = (c.pedestal, "[ADU] was added; MaxIm means the opposite")
    elif "bias" in roles:
        cards["PEDESTAL"] = (None, "")
    return cards
