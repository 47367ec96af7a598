"""The exact median: every type, both ways to it, any number of frames."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from helpers import OTHER_SIGN, STORED, exact_median, images, same, scalings, values
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.kernels import median as kernel
from pulsar_dask.kernels.pixels import PixelType

ALL_TYPES = [
    *((b, {}) for b in STORED),
    *((b, {"bzero": OTHER_SIGN[b]}) for b in (8, 16, 32, 64)),
    *((b, {"blank": 7}) for b in (8, 16, 32, 64)),
    *((b, {"bzero": OTHER_SIGN[b], "blank": 7}) for b in (8, 16, 32, 64)),
    *((b, {"bscale": -0.5, "bzero": 3.0}) for b in STORED),
]
TYPES = pytest.mark.parametrize(
    ("bitpix", "cards"), ALL_TYPES, ids=[f"{b}-{'-'.join(c) or 'plain'}" for b, c in ALL_TYPES]
)


def median(stack, bitpix, cards, *, swapped=True):
    """The kernel on pixels as they lie in a file."""
    stored = stack.astype(stack.dtype.newbyteorder(">" if swapped else "="))
    stored, pixels = np.ascontiguousarray(stored), PixelType(bitpix, **cards)
    results, counts = kernel.median(stored, pixels)
    by_numpy, same_counts = kernel.median(stored, pixels, compiled=False)
    same(by_numpy, results)
    assert np.array_equal(same_counts, counts)
    return results, counts


def check(stack, bitpix, cards):
    truth = values(stack, **cards)
    for swapped in (True, False):
        result, counts = median(stack, bitpix, cards, swapped=swapped)
        assert result.dtype == np.float64
        same(result, exact_median(truth))
        if counts is not None:
            same(counts, np.count_nonzero(~np.isnan(truth), axis=0))
        else:
            assert not np.isnan(truth).any()


@given(st.data())
def test_any_stack(data):
    bitpix = data.draw(st.sampled_from(sorted(STORED)))
    cards = data.draw(scalings(bitpix))
    frames = data.draw(st.one_of(st.integers(1, 9), st.integers(1, 300)))
    width = data.draw(st.integers(1, 12))
    check(data.draw(images(STORED[bitpix], (frames, width))), bitpix, cards)


@given(st.sampled_from(sorted(STORED)), st.integers(1, 40), st.data())
def test_network_and_bisection_agree_with_the_truth(bitpix, frames, data):
    stack = data.draw(images(STORED[bitpix], (frames, 5)))
    limits = dict(kernel.NETWORK_FRAMES)
    try:
        for limit in (0, 10_000):
            kernel.NETWORK_FRAMES.update(dict.fromkeys(limits, limit))
            check(stack, bitpix, {})
    finally:
        kernel.NETWORK_FRAMES.update(limits)


def noise(bitpix, shape, seed=0, missing=0.1):
    """Noise over the whole range with some values missing, 7 being the blank of integers."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(STORED[bitpix])
    if dtype.kind == "f":
        stack = rng.normal(0, 1000, shape).astype(dtype)
        stack[rng.random(shape) < missing] = np.nan
        return stack
    info = np.iinfo(dtype)
    stack = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    stack[rng.random(shape) < missing] = 7
    return stack


@pytest.mark.few(3)
@TYPES
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 13, 16, 31, 63, 128, 129, 201, 301])
def test_every_type(bitpix, cards, frames):
    check(noise(bitpix, (frames, 37), frames), bitpix, cards)


@pytest.mark.parametrize("bitpix", STORED)
@pytest.mark.parametrize("frames", [512, 513, 1000, 1999, 2000])
def test_many_frames(bitpix, frames):
    blank = {"blank": 7} if bitpix > 0 else {}
    check(noise(bitpix, (frames, 9), frames), bitpix, blank)


WIDTHS = [1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256, 257, 511, 1000, 4096, 4097]


@pytest.mark.few(2)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("bitpix", [8, 16, -32, 64])
@pytest.mark.parametrize("frames", [11, 130])
def test_widths_around_a_block(bitpix, width, frames):
    blank = {"blank": 7} if bitpix > 0 else {}
    stack = noise(bitpix, (frames, width), width, missing=0.0)
    check(stack, bitpix, {})
    stack = noise(bitpix, (frames, width), width, missing=1 / frames)
    check(stack, bitpix, blank)
    check(np.where(np.arange(width) < 256, stack[:1], stack), bitpix, blank)


@pytest.mark.few(2)
@pytest.mark.parametrize("frames", [300, 301, 1000])
@pytest.mark.parametrize("bitpix", STORED)
@pytest.mark.parametrize("side", ["low", "high", "both"])
def test_a_sample_that_tells_nothing(bitpix, frames, side):
    """The frames that bisection looks at first are far from the median."""
    stack = noise(bitpix, (frames, 100), frames, missing=0.0)
    info = np.finfo if stack.dtype.kind == "f" else np.iinfo
    far = {"low": [info(stack.dtype).min], "high": [info(stack.dtype).max]}
    far["both"] = far["low"] + far["high"]
    for i in range(20):
        stack[i * (frames // 16) % frames] = far[side][i % len(far[side])]
    check(stack, bitpix, {})
    check(np.sort(stack, axis=0), bitpix, {})


@pytest.mark.few(2)
@TYPES
@pytest.mark.parametrize("frames", [1, 2, 7, 200])
def test_extremes(bitpix, cards, frames):
    dtype = np.dtype(STORED[bitpix])
    if dtype.kind == "f":
        info = np.finfo(dtype)
        tiny = info.smallest_subnormal
        some = [info.max, info.min, tiny, -tiny, 0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny]
    else:
        info = np.iinfo(dtype)
        some = [info.min, info.max, info.min + 1, info.max - 1, 0, 7]
    rng = np.random.default_rng(frames)
    check(rng.choice(np.array(some, dtype), (frames, 64)), bitpix, cards)
    for value in some:
        check(np.full((frames, 3), value, dtype), bitpix, cards)


@pytest.mark.parametrize("bitpix", [8, 16, 32, 64, -32, -64])
@pytest.mark.parametrize("frames", [1, 2, 6, 300])
def test_all_missing_is_nan(bitpix, frames):
    blank = {"blank": 7} if bitpix > 0 else {}
    stack = np.full((frames, 600), 7 if bitpix > 0 else np.nan).astype(STORED[bitpix])
    stack[0, 300] = 3  # one value in the middle of nothing
    result, counts = median(stack, bitpix, blank)
    same(np.flatnonzero(~np.isnan(result)), [300])
    assert result[300] == 3
    assert counts is not None
    same(counts, (np.arange(600) == 300).astype(int))


@pytest.mark.parametrize(("bitpix", "offset"), [(64, None), (64, 2**63)])
@pytest.mark.parametrize("frames", [1, 3, 301])
def test_large_64_bit_integers_are_rounded_once(bitpix, offset, frames):
    rng = np.random.default_rng(3)
    stack = rng.integers(2**63 - 5000, 2**63 - 1, (frames, 50))
    cards = {"bzero": offset} if offset else {}
    middle = np.sort(stack, axis=0)[frames // 2]
    truth = np.array([float(int(v) + (offset or 0)) for v in middle])
    same(median(stack, bitpix, cards)[0], truth)


def test_it_is_the_median_of_numpy():
    """The truth that the other tests compare with is itself compared here."""
    for bitpix in STORED:
        stack = values(noise(bitpix, (50, 40)), blank=7 if bitpix > 0 else None)
        same(exact_median(stack), np.nanmedian(stack, axis=0))


def test_the_input_is_left_alone():
    for bitpix in STORED:
        stack = noise(bitpix, (9, 30)).astype(np.dtype(STORED[bitpix]).newbyteorder(">"))
        before = stack.tobytes()
        kernel.median(stack, PixelType(bitpix))
        assert stack.tobytes() == before


def test_threads_do_not_disturb_each_other():
    stacks = [noise(16, (21, 3000), seed, 0.2) for seed in range(6)]
    results = [None] * len(stacks)

    def work(i):
        for _ in range(5):
            results[i] = median(stacks[i], 16, {"blank": 7})[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(stacks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stack, result in zip(stacks, results, strict=True):
        same(result, exact_median(values(stack, blank=7)))
