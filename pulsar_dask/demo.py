"""``python -m pulsar_dask.demo [FOLDER]``: the guide's workflow on a synthetic night.

Makes the frames of a small night from a known sensor and known optics, runs the commands
of the guide's Complete Workflow Example on them as a user would, and compares what they
made with what the frames were made from. Exits with 1 where that does not agree.
"""

from __future__ import annotations

import argparse
import glob
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

Array = np.ndarray[Any, Any]

SEED = 20240520
HEIGHT, WIDTH = 700, 1000
FRAMES = 20
DARKS = (120, 300)  # s
FLAT_EXPOSURE = 2
FLATS = {"L": 22000.0, "R": 19000.0, "Ha": 17000.0}  # level in ADU, about 30 % of full scale
FLAT_FILES = {"L": "flat_l.fit", "R": "flat_r.fit", "Ha": "flat_h.fit"}
TARGET = 5000
HOT_PIXELS = 500
LIST_LENGTH = 10_000
READ_NOISE = 8.0  # ADU
ELECTRONS = 0.8  # per ADU
#: Noise of a median of frames, as a share of one frame's.
MEDIAN_NOISE = np.sqrt(np.pi / 2 / FRAMES)

_README = "README.txt"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pulsar_dask.demo",
        description="Make a synthetic night, run the whole workflow on it, check the result.",
    )
    parser.add_argument("folder", nargs="?", default="demo", help="[default: demo]")
    folder = Path(parser.parse_args(arguments).folder)

    try:
        return run(folder)
    except OSError as error:
        print(f"{error.filename or folder}: {error.strerror or error}", file=sys.stderr)
        return 1


def run(folder: Path) -> int:
    """Make, run and check; returns the exit status."""
    if folder.is_dir() and not (folder / _README).exists() and any(folder.iterdir()):
        print(f"{folder}: holds files that are not the demo's; name a new folder", file=sys.stderr)
        return 1
    began = time.perf_counter()
    sensor = make_sensor()
    frames = make_night(folder, sensor)
    layout = {
        "bias0001.fit ...": f"{FRAMES} bias frames",
        "darks/": f"{FRAMES} darks each of 120 s and 300 s, and a light frame",
        "flatdarks/": f"{FRAMES} darks of {FLAT_EXPOSURE} s, the exposure of the flats",
        "flats/": f"{FRAMES} flats each of L, R and Ha, and a light frame",
        "all:": f"{HOT_PIXELS} hot pixels, vignetting, dust that differs from filter to filter",
    }
    print(
        f"A synthetic night in {folder}: {frames} frames of {WIDTH} x {HEIGHT} pixels, "
        f"made in {time.perf_counter() - began:.1f} s (seed {SEED})"
    )
    for where, what in layout.items():
        print(f"  {where:<18}{what}")
    status = run_workflow(folder)
    if status:
        print(f"\nThe command above failed with exit status {status}.")
        return 1
    return report(check(folder, sensor))


# --- what the frames are made from ---------------------------------------------------------


@dataclass(frozen=True)
class Sensor:
    """The truth."""

    bias: Array
    """ADU."""
    dark: Array
    """Dark current in ADU/s, hot pixels included."""
    hot: Array
    """Rows of (y, x)."""
    flats: dict[str, Array]
    """Optical response by filter, with median 1."""


def make_sensor() -> Sensor:
    """A sensor with column and row structure, glow in a corner and hot pixels."""
    rng = np.random.default_rng(SEED)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype("f4")
    bias = 500 + 0.02 * y + 4 * rng.standard_normal(WIDTH) + 2 * rng.standard_normal((HEIGHT, 1))

    dark = 0.05 + 0.4 * np.exp(-np.hypot(WIDTH - x, HEIGHT - y) / 60)
    places = rng.choice(HEIGHT * WIDTH, HOT_PIXELS, replace=False)
    hot = np.stack(np.unravel_index(places, dark.shape), axis=1)
    dark[tuple(hot.T)] += np.exp(rng.uniform(np.log(2), np.log(150), HOT_PIXELS))

    pixels = 1 + 0.004 * rng.standard_normal((HEIGHT, WIDTH))
    window = _dust(rng, x, y, count=3, radius=14)  # on the sensor's window: in every filter
    flats = {}
    for name, vignetting in zip(FLATS, (0.22, 0.26, 0.35), strict=True):
        distance = np.hypot(x - 0.48 * WIDTH, y - 0.53 * HEIGHT) / (WIDTH / 2)
        flat = pixels * window * (1 - vignetting * distance**2)
        flat *= _dust(rng, x, y, count=5, radius=30)
        flats[name] = (flat / np.median(flat)).astype("f4")
    return Sensor(bias.astype("f4"), dark.astype("f4"), hot, flats)


def _dust(rng: np.random.Generator, x: Array, y: Array, *, count: int, radius: float) -> Array:
    """The ring-shaped shadows of dust grains in a beam with a central obstruction."""
    shadow = np.ones((HEIGHT, WIDTH), "f4")
    for _ in range(count):
        distance = np.hypot(x - rng.uniform(0, WIDTH), y - rng.uniform(0, HEIGHT))
        shadow -= rng.uniform(0.03, 0.12) * np.exp(-(((distance - radius) / (0.3 * radius)) ** 2))
    return shadow


# --- the night -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Exposure:
    """A frame to be made."""

    path: Path
    kind: str
    seconds: float
    start: datetime
    filter: str | None = None
    level: float = 0.0
    """Of the light, in ADU."""


def make_night(folder: Path, sensor: Sensor) -> int:
    """Write all frames of the night; returns how many."""
    for name in ("", "darks", "flatdarks", "flats"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / _README).write_text(
        "Synthetic frames and what was made of them by python -m pulsar_dask.demo.\n"
        "This folder can be deleted.\n"
    )
    exposures = list(_exposures(folder))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # NumPy leaves the GIL
        list(pool.map(lambda i: _write(exposures[i], sensor, seed=i), range(len(exposures))))
    return len(exposures)


def _exposures(folder: Path) -> Iterator[Exposure]:
    start = datetime(2024, 5, 20, 19, 0, 0)

    def at(seconds: float) -> datetime:
        nonlocal start
        start += timedelta(seconds=seconds + 2)
        return start - timedelta(seconds=seconds + 2)

    for i in range(1, FRAMES + 1):
        yield Exposure(folder / f"bias{i:04d}.fit", "Bias Frame", 0.001, at(0.001))
    for filter_, level in FLATS.items():
        for i in range(1, FRAMES + 1):
            yield Exposure(
                folder / "flats" / f"flat_{filter_}_{i:04d}.fit",
                "Flat Frame",
                FLAT_EXPOSURE,
                at(FLAT_EXPOSURE),
                filter_,
                level * (1.1 - 0.01 * i),  # the twilight fades
            )
    for place in (folder / "flats", folder / "darks"):
        name = place / "light_L_0001.fit"
        yield Exposure(name, "Light Frame", 120.0, at(120.0), "L", 900.0)
    for seconds in (*DARKS, FLAT_EXPOSURE):
        place = folder / ("darks" if seconds in DARKS else "flatdarks")
        for i in range(1, FRAMES + 1):
            name = place / f"dark_{seconds}s_{i:04d}.fit"
            yield Exposure(name, "Dark Frame", seconds, at(seconds))


def _write(exposure: Exposure, sensor: Sensor, seed: int) -> None:
    rng = np.random.default_rng([SEED, seed])  # each its own: the order of threads is free
    signal = sensor.dark * np.float32(exposure.seconds)
    if exposure.filter:
        signal += sensor.flats[exposure.filter] * np.float32(exposure.level)
    noise = rng.standard_normal(signal.shape, dtype="f4")
    noise *= np.sqrt(signal / np.float32(ELECTRONS) + np.float32(READ_NOISE**2))
    signal += noise
    signal += sensor.bias
    hits = rng.poisson(exposure.seconds / 10)  # of cosmic rays, which the median must reject
    signal[rng.integers(0, HEIGHT, hits), rng.integers(0, WIDTH, hits)] += 5000
    pixels = np.clip(np.rint(signal), 0, 65535).astype("u2")

    header = fits.Header()
    header["IMAGETYP"] = exposure.kind
    header["EXPTIME"] = (exposure.seconds, "[s]")
    if exposure.filter:
        header["FILTER"] = exposure.filter
    header["DATE-OBS"] = (exposure.start.isoformat(timespec="milliseconds"), "start, UTC")
    header["CCD-TEMP"] = (round(-10 + 0.1 * rng.uniform(-1, 1), 2), "[degC]")
    header["GAIN"] = 100
    header["OFFSET"] = 50
    header["EGAIN"] = (ELECTRONS, "electrons per ADU")
    header["XBINNING"] = 1
    header["YBINNING"] = 1
    header["INSTRUME"] = "Synthetic camera"
    fits.PrimaryHDU(pixels, header).writeto(exposure.path, overwrite=True)


# --- the workflow --------------------------------------------------------------------------


def run_workflow(folder: Path) -> int:
    """The guide's Complete Workflow Example; returns the first exit status that is not 0.

    The guide takes the dark of the flats' exposure as made. It is made here, without a bias:
    the flats hold the bias too, and makeflat subtracts nothing else from them.
    """
    steps = (
        ("Step 1: Create master bias", "med bias*.fit bias.fit"),
        ("Step 2: Create master darks (also creates cosme lists)", "makedark darks/ bias.fit"),
        ("Before step 3: the flats' own dark, with the bias left in it", "makedark flatdarks/"),
        ("Step 3: Create master flats", "makeflat flats/"),
    )
    print(f"\n$ cd {folder}")
    for title, line in steps:
        print(f"\n# {title}\n$ {line}", flush=True)
        # As a shell does it, on every system: a mask becomes the files that it matches. As a
        # module, because the folder of the scripts need not be on PATH.
        words = [w for word in line.split() for w in _expanded(word, folder)]
        command = [sys.executable, "-m", "pulsar_dask", *words]
        done = subprocess.run(command, cwd=folder, stderr=subprocess.STDOUT)
        if done.returncode:
            return done.returncode
    print("\n# Step 4: Verify results\n$ ls *.fit *.lst")
    names = sorted(p.name for p in folder.iterdir() if p.suffix in (".fit", ".lst"))
    frames = [n for n in names if n.startswith("bias0")]
    line = f"{frames[0]} ... {frames[-1]} " + " ".join(n for n in names if n not in frames)
    print(textwrap.fill(line, 80))
    return 0


def _expanded(word: str, folder: Path) -> list[str]:
    if not glob.has_magic(word):
        return [word]
    return sorted(p.name for p in folder.glob(word))


# --- the check -----------------------------------------------------------------------------


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


def report(checks: Iterator[Check]) -> int:
    """Print a table; returns the exit status."""
    print(f"\n{'Checked against the truth':<46}{'found':>12}{'expected':>12}")
    failed = 0
    for item in checks:
        failed += not item.passed
        result = "ok" if item.passed else "FAILED"
        print(f"{item.what:<46}{item.found:>12}{item.expected:>12}  {result}")
    print(f"\n{failed} checks failed" if failed else "\nAll checks passed")
    return 1 if failed else 0


def _read(path: Path) -> Array:
    return np.asarray(fits.getdata(path), "f8")


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype="f8"))))


if __name__ == "__main__":
    sys.exit(main())
