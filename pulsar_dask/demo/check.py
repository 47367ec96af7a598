"""Masters and lists of the demo, compared with the sensor that its frames were made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from pulsar_dask.demo import (
    DARKS,
    ELECTRONS,
    FLAT_EXPOSURE,
    FLATS,
    FRAMES,
    READ_NOISE,
    SKIES,
    Array,
    Sensor,
)

FLAT_FILES = {"L": "flat_l.fit", "R": "flat_r.fit", "Ha": "flat_h.fit"}
TARGET = 5000  # ADU, to which makeflat scales
LIST_LENGTH = 10_000
#: Pixels of a side of the blocks in which lights are compared: what masters leave in is larger.
BLOCK = 50
#: Noise of a median of frames, as a share of one frame's.
MEDIAN_NOISE = np.sqrt(np.pi / 2 / FRAMES)


@dataclass(frozen=True)
class Check:
    """A value that was found beside what it must be."""

    what: str
    found: str
    expected: str
    passed: bool


def check(folder: Path, sensor: Sensor) -> Iterator[Check]:
    """Compare masters and lists with the sensor that made the frames.

    What is left of a master when the truth is taken away must be the noise of the median
    and nothing else, so it may not be more than a fifth above it.
    """
    bias_noise = MEDIAN_NOISE * READ_NOISE
    bias = _read(folder / "bias.fit")
    yield _residual("bias.fit: rms from the true bias", bias - sensor.bias, bias_noise, "ADU")

    for seconds in (*DARKS, FLAT_EXPOSURE):
        # The bias is out of the darks of step 2, with its noise in its place.
        true = sensor.dark * seconds + (0 if seconds in DARKS else sensor.bias)
        noise = MEDIAN_NOISE * np.sqrt(READ_NOISE**2 + sensor.dark * seconds / ELECTRONS)
        if seconds in DARKS:
            noise = np.hypot(noise, bias_noise)
        residual = _read(folder / f"dark{seconds}s.fit") - true
        cold = np.ones(true.shape, bool)
        cold[tuple(sensor.hot.T)] = False  # their own noise would hide the others'
        what = f"dark{seconds}s.fit: rms from the true dark"
        yield _residual(what, residual[cold], _rms(noise[cold]), "ADU")
        yield _hot_pixels(folder / f"cosme{seconds}s.lst", sensor, true, _rms(noise[cold]))

    for filter_, true in sensor.flats.items():
        name = FLAT_FILES[filter_]
        level = true * FLATS[filter_]
        noise = MEDIAN_NOISE * np.sqrt(READ_NOISE**2 + level / ELECTRONS) / level
        residual = _read(folder / name) / (TARGET * true) - 1
        yield _residual(f"{name}: rms from the true flat", 100 * residual, 100 * _rms(noise), "%")

    masters = ["bias.fit", *(f"dark{s}s.fit" for s in DARKS), *FLAT_FILES.values()]
    counts = {fits.getval(folder / name, "NCOMBINE") for name in masters}
    yield Check(
        "frames in each master (no light frame)",
        ", ".join(map(str, sorted(counts))),
        str(FRAMES),
        counts == {FRAMES},
    )

    for filter_, sky in SKIES.items():
        yield from _lights(folder / "calibrated", sensor, filter_, sky)


def _lights(folder: Path, sensor: Sensor, filter_: str, level: float) -> Iterator[Check]:
    """Calibrated lights are the sky: even, at the level at which it was made."""
    flat = sensor.flats[filter_]
    levels, blocks, noises = [], [], []
    for seconds in DARKS:
        light = _read(folder / f"out_exp{seconds}_{filter_}_1.fit") - level
        electrons = flat * level + sensor.dark * seconds
        noise = np.sqrt(electrons / ELECTRONS + READ_NOISE**2) / flat
        light[abs(light) > 5 * noise] = np.nan  # cosmic rays
        light[tuple(sensor.hot.T)] = np.nan
        rows, columns = (n // BLOCK for n in light.shape)
        cut = light[: rows * BLOCK, : columns * BLOCK]
        each = cut.reshape(rows, BLOCK, columns, BLOCK)
        x, y = np.loadtxt(folder.parent / f"cosme{seconds}s.lst", int, usecols=(1, 2), unpack=True)
        listed = np.zeros(light.shape, bool)
        listed[y, x] = True
        shares = listed[: rows * BLOCK, : columns * BLOCK].reshape(each.shape).mean(axis=(1, 3))
        levels.append(np.nanmean(light))
        # in the glow of the corner a list takes what noise made bright: what is left lies low
        blocks.append(np.nanmean(each, axis=(1, 3))[shares < 0.1])
        noises.append(_rms(noise) / BLOCK)
    mean = float(np.mean(levels))
    most = 1 / (6 * ELECTRONS)  # ADU: what the skewness of a median may make
    yield Check(
        f"lights of {filter_}: level of the sky",
        f"{level + mean:.2f} ADU",
        f"{level:.2f} ADU",
        abs(mean) < most,
    )
    what = f"lights of {filter_}: rms of blocks of {BLOCK} x {BLOCK}"
    yield _residual(what, np.concatenate(blocks), _rms(np.array(noises)), "ADU")


def _residual(what: str, residual: Array, expected: float, unit: str) -> Check:
    found = _rms(residual)
    digits = 2 if unit == "ADU" else 3
    return Check(
        what, f"{found:.{digits}f} {unit}", f"{expected:.{digits}f} {unit}", found < 1.2 * expected
    )


def _hot_pixels(path: Path, sensor: Sensor, true: Array, noise: float) -> Check:
    """A list holds each planted pixel that noise cannot keep off it, the brightest first."""
    x, y = np.loadtxt(path, dtype=int, usecols=(1, 2), unpack=True)
    listed = list(zip(y.tolist(), x.tolist(), strict=True))
    hot = tuple(sensor.hot.T)
    least = np.partition(true.ravel(), -LIST_LENGTH)[-LIST_LENGTH] + 5 * noise
    planted = {(int(a), int(b)) for a, b in sensor.hot[true[hot] > least]}
    found = len(planted & set(listed))
    return Check(
        f"{path.name}: planted hot pixels in the list",
        str(found),
        str(len(planted)),
        len(listed) == LIST_LENGTH and found == len(planted) and planted >= set(listed[:100]),
    )


def report(checks: Iterator[Check], page: Path) -> int:
    """Print a table, and where the report lies; returns the exit status."""
    print(f"\n{'Checked against the truth':<46}{'found':>12}{'expected':>12}")
    failed = 0
    for item in checks:
        failed += not item.passed
        result = "ok" if item.passed else "FAILED"
        print(f"{item.what:<46}{item.found:>12}{item.expected:>12}  {result}")
    print(f"\n{failed} checks failed" if failed else "\nAll checks passed")
    if not failed:
        print(f"To look at: open {page} in a browser")
    return 1 if failed else 0


def _read(path: Path) -> Array:
    return np.asarray(fits.getdata(path), "f8")


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype="f8"))))
