"""Frames of any header."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from night import write

from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.keywords import about


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """Makes frames that differ in what their headers say."""
    base = scan_frame(write(tmp_path_factory.mktemp("frames") / "a.fit", np.zeros((2, 2), "i2")))
    number = iter(range(10**9))

    def make(**cards):
        cards = {k.replace("_", "-"): v for k, v in cards.items()}
        return replace(base, path=f"/night/f{next(number)}.fit", about=about(cards))

    return make
