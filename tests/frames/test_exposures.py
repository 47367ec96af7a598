"""Exposures that are the same."""

from __future__ import annotations

import itertools
import random

from pulsar_dask.frames.exposures import by_exposure, stems


def test_never_chained_whatever_the_order(frame):
    draw = random.Random(1)
    for _ in range(200):
        base = 10 ** draw.uniform(-4, 3)
        frames = [frame(EXPTIME=base * draw.uniform(1, 1.02)) for _ in range(draw.randint(1, 12))]
        groups = [[f.exposure for f in some] for some in by_exposure(frames)]
        assert sorted(t for some in groups for t in some) == sorted(f.exposure for f in frames)
        for some in groups:
            assert max(some) - min(some) <= min(some) * 0.01 + 2e-9
            assert max(some) - min(some) <= max(0.001, 0.001 * min(some)) + 2e-9
        for one, other in itertools.pairwise(groups):
            room = min(0.01 * min(one), max(0.001, 0.001 * min(one)))
            assert min(other) - min(one) > room
        draw.shuffle(frames)
        assert [[f.exposure for f in some] for some in by_exposure(frames)] == groups


def test_names():
    assert stems([300.0011, 0.5, 1.5, 1e-4, 0.0]) == ["300s", "500ms", "1500ms", "100us", "0s"]
    assert stems([119.9, 120.1]) == ["119900ms", "120100ms"]
