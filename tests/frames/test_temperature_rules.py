"""Temperatures that tell darks apart."""

from __future__ import annotations

import random

from pulsar_dask.frames.temperature import split


def sizes(frame, *pairs):
    frames = []
    for measured, point in pairs:
        cards = {"CCD-TEMP": measured, "SET-TEMP": point}
        frames.append(frame(**{k: v for k, v in cards.items() if v is not None}))
    groups, out = split(frames)
    return [(g.name, len(g.frames)) for g in groups], len(out)


def test_rules(frame):
    assert sizes(frame, (-10, -10), (-9.5, -10), (0, -10)) == ([("-10C", 2)], 1)
    assert sizes(frame, (-10, -10), (-12, None), (-20, -20)) == ([("-20C", 1), ("-10C", 2)], 0)
    assert sizes(frame, (15, -10), (16, -10)) == ([("16C", 2)], 0)
    assert sizes(frame, (None, -10), (None, -10.4)) == ([("-10.4C", 2)], 0)
    assert sizes(frame, *[(t, -10) for t in (-13, -7)], (-6.9, -10)) == ([("-10C", 2)], 1)


def test_a_camera_without_set_points(frame):
    assert sizes(frame, *[(t, None) for t in range(10, 30)]) == ([("20C", 20)], 0)
    assert sizes(frame, *[(10, None)] * 5, *[(20, None)] * 5) == ([("10C", 5), ("20C", 5)], 0)
    assert sizes(frame, *[(10, None)] * 20, (20, None)) == ([("10C", 21)], 0)


def test_frames_that_hold_nothing_join_the_nearest_on_either_side(frame):
    pairs = [(-10, -10), (-12.5, None), (-7.5, None), (-30, None)]
    assert sizes(frame, *pairs) == ([("-30C", 1), ("-10C", 3)], 0)


def test_every_frame_once_whatever_the_order(frame):
    draw = random.Random(7)
    for _ in range(200):
        frames = []
        for _ in range(draw.randint(1, 20)):
            cards = {"CCD-TEMP": draw.uniform(-25, 5), "SET-TEMP": draw.choice((-20, -10, -10.5))}
            frames.append(frame(**{k: v for k, v in cards.items() if draw.random() < 0.7}))
        groups, out = split(frames)
        paths = [f.path for g in groups for f in g.frames] + [f.path for f, _ in out]
        assert sorted(paths) == sorted(f.path for f in frames)
        known = {g.name: {f.path for f in g.frames} for g in groups}
        draw.shuffle(frames)
        assert {g.name: {f.path for f in g.frames} for g in split(frames)[0]} == known
