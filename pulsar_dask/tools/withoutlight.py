"""The noise of frames without light, of the very frames that a dark or bias was made of."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats import reading
from pulsar_dask.formats.reading import read_header, read_values
from pulsar_dask.formats.scan import scan_frame, scan_frames
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Source, read_trace
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.figures import pair_variance

Array = np.ndarray[Any, Any]
#: Pairs of frames, and rows of them, that are read.
PAIRS, ROWS = 4, 32


def noise_of_sources(sources: Sequence[Source]) -> float | None:
    """ADU, of the dark that was subtracted, or else of the bias, where frames that it was made of
    are still there."""
    for role in ("dark", "bias"):
        for source in sources:
            if source.role == role and not source.store:
                try:
                    noise = _noise_of(source.path)
                except (PulsarError, OSError):
                    continue
                finally:
                    reading.close_files()
                if noise is not None:
                    return noise
    return None


def _noise_of(path: str) -> float | None:
    master = scan_frames([path])[0]
    trace = read_trace(map(str, read_header(master).get("HISTORY", [])), os.path.dirname(path))
    frames: list[Frame] = []
    for source in trace.sources:
        if source.role == "input" and not source.store and os.path.isfile(source.path):
            frame = scan_frame(source.path, source.hdu)
            if frame.shape == master.shape and not frame.stored.expanded:
                frames.append(frame)
        if len(frames) == 2 * PAIRS:
            break
    pairs = list(zip(frames[::2], frames[1::2], strict=False))
    if not pairs:
        return None
    variances = [pair_variance(_rows(a), _rows(b)) for a, b in pairs]
    return math.sqrt(float(np.mean(variances)))


def _rows(frame: Frame) -> Array:
    """Some rows of a frame, spread over it, of its first plane."""
    height, width = frame.shape[-2:]
    rows = np.unique(np.linspace(0, height - 1, ROWS).astype(int)).tolist()
    tiles = (Tile(0, row, 0, 1, width) for row in rows)
    values = [read_values([frame], tile, np.dtype("f8"), counted=None).ravel() for tile in tiles]
    found: Array = np.concatenate(values)
    return found
