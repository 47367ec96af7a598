"""Frames that do not belong: those planted are found, clean stacks are left alone."""

from __future__ import annotations

import camera
import numpy as np
import pytest
import sensor
from sensor import found

from pulsar_dask.masters.judge import judge
from pulsar_dask.masters.measured import measure

SIZE = 192


#: Two models of what a clean stack is; the limits were tuned on a third.
CLEAN = [(model, kind) for model in (sensor, camera) for kind in model.KINDS]


@pytest.mark.parametrize(("model", "kind"), CLEAN)
def test_clean_stacks_are_left_alone(model, kind):
    said = {seed: some for seed in range(20) if (some := model.alarms(kind, seed))}
    assert not said


@pytest.mark.soak
@pytest.mark.parametrize(("model", "kind"), CLEAN)
def test_one_false_alarm_in_a_thousand(model, kind):
    said = {seed: some for seed in range(1000, 2000) if (some := model.alarms(kind, seed))}
    assert len(said) <= 1, said


@pytest.mark.soak
@pytest.mark.parametrize("n", [20, 50])
@pytest.mark.parametrize("kind", camera.KINDS)
def test_of_many_frames(kind, n):
    said = {seed: some for seed in range(100) if (some := camera.alarms(kind, seed, n))}
    assert not said


def darks(rng, n, current=20.0):
    rate = current * rng.gamma(30, 1 / 30, (SIZE, SIZE))
    return np.rint(rng.poisson(rate, (n, SIZE, SIZE)) + rng.normal(300, 4, (n, SIZE, SIZE))), rate


def flats(rng, n):
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    light = 20000 * (1 - 0.3 * (x**2 + y**2)) * rng.normal(1, 0.01, (SIZE, SIZE))
    lamp = rng.normal(1, 0.003, (n, 1, 1))
    return rng.poisson(light * lamp) + 300.0, x


@pytest.mark.parametrize("n", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_planted_darks(n):
    rng = np.random.default_rng(n)
    stack, rate = darks(rng, n)
    noise = np.sqrt(20 + 16)
    assert found(stack) == []
    for odd in (0, n // 3, n - 1):
        leak, warm, quiet, hit = (stack.copy() for _ in range(4))
        leak[odd, SIZE // 2 :, SIZE // 2 :] += 0.5 * noise
        assert [(f.what, f.frames) for f in found(leak)][-1] == ("corners", (odd,))
        warm[odd] += np.rint(rng.poisson(0.25 * rate))
        assert (odd,) in [f.frames for f in found(warm) if f.what == "level"]
        quiet[odd] = np.rint(300 + 20 + 0.5 * (quiet[odd] - 320))
        assert ("noise", (odd,)) in [(f.what, f.frames) for f in found(quiet)]
        hit[odd][rng.random((SIZE, SIZE)) < 0.01] += 500
        assert ("hits", (odd,)) in [(f.what, f.frames) for f in found(hit)]


@pytest.mark.parametrize("n", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_planted_flats(n):
    stack, x = flats(np.random.default_rng(n), n)
    assert found(stack, flat=True, pedestal=300) == []
    for odd in (0, n // 3, n - 1):
        for fault in (1 + 0.01 * x, np.where(x > 0, 0.98, 1.0)):  # a tilt; a cloud over a half
            tried = stack.copy()
            tried[odd] = (tried[odd] - 300) * fault + 300
            said = found(tried, flat=True, pedestal=300)
            assert "corners" in [f.what for f in said]
            assert {f.frames for f in said} == {(odd,)}


def test_two_groups_of_levels():
    stack, _ = darks(np.random.default_rng(3), 12)
    stack[7:] += 500
    (said,) = found(stack)
    assert (said.what, said.frames, said.rejects) == ("level", tuple(range(7, 12)), True)
    stack[6] += 500
    (said,) = found(stack)
    assert not said.rejects  # as many on either side: nobody knows which are right


def test_a_drift_is_one_note():
    stack, _ = darks(np.random.default_rng(4), 12)
    said = found(stack + np.arange(12)[:, None, None] * 3)
    assert [(f.what, f.note) for f in said] == [("drift", True)]


def test_drifts_of_flats():
    stack, x = flats(np.random.default_rng(5), 12)
    along = np.arange(12)[:, None, None] / 11
    said = found((stack - 300) * (1 - 0.1 * along) + 300, flat=True, pedestal=300)
    assert [(f.what, f.note) for f in said] == [("lamp", True)]
    said = found((stack - 300) * (1 + 0.03 * x * along) + 300, flat=True, pedestal=300)
    assert [(f.what, f.note) for f in said] == [("shape", False)]


def test_of_few_frames_only_what_is_far_off():
    rng = np.random.default_rng(6)
    stack, _ = darks(rng, 3)
    assert found(stack) == []
    stack[1] += 5000
    (said,) = found(stack)
    assert said.frames == (1,)


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_images_of_one_row_or_column():
    """Of which a quarter has no pixel."""
    rng = np.random.default_rng(7)
    for shape in ((12, 1, 300), (12, 1, 1)):
        stack = rng.normal(500, 5, shape)
        quadrant = np.zeros(shape[2], int)
        frames = (image.ravel() for image in stack)
        measured = measure(
            frames, 12, shape[2], np.median(stack, axis=0).ravel(), quadrant, flat=False
        )
        assert judge(measured) == []
