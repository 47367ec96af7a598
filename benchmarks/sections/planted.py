"""Masters of made-up frames against the mean of their good values: what a rule costs and gains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import Bench
from report import Table

from pulsar_dask import combine
from pulsar_dask.kernels.defects import bad_lines, medians
from pulsar_dask.kernels.errors import errors
from pulsar_dask.kernels.noise import Noise, fit
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.telegraph import seen_of
from pulsar_dask.masters.errors import asked, needs

#: What a run is to be compared with.
AGAINST = "1.000: the mean of the values that were not hit."
Array = np.ndarray[Any, Any]
FRAMES = (3, 5, 10, 20, 50, 200)
#: Share of values that are hit, and the least of a hit in deviations; the largest is 1,000.
HITS = ((0.0, 10.0), (0.001, 10.0), (0.01, 10.0), (0.05, 10.0), (0.01, 2.0), (0.05, 2.0))
OURS = ("median", "minmax", "sigclip", "winsorized", "ccdclip")
SMALL, FULL = 4_000, 40_000


def astropy_clip(values: Array) -> Array:
    """`sigma_clip` with its defaults, and the mean of what is left."""
    from astropy.stats import sigma_clip

    return np.asarray(np.ma.mean(sigma_clip(values, sigma=3, axis=0), axis=0))


def ccdproc_clip(values: Array) -> Array:
    """As `ccdproc.Combiner.sigma_clipping` does by default: once, about the mean."""
    off = np.abs(values - values.mean(axis=0))
    return np.asarray(np.nanmean(np.where(off <= 3 * values.std(axis=0), values, np.nan), axis=0))


def mad_clip(values: Array) -> Array:
    """Once at 3 robust deviations of the pixel (BANZAI)."""
    off = np.abs(values - np.median(values, axis=0))
    mad = 1.4826 * np.median(off, axis=0)
    return np.asarray(np.nanmean(np.where(off <= 3 * mad, values, np.nan), axis=0))


PEERS: dict[str, Callable[[Array], Array]] = {
    "mean": lambda values: values.mean(axis=0),
    "astropy, 3 sigma": astropy_clip,
    "ccdproc, 3 sigma, once": ccdproc_clip,
    "MAD, 3 sigma (BANZAI)": mad_clip,
}


def planted(frames: int, share: float, least: float, pixels: int) -> tuple[Array, Array, Array]:
    """A dark of 20 electrons and 3 of read noise, in whole ADU: values, truth, what is good."""
    rng = np.random.default_rng([frames, int(1e4 * share), int(least)])
    truth = np.full(pixels, 520.0)
    values = rng.poisson(20, (frames, pixels)) + rng.normal(500, 3, (frames, pixels))
    values = np.rint(values)
    good = rng.random(values.shape) >= share
    hit = 10 ** rng.uniform(np.log10(least), 3, (~good).sum())
    values[~good] += np.rint(np.sqrt(29.0) * hit)
    return values, truth, good


def coarse(frames: int, step: float, noise: float, pixels: int) -> tuple[Array, Array, Array]:
    """Values in steps, whose truth lies anywhere between."""
    rng = np.random.default_rng([frames, int(step), int(10 * noise)])
    truth = 500 + step * rng.uniform(0, 5, pixels)
    values = np.rint(rng.normal(truth, noise, (frames, pixels)) / step) * step
    return values, truth, np.ones(values.shape, bool)


def quality(bench: Bench) -> Table:
    """Pixels of two levels, and bad columns: what is found of them, and what else is."""
    pixels, rows = FULL if bench.args.full else SMALL, []
    for frames in (20, 50):
        for share in (0.0, 0.01, 0.05):
            rng = np.random.default_rng([frames, int(1000 * share)])
            values = np.rint(rng.normal(500, 5, (frames, 2 * pixels)))
            on = rng.random((frames, pixels)) < rng.uniform(0.3, 0.7, pixels)
            values[:, :pixels] += 25 * on  # five noises
            hit = rng.random(values.shape) < share
            values[hit] += np.rint(5 * 10 ** rng.uniform(1, 3, hit.sum()))
            noise = Noise(25.0, 0.0, 0.0, 500.0, 25.0)
            _, two = seen_of(values.astype(">i2"), PixelType(16), noise, np.inf, compiled=True)
            found, wrong = two[:pixels].mean(), two[pixels:].mean()
            rows.append([f"{frames} frames, {share:.0%} hit", f"{found:.4f}", f"{wrong:.1e}"])
    found, wrong, tries = 0, 0, 100 if bench.args.full else 10
    for seed in range(tries):
        image = np.random.default_rng(seed).normal(0, 1, (1000, 400))
        wrong += len(bad_lines(medians(image), 1.0))
        image[:, 200] += 100 / np.sqrt(1000)
        image[:500, 300] += 100 / np.sqrt(1000)
        found += len({line.at for line in bad_lines(medians(image), 1.0)} & {200, 300})
    rows.append(["a column and a half one", f"{found / tries / 2:.4f}", f"{wrong} in {tries}"])
    return Table("Planted pixels of two levels", ["planted", "found", "others told"], rows)


def rms(off: Array) -> float:
    return float(np.sqrt(np.mean(off**2)))


def made_by(name: str, values: Array, grain: float, planes: tuple[str, ...]) -> dict[str, Array]:
    method: Any = combine.method(name)
    noise = None
    if name == "ccdclip":
        noise = fit(values[:, : max(500, 1_000_000 // len(values))].copy(), grain)
        method = method.knowing(noise, len(values))
    if hasattr(method, "grain"):
        method = combine.method(name, {**dict(method.parameters), "grain": grain})
    wanted = ("image", *needs(planes))
    made = dict(method.block(values.copy(), PixelType(-64), wanted, compiled=True))
    return made | (errors(made, **asked(made, method, noise, planes)) if noise and planes else {})


def row(name: str, cases: list[tuple[Array, Array, Array]], grains: list[float]) -> list[str]:
    cells = []
    for (values, truth, good), grain in zip(cases, grains, strict=True):
        told = (~good).sum(axis=0) < len(values) / 2
        with np.errstate(invalid="ignore"):
            ideal = rms((np.where(good, values, 0).sum(axis=0) / good.sum(axis=0) - truth)[told])
        peer = PEERS.get(name)
        image = peer(values) if peer else made_by(name, values, grain, ())["image"]
        ratio = rms((image - truth)[told]) / ideal
        cells.append(f"{ratio:.3f}" if ratio < 10 else f"{ratio:.0f}")
    return [name, *cells]


def tables(bench: Bench) -> list[Table]:
    pixels = FULL if bench.args.full else SMALL
    made = []
    for share, least in HITS:
        words = "no hits" if not share else f"{share:.1%} hit by {least:g} to 1,000 deviations"
        print(f"planted: {words}", file=sys.stderr)
        cases = [planted(n, share, least, pixels) for n in FRAMES]
        rows = [row(name, cases, [1.0] * len(cases)) for name in (*OURS, *PEERS)]
        columns = [f"noise in that of the ideal; {words}", *(f"{n} frames" for n in FRAMES)]
        one = Table(f"Planted darks of {pixels} pixels, {words}", columns, rows)
        errors_ = ["ccdclip: its error in the scatter"]
        for values, truth, good in cases:
            told = (~good).sum(axis=0) < len(values) / 2
            found = made_by("ccdclip", values, 1.0, ("uncertainty",))
            scatter = rms((found["image"] - truth)[told])
            errors_.append(f"{float(np.mean(found['uncertainty'][told])) / scatter:.3f}")
        one.rows.append(errors_)
        made.append(one)
    steps = [(1.0, 0.3), (1.0, 0.6), (1.0, 1.2), (16.0, 12.8), (16.0, 19.2)]
    cases = [coarse(20, step, noise, pixels) for step, noise in steps]
    columns = ["20 frames in steps", *(f"step {s:g}, noise {n:g}" for s, n in steps)]
    rows = [row(name, cases, [step for step, _ in steps]) for name in (*OURS, *PEERS)]
    made.append(quality(bench))
    made.append(Table(f"Planted frames in steps, {pixels} pixels", columns, rows))
    return made
