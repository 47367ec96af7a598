"""Stacks of a made-up sensor, clean and with a fault planted: another one than that on which the
limits of `masters.judge` were tuned."""

from __future__ import annotations

import numpy as np

from pulsar_dask.masters.judge import judge
from pulsar_dask.masters.measured import measure

KINDS = ("bias", "cooled", "uncooled", "warmup", "drift", "flat")


def clean(rng, kind, n, size):
    """Values in ADU, and the grain: 12, 14 and 16 bits, shifted or not."""
    bits = int(rng.choice([12, 14, 16]))
    shift = 16 - bits if rng.random() < 0.5 else 0
    gain, noise = rng.choice([0.3, 0.6, 1.0, 2.5]), rng.uniform(1.2, 9)
    y, x = np.mgrid[:size, :size] / size - 0.5
    pedestal, full = rng.uniform(150, 800), (1 << bits) - 1
    if kind == "flat":
        shape = (1 - rng.uniform(0, 1) * (x**2 + y**2)) * rng.normal(1, 0.01, (size, size))
        lamp = np.linspace(1, 1 + rng.uniform(-0.045, 0.045), n) * rng.normal(1, 0.002, n)
        level = rng.uniform(0.2, 0.65) * full * gain
        electrons = [rng.poisson(level * f * shape) for f in lamp]
        fixed = 0.0
    else:
        warm = {
            "bias": np.zeros(n),
            "cooled": rng.normal(0, 0.05, n),
            "uncooled": np.cumsum(rng.normal(0, 0.25, n)),
            "warmup": 6 * (1 - np.exp(-np.arange(n) / rng.uniform(2, n / 2))),
            "drift": np.linspace(-4, 4, n) + rng.normal(0, 0.1, n),
        }[kind]
        rate = rng.gamma(4, 0.25, (size, size))
        hot = rng.random((size, size)) < 10 ** rng.uniform(-4, -1.7)
        rate += np.where(hot, rng.exponential(60, (size, size)), 0)
        rate += rng.uniform(0, 5) * np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) * 8)  # glow
        rate *= {"bias": 0.0, "cooled": rng.uniform(0, 8)}.get(kind, rng.uniform(0, 40))
        electrons = [rng.poisson(rate * 2 ** (t / 6)).astype(float) for t in warm]
        for image in electrons:
            struck = rng.random(image.shape) < rng.uniform(0, 3e-4)
            image += np.where(struck, rng.exponential(2000, image.shape), 0)
        fixed = rng.normal(0, rng.uniform(0, 2), (size, size))
    stack = np.array([(e + rng.normal(0, noise, e.shape)) / gain + pedestal for e in electrons])
    return np.clip(np.rint(stack + fixed), 0, full) * (1 << shift), float(1 << shift), pedestal


def found(stack, *, flat=False, grain=1.0, pedestal=0.0):
    """What is said of a stack of frames in order of time."""
    levels = None
    if flat:
        stack = stack - pedestal * grain
        levels = np.median(stack.reshape(len(stack), -1), axis=1)
        stack = stack * (5000 / levels)[:, None, None]
        grain = 0.0
    n, size = len(stack), stack.shape[-1]
    rows = ((np.arange(64) + 0.5) * size / 64).astype(int)
    low, right = rows >= size / 2, np.arange(size) >= size / 2
    quadrant = (2 * low[:, None] + right).ravel()
    master = np.median(stack, axis=0)[rows].ravel()
    frames = (image[rows].ravel() for image in stack)
    measured = measure(frames, n, size, master, quadrant, flat=flat, grain=grain)
    return judge(measured, flat=flat, levels=levels, grain=grain)


def alarms(kind, seed, n=10, size=64):
    """What is said of a clean stack, notes aside."""
    stack, grain, pedestal = clean(np.random.default_rng([seed, *map(ord, kind)]), kind, n, size)
    said = found(stack, flat=kind == "flat", grain=grain, pedestal=pedestal)
    return [f for f in said if not f.note]
