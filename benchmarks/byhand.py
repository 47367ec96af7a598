"""The peers that are a few lines of Python: ``python byhand.py HOW OUTPUT FRAME...``.

Each one is written as its own documentation would have it, not to be slow.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor


def numpy_median(output: str, paths: Sequence[str]) -> None:
    import numpy as np
    from astropy.io import fits

    stack = np.stack([fits.getdata(path) for path in paths])
    fits.writeto(output, np.median(stack, axis=0).astype("float32"), overwrite=True)


def pulsar_median(output: str, paths: Sequence[str]) -> None:
    """As PULSAR does it: the whole stack as float64, partly sorted."""
    import numpy as np
    from astropy.io import fits

    stack = np.empty((len(paths), *fits.getdata(paths[0]).shape))
    for frame, path in zip(stack, paths, strict=True):
        frame[...] = fits.getdata(path)
    low, high = (len(stack) - 1) // 2, len(stack) // 2
    stack.partition((low, high), axis=0)
    median = (stack[low] + stack[high]) / 2
    fits.writeto(output, median.astype("float32"), overwrite=True)


def dask_median(output: str, paths: Sequence[str]) -> None:
    import dask
    import dask.array as da
    from astropy.io import fits

    first = fits.getdata(paths[0])
    read = dask.delayed(lambda path: fits.getdata(path, memmap=False))
    frames = [da.from_delayed(read(p), first.shape, first.dtype) for p in paths]
    stack = da.stack(frames).rechunk({0: -1, 1: 256})
    master = da.median(stack, axis=0).astype("float32")
    fits.writeto(output, master.compute(), overwrite=True)


def ccdproc_median(output: str, paths: Sequence[str]) -> None:
    import ccdproc

    warnings.simplefilter("ignore")
    ccdproc.combine(
        list(paths),
        output_file=output,
        method="median",
        mem_limit=4e9,
        unit="adu",
        dtype="float32",
        overwrite_output=True,
    )


def ccdproc_clipped(output: str, paths: Sequence[str]) -> None:
    import ccdproc

    warnings.simplefilter("ignore")
    ccdproc.combine(
        list(paths),
        output_file=output,
        method="average",
        sigma_clip=True,
        sigma_clip_low_thresh=3,
        sigma_clip_high_thresh=3,
        mem_limit=4e9,
        unit="adu",
        dtype="float32",
        overwrite_output=True,
    )


def astropy_clipped(output: str, paths: Sequence[str]) -> None:
    import numpy as np
    from astropy.io import fits
    from astropy.stats import sigma_clip

    opened = [fits.open(path, memmap=False) for path in paths]
    rows = opened[0][0].shape[0]
    image = []
    for y in range(0, rows, 64):
        part = np.stack([hdus[0].section[y : y + 64] for hdus in opened]).astype("float32")
        image.append(np.ma.mean(sigma_clip(part, sigma=3, axis=0), axis=0).filled(np.nan))
    fits.writeto(output, np.concatenate(image).astype("float32"), overwrite=True)


def numpy_flat(output: str, paths: Sequence[str]) -> None:
    """Dark and list (the first two paths) applied, frames scaled to 5000, median."""
    import numpy as np
    from astropy.io import fits

    dark = fits.getdata(paths[0]).astype("float32")
    with open(paths[1]) as file:
        x, y = np.array([line.split()[1:3] for line in file], int).T
    listed = np.zeros(dark.shape, bool)
    listed[y, x] = True
    flats = []
    for path in paths[2:]:
        flat = fits.getdata(path) - dark
        padded = np.pad(np.where(listed, np.nan, flat), 1, constant_values=np.nan)
        around = [padded[y + dy, x + dx] for dy in range(3) for dx in range(3)]
        flat[y, x] = np.nanmean(around, axis=0)
        flats.append(flat * np.float32(5000 / np.median(flat)))
    fits.writeto(output, np.median(np.stack(flats), axis=0), overwrite=True)


def unpack(output: str, paths: Sequence[str]) -> None:
    """Decompress and throw away, a process for each core."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_unpack_one, paths))


def _unpack_one(path: str) -> int:
    from astropy.io import fits

    return int(fits.getdata(path).nbytes)


HOW: dict[str, Callable[[str, Sequence[str]], None]] = {
    "numpy": numpy_median,
    "pulsar": pulsar_median,
    "dask": dask_median,
    "ccdproc": ccdproc_median,
    "ccdproc-clipped": ccdproc_clipped,
    "astropy-clipped": astropy_clipped,
    "flat": numpy_flat,
    "unpack": unpack,
}

if __name__ == "__main__":
    HOW[sys.argv[1]](sys.argv[2], sys.argv[3:])
