"""Clean stacks of another made-up camera than `sensor`, from another model: read-out chains rather
than distributions. What is random in it is what data sheets and dark-room measurements of CMOS and
CCD cameras show: rows and columns of their own offset, bands, pixels whose read noise has a long
tail, telegraph pixels, a doubling temperature of each pixel, tracks of particles, a black level
that wanders, dust and a lamp that warms up."""

from __future__ import annotations

import numpy as np
from sensor import found

KINDS = ("offset", "held", "ambient", "cooling down", "warming up", "panel", "colour panel")


def temperatures(rng, kind, n):
    """Degrees from the set point, or from where the night began."""
    time = np.arange(n)
    if kind in ("ambient",):
        slow = rng.uniform(-3, 1) * time / n
        return slow + rng.uniform(0, 0.4) * np.sin(time / rng.uniform(1, 9) + rng.uniform(0, 6))
    if kind == "warming up":
        return rng.uniform(2, 9) * (1 - np.exp(-time / rng.uniform(1.5, n)))
    if kind == "cooling down":
        return rng.uniform(0.5, 3) * np.exp(-time / rng.uniform(1, 4))
    swing = rng.uniform(0, 0.15)  # of the regulator
    return swing * np.sin(2 * np.pi * time / rng.uniform(3, 8)) + rng.normal(0, 0.02, n)


def chain(rng, size):
    """What the electronics add, in electrons: a function that makes it for one frame."""
    noise = rng.uniform(1.0, 8) * np.exp(
        np.abs(rng.normal(0, rng.uniform(0.05, 0.3), (size, size)))
    )
    columns = rng.normal(0, rng.uniform(0, 1.5), size)
    row, band = rng.uniform(0, 0.25), rng.uniform(0, 0.15)
    period = rng.uniform(5, 40)
    telegraph = rng.random((size, size)) < rng.choice([0, 1e-3, 5e-3])
    step, duty = rng.uniform(10, 80), rng.uniform(0.1, 0.5)
    usual = float(np.median(noise))

    def made():
        y = np.arange(size)[:, None]
        image = rng.normal(0, 1, (size, size)) * noise + columns
        image += rng.normal(0, row * usual, (size, 1))
        image += band * usual * np.sin(2 * np.pi * y / period + rng.uniform(0, 6.3))
        image += np.where(telegraph & (rng.random((size, size)) < duty), step, 0)
        return image + rng.normal(0, 0.03 * usual)  # the black level

    return made


def particles(rng, image, rate):
    """Tracks of charge, some pixels long."""
    size = len(image)
    for _ in range(rng.poisson(rate)):
        y, x, angle = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0, 2 * np.pi)
        for s in range(int(rng.geometric(0.3))):
            i, j = int(y + s * np.sin(angle)), int(x + s * np.cos(angle))
            if 0 <= i < size and 0 <= j < size:
                image[i, j] += rng.gamma(2, 600)


def clean(rng, kind, n, size):
    """Values in ADU, the grain, and the black level."""
    bits = int(rng.choice([12, 14, 16]))
    shift = int(rng.choice([0, 16 - bits]))
    top = (1 << bits) - 1
    well = rng.choice([15_000, 50_000, 100_000])
    gain = well / top * rng.choice([0.25, 1.0])  # electrons an ADU
    black = int(rng.uniform(0.004, 0.03) * top) + 8
    electronics = chain(rng, size)
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    frames = []
    if kind in ("panel", "colour panel"):
        light = (1 + (x**2 + y**2) * rng.uniform(0.1, 1.2)) ** -2  # the fourth power of a cosine
        for _ in range(rng.poisson(3)):  # dust
            r = np.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5))
            light = light * (1 - rng.uniform(0, 0.1) * (np.abs(r - 0.07) < 0.03))
        light = light * rng.normal(1, rng.uniform(0.003, 0.012), (size, size))
        if kind == "colour panel":
            light = light * np.tile(rng.uniform(0.4, 1, (2, 2)), (size // 2, size // 2))
        light /= np.median(light)
        time = np.arange(n)
        lamp = 1 + rng.uniform(0, 0.02) * np.exp(-time / rng.uniform(1, n))
        lamp = lamp * (1 + rng.uniform(0, 0.005) * np.sin(time)) * rng.normal(1, 0.001, n)
        level = rng.uniform(0.25, 0.6) * top * gain
        expected = [level * f * light for f in lamp]
    else:
        long = {"offset": 0.0, "held": rng.uniform(0, 10)}.get(kind, rng.uniform(0, 60))
        rate = rng.lognormal(0, 0.3, (size, size))
        hot = rng.random((size, size)) < 10 ** rng.uniform(-4, -2)
        rate = rate + hot * rng.pareto(1.2, (size, size)) * 30
        glow = rng.uniform(0, 3) * np.exp(-np.hypot(x + 0.5, y - 0.5) * rng.uniform(4, 12))
        double = rng.normal(6.2, 0.3, (size, size))
        warm = temperatures(rng, kind, n)
        expected = [long * (np.minimum(rate, 1e4) * 2 ** (t / double) + glow) for t in warm]
    for mean in expected:
        image = rng.poisson(mean) + electronics()
        if kind not in ("panel", "colour panel", "offset"):
            particles(rng, image, rng.uniform(0, 1.5))
        frames.append(np.clip(np.rint(image / gain + black), 0, top))
    return np.array(frames) * (1 << shift), float(1 << shift), black


def alarms(kind, seed, n=10, size=64):
    """What is said of a clean stack, notes aside."""
    stack, grain, black = clean(np.random.default_rng([seed, *map(ord, kind)]), kind, n, size)
    flat = "panel" in kind
    if kind == "colour panel":  # each colour is brought to the same ratio, as `makeflat` does
        stack = stack - black * grain
        for phase in np.ndindex(2, 2):
            part = stack[:, phase[0] :: 2, phase[1] :: 2]
            part *= (np.median(part) / np.median(part, axis=(1, 2)))[:, None, None]
        black = 0
    said = found(stack, flat=flat, grain=grain, pedestal=black)
    return [f for f in said if not f.note]
