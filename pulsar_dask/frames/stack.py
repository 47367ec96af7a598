"""A stack of frames: one shape, one type of pixels; and what looks odd in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)


def check_shapes(frames: Sequence[Frame]) -> tuple[int, ...]:
    """The one shape of a stack; else a PulsarError that names the first two that differ."""
    first = frames[0]
    for frame in frames:
        if frame.shape != first.shape:
            raise PulsarError(
                "frames of one stack must have one shape: "
                f"{printable(first.path)} is {describe_shape(first.shape)}, "
                f"{printable(frame.path)} is {describe_shape(frame.shape)}; "
                "remove one kind from the input",
                "shapes",
            )
    return first.shape


def describe_shape(shape: Sequence[int]) -> str:
    """Columns x rows (x planes), as the field says it."""
    return " x ".join(str(n) for n in reversed(shape))


def stack_type(frames: Sequence[Frame]) -> PixelType:
    """How the pixels of a stack are held: as they are stored where that orders them, else as
    float64 values."""
    return frames[0].pixels if stored_alike(frames) else _FLOAT64


def stored_alike(frames: Sequence[Frame]) -> bool:
    """Whether all frames store their pixels in one way, in which stored numbers that are not
    missing are values that are not."""
    first = frames[0].pixels
    alike = all(f.pixels is first or f.pixels == first for f in frames)  # asked for each tile
    return alike and not first.overflows


def stack_block(frames: Sequence[Frame]) -> tuple[int, int]:
    """Rows and columns that a tile should be a multiple of."""
    blocks = [f.stored.block for f in frames if not f.stored.expanded]
    return max((b[0] for b in blocks), default=1), max((b[1] for b in blocks), default=1)


def default_dtype(frames: Sequence[Frame]) -> str:
    """float32, or float64 where a frame has 32- or 64-bit integers or 64-bit floats."""
    return "float64" if any(f.pixels.wide for f in frames) else "float32"
