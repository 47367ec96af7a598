"""The noise of frames from planted sensors: read noise, photons, drift, grain; what has none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.kernels.noise import Noise, NoModelError, fit, quantile


def dark(frames, *, level=20.0, read=3.0, grain=1.0, pixels=20_000, seed=0):
    rng = np.random.default_rng([seed, frames])
    values = rng.poisson(level, (frames, pixels)) + rng.normal(500, read, (frames, pixels))
    return np.rint(values / grain) * grain, level + read**2 + grain**2 / 12


def hit(values, share, least, seed=1):
    rng = np.random.default_rng(seed)
    there = rng.random(values.shape) < share
    sigma = values[:, 0].std() if len(values) > 9 else 5.4
    values[there] += np.rint(sigma * 10 ** rng.uniform(np.log10(least), 3, there.sum()))
    return values


@pytest.mark.parametrize("frames", [3, 5, 9, 20, 50])
@pytest.mark.parametrize("read", [0.8, 3.0])
def test_planted(frames, read):
    values, truth = dark(frames, read=read)
    found = fit(values.copy(), 1.0)
    near = 0.005 if frames >= 9 else 0.02
    assert np.sqrt(found.at(520) / truth) == pytest.approx(1, abs=near)
    bright = fit(hit(values.copy(), 0.05, 10), 1.0)
    assert np.sqrt(bright.at(520) / truth) == pytest.approx(1, abs=0.015 if frames >= 9 else 0.08)
    wide = fit(hit(values.copy(), 0.05, 2), 1.0)
    assert np.sqrt(wide.at(520) / truth) == pytest.approx(1, abs=0.065)


@pytest.mark.parametrize("grain", [1.0, 16.0])
@pytest.mark.parametrize("sd", [0.3, 0.8, 1.2])
def test_coarse_values(grain, sd):
    rng = np.random.default_rng(3)
    truth = 500 + rng.uniform(0, 5 * grain, 20_000)
    values = np.rint(rng.normal(truth, sd * grain, (20, truth.size)) / grain) * grain
    found = fit(values, grain)
    assert np.sqrt(found.at(np.median(truth))) >= grain / np.sqrt(12)
    if sd > 0.5:
        expected = grain * np.sqrt(sd**2 + 1 / 12)
        assert np.sqrt(found.at(np.median(truth))) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_a_vignetted_flat_tells_the_gain(gain):
    """The line goes on below the median level."""
    rng = np.random.default_rng(4)
    level = 20_000 * rng.uniform(0.5, 1, 30_000)
    values = np.rint(rng.poisson(level * gain, (20, level.size)) / gain)
    found = fit(values, 1.0)
    assert found.slope == pytest.approx(1 / gain, rel=0.04)
    assert found.at(10_500) == pytest.approx(10_500 / gain, rel=0.03)


def test_dark_current_that_drifts():
    """The scatter of hot pixels grows with their level."""
    rng = np.random.default_rng(5)
    warmth = 2 ** (np.linspace(-4, 4, 20) / 6)
    hot = np.where(rng.random(40_000) < 0.03, 10 ** rng.uniform(2, 4, 40_000), 20.0)
    values = np.rint(rng.poisson(hot * warmth[:, None]) + rng.normal(500, 3, (20, hot.size)))
    found = fit(values.copy(), 1.0)
    spread = np.std(warmth, ddof=1) / np.median(warmth)
    for level in (1000, 8000):
        expected = level + (spread * level) ** 2
        assert found.at(500 + level) == pytest.approx(expected, rel=0.25)
    assert found.at(520) < 2.5 * 30


@given(st.integers(3, 12), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_any_values(frames, pixels, seed):
    """It fits or says why; it is never negative, and does not see the order of the frames."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, rng.integers(2, 2000), (frames, pixels)).astype(float)
    values[rng.random(values.shape) < rng.choice([0, 0.3])] = np.nan
    try:
        found = fit(values.copy(), 1.0)
    except NoModelError:
        return
    assert found.variance >= 0
    assert found.slope >= 0
    assert found.square >= 0
    assert (found.at(np.linspace(-1e5, 1e5, 99)) >= 1 / 12).all()
    assert fit(values[rng.permutation(frames)], 1.0) == found


def test_what_has_no_model():
    values, _ = dark(20)
    noisy = values.copy()
    some = np.random.default_rng(0).random(values.shape[1]) < 0.25
    noisy[:, some] += np.random.default_rng(1).normal(0, 25, (20, some.sum())).round()
    with pytest.raises(NoModelError, match="noisier than their level explains"):
        fit(noisy, 1.0)
    other, _ = dark(20, level=100.0)
    other -= 80  # of the level of the rest, and twice its variance
    both = np.concatenate([values, other], axis=1)
    half = np.arange(both.shape[1]) >= values.shape[1]
    with pytest.raises(NoModelError, match=r"0\.[67]\d times|1\.[34]\d times the noise"):
        fit(both.copy(), 1.0, half.astype(int)[None])
    same_halves = np.arange(values.shape[1])[None] % 2
    assert isinstance(fit(values.copy(), 1.0, same_halves), Noise)
    with pytest.raises(NoModelError, match="fewer than 3 values"):
        fit(values[:2].copy(), 1.0)
    with pytest.raises(NoModelError, match="the same in all frames"):
        fit(np.full((5, 100), 7.0), 0.0)


def test_quantiles():
    """Against tables of chi^2 at 99.9 %."""
    known = {1: 10.828, 2: 13.816, 5: 20.515, 10: 29.588, 50: 86.661}
    for dof, truth in known.items():
        assert quantile(np.array(dof), 3.0902) * dof == pytest.approx(truth, rel=0.035)
