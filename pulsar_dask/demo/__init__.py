"""A synthetic night: frames that are made from a known sensor and known optics.

``python -m pulsar_dask.demo [FOLDER]`` runs the tools on them and checks what comes of it.
"""

from __future__ import annotations

import os
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
SKIES = {"L": 900.0, "R": 600.0, "Ha": 120.0}  # of the lights, in ADU
HOT_PIXELS = 500
READ_NOISE = 8.0  # ADU
ELECTRONS = 0.8  # per ADU
#: What a folder of the demo holds, so that it is not taken for the user's.
README = "README.txt"
#: The page that shows its masters.
REPORT = "report.html"


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
    for name in ("", "darks", "flatdarks", "flats", "lights"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / README).write_text(
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
    for filter_, level in SKIES.items():
        for i, seconds in enumerate(DARKS, 1):
            name = folder / "lights" / f"sky_{filter_}_{i:04d}.fit"
            yield Exposure(name, "Light Frame", seconds, at(seconds), filter_, level)


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
