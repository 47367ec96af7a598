"""The median kernel against its alternatives: ``python benchmarks/kernels.py``.

One thread, on noise with outliers, in ns for each pixel and frame; best of several calls.
Ours reads the pixels as they lie in a FITS file (big-endian) and gives float64. The others
get them in native order (and as floats, where they take nothing else) for nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pulsar_dask.kernels import median
from pulsar_dask.kernels.pixels import PixelType

Array = npt.NDArray[Any]
BITPIX = {"uint8": 8, "int16": 16, "int32": 32, "int64": 64, "float32": -32, "float64": -64}
FORCED = {"network": 10**6, "bisection": 0}
"""Frames up to which the network is used: always, never."""


def main() -> None:
    args = arguments()
    others = alternatives()
    columns = ["type", "frames", "ours", *FORCED, *others, "same"]
    print("| " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) - 1))
    for name in args.types:
        for frames in args.frames:
            print("| " + " | ".join(row(name, frames, others, args)) + " |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--types", nargs="+", choices=BITPIX, default=list(BITPIX))
    parser.add_argument("--frames", nargs="+", type=int, default=[5, 20, 50, 200, 400])
    parser.add_argument("--values", type=int, default=4_000_000, help="frames x pixels")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--network-up-to", type=int, default=400, help="else building it is slow")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def row(
    name: str,
    frames: int,
    others: dict[str, Callable[[Array], Array]],
    args: argparse.Namespace,
) -> list[str]:
    """One line of the table."""
    values = noise(name, (frames, max(1, args.values // frames)), args.seed)
    pixels = PixelType(BITPIX[name])
    stored = values.astype(pixels.stored)
    expected = np.median(values.astype(float) if name != "int64" else values, axis=0)
    same = True
    cells = []

    def ours() -> Array:
        return median.median(stored, pixels)[0]

    kept = median.NETWORK_FRAMES
    for limit in (None, *FORCED.values()):
        if limit and frames > args.network_up_to:
            cells.append("")
            continue
        median.NETWORK_FRAMES = kept if limit is None else dict.fromkeys(kept, limit)
        same &= bool(np.array_equal(ours(), expected))  # and compiles
        cells.append(cost(ours, values.size, args.repeat))
    median.NETWORK_FRAMES = kept
    for function in others.values():
        function(values)  # what compiles does so now
        cells.append(cost(lambda f=function: f(values), values.size, args.repeat))  # type: ignore[misc]
    return [name, str(frames), *cells, "yes" if same else "NO"]


def cost(call: Callable[[], Array], size: int, repeat: int) -> str:
    """ns for each value, of the best call."""
    best = min(timed(call) for _ in range(repeat))
    return f"{best / size * 1e9:.2f}"


def timed(call: Callable[[], Array]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def noise(name: str, shape: tuple[int, int], seed: int) -> Array:
    """A dark's noise around a level of each pixel, one value in a thousand far off."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(name)
    level, spread = (100, 6) if dtype.itemsize == 1 else (1000, 12)
    values = level + spread * rng.standard_normal(shape) + rng.exponential(spread, shape[1])
    values[rng.random(shape) < 0.001] = 250 if dtype.itemsize == 1 else 30_000
    return np.ascontiguousarray((np.rint(values) if dtype.kind != "f" else values).astype(dtype))


def alternatives() -> dict[str, Callable[[Array], Array]]:
    """What else is installed."""
    found: dict[str, Callable[[Array], Array]] = {"numpy": lambda x: np.median(x, axis=0)}
    try:
        import bottleneck

        found["bottleneck"] = lambda x: bottleneck.median(x, axis=0)
    except ImportError:
        print("bottleneck is not installed, not measured.")
    try:
        import numbagg

        # It takes floats only: the conversion is part of the price.
        found["numbagg"] = lambda x: numbagg.nanmedian(as_float(x), axis=0)
    except ImportError:
        print("numbagg is not installed, not measured.")
    return found


def as_float(values: Array) -> Array:
    if values.dtype.kind == "f":
        return values
    return values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)


if __name__ == "__main__":
    main()
