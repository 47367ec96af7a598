"""Frames that do not belong, asked for in a notebook: what `med` tells."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from night import noted, stack, write

import pulsar_dask
from pulsar_dask.errors import PulsarError, PulsarWarning
from pulsar_dask.tools.med import med
from pulsar_dask.tools.options import Options


def darks(folder, n=12, odd=(), up=60):
    for i, image in enumerate(stack(3, n, 500, 8, shape=(64, 72))):
        image = image + up * (i in odd)
        write(folder / f"d{i:02}.fit", image.astype("u2"), "Dark", 60.0)


def told(spec, **options):
    """What is found, and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        odd = pulsar_dask.check_frames(spec, **options)
    assert all(issubclass(one.category, PulsarWarning) for one in caught)
    return odd, [str(one.message) for one in caught]


def test_a_clean_stack(tmp_path):
    darks(tmp_path)
    assert told(tmp_path, threads=2) == ({}, [])


def test_what_med_says_of_a_frame_that_does_not_belong(tmp_path):
    darks(tmp_path / "d", odd=(4,))
    odd, texts = told(str(tmp_path / "d"), threads=2)
    assert list(odd) == [str(tmp_path / "d" / "d04.fit")]
    assert texts == list(odd.values())
    assert texts[0].startswith("level of d04.fit: ")
    with noted() as notes:
        med([str(tmp_path / "d")], str(tmp_path / "m.fit"), dtype=None,
            options=Options(quiet=True, threads=2))  # fmt: skip
    assert f"m.fit: {texts[0]}; --reject-frames leaves such frames out" in notes


def test_saturation_and_masters(tmp_path):
    darks(tmp_path)
    write(tmp_path / "m.fit", np.zeros((64, 72), "f4"), "Master Dark", 60.0)
    _, texts = told(tmp_path, saturation=400)
    assert len(texts) == 1
    assert "saturated (at 400 ADU)" in texts[0]
    with pytest.raises(PulsarError, match="no raw frames"):
        pulsar_dask.check_frames(tmp_path / "m.fit")


@pytest.mark.parametrize(
    "wrong", [{"saturation": "x"}, {"saturation": 0}, {"threads": 0}, {"search": 3}, {"memory": -1}]
)
def test_wrong_arguments(tmp_path, wrong):
    with pytest.raises(PulsarError, match=f"`{next(iter(wrong))}`"):
        pulsar_dask.check_frames(tmp_path, **wrong)
