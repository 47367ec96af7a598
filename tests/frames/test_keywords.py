"""What is understood of the keywords of capture programs."""

from __future__ import annotations

import pytest

from pulsar_dask.frames.keywords import about


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("dark", ["Dark Frame", "Dark", "DARK", " dark "]),
        (
            "flat",
            ["Flat Frame", "Flat", "FLAT", "Flat Field", "Sky Flat", "Dome Flat", "Twilight Flat"],
        ),
        ("bias", ["Bias", "Bias Frame", "Zero", "BIAS"]),
        ("light", ["Light Frame", "LIGHT", "Light"]),
        ("other", ["Focus", "Odd"]),
        (None, [None]),
    ],
)
def test_kinds(kind, labels):
    found = [about({"IMAGETYP": label}) for label in labels]
    assert [(a.kind, a.master) for a in found] == [(kind, None)] * len(labels)
