"""What is understood of the keywords of capture programs."""

from __future__ import annotations

import pytest

from pulsar_dask.frames.naming import kind_of


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
        ("other", ["Focus", "Tricolor Image"]),
        (None, [None]),
    ],
)
def test_kinds(kind, labels):
    assert [kind_of(label) for label in labels] == [(kind, False)] * len(labels)
