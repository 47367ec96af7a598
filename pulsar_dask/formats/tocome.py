"""Masters that are yet to be made, as a dry run knows them: what they will say, and no pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames.frame import Array, Frame, Stored
from pulsar_dask.frames.stack import default_dtype
from pulsar_dask.kernels.pixels import PixelType, Tile

if TYPE_CHECKING:
    from astropy.io import fits


@dataclass(frozen=True, slots=True)
class ToCome(Stored):
    """Nothing yet; `like` is one of the frames that it will be made of."""

    like: Frame

    def header(self, frame: Frame) -> fits.Header:
        header = read_header(self.like)
        header["BIASSUB"] = False
        return header

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> None:
        raise PulsarError(f"{printable(frames[0].path)}: is not made yet")


def to_come(path: str, kind: str, frames: Sequence[Frame]) -> Frame:
    """The master of some frames, from which nothing is subtracted, under the name that it will
    have."""
    first = frames[0]
    return replace(
        first,
        path=os.path.abspath(path),
        pixels=PixelType(np.dtype(default_dtype(frames)).itemsize * -8),
        about=replace(first.about, kind=kind, master="made in this run", surely=True),
        stored=ToCome(first),
        stated=None,
    )
