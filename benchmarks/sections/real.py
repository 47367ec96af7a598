"""Masters of real frames: the noise that each method leaves, told by two halves of a stack."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from harness import Bench
from measure import Failed
from report import Table

import pulsar_dask as pulsar

#: What a run is to be compared with.
AGAINST = "the median of the same frames; of flats there are too few for two halves."
Array = np.ndarray[Any, Any]
METHODS = ("median", "auto", "mean", "minmax", "sigclip", "winsorized")


def noise_of(halves: list[Array]) -> tuple[float, float]:
    """Of the master of one half, from the difference of both: by the median absolute deviation,
    which moves in steps where values do, and by the deviation of what lies within five of these."""
    off = (halves[0] - halves[1]).ravel()
    off -= np.median(off)
    robust = 1.4826 * float(np.median(np.abs(off)))
    kept = off[np.abs(off) < 5 * robust]
    return robust / 2**0.5, float(kept.std()) / 2**0.5


def tables(bench: Bench) -> list[Table]:
    made = []
    for kind in ("bias", "dark"):
        paths = sorted(map(str, Path(bench.args.real).glob(f"{kind}*.fz")))
        if len(paths) < 6:
            raise Failed(f"{bench.args.real}: no frames {kind}*.fz; --real says where they are")
        rows, first = [], 1.0
        for method in METHODS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pulsar.PulsarWarning)
                halves = [pulsar.master(paths[i::2], combine=method).master for i in (0, 1)]
                robust, clipped = noise_of([np.asarray(half.values, "f8") for half in halves])
            first = clipped if method == "median" else first
            rows.append([method, f"{robust:.2f}", f"{clipped:.2f}", f"{clipped / first:.3f}"])
        columns = ["method", "1.48 MAD, ADU", "within five of it, ADU", "in that of the median"]
        title = f"{len(paths)} real {kind} frames: noise of a master of every other one"
        made.append(Table(title, columns, rows))
    return made
