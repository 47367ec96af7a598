"""Lists of hot pixels for flats, and the colours of their sensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pulsar_dask.engine.memory import room, too_little
from pulsar_dask.errors import printable, warn
from pulsar_dask.formats.masks import read_mask
from pulsar_dask.formats.tocome import ToCome
from pulsar_dask.frames import exposures
from pulsar_dask.frames.colour import QUAD, Cells, Colours, colours_among
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import Group
from pulsar_dask.frames.naming import dark_stem, list_name, master_name
from pulsar_dask.inputs.pixellists import SOME_PIXELS, TooMany, read_list
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.kernels.checksum import Summing
from pulsar_dask.kernels.correct import LIST_BYTES
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.masters.flatgroup import Minus
from pulsar_dask.masters.shelf import exposure_of

Array = np.ndarray[Any, Any]


@dataclass
class Lists:
    """Lists of hot pixels, each read once: what comes through a pipe can be read only once."""

    given: str | None
    origin_top: bool
    memory: float | None
    folders: tuple[str, ...]
    known: dict[str, tuple[Array, Sums]] = field(default_factory=dict)

    def of(self, group: Group, minus: Sequence[Minus]) -> str | None:
        """The list of a group: that of the dark with the longest exposure, else that of the
        exposure of the flats."""
        if self.given is not None:
            return self.given
        darks = [m.images[0] for m in minus if m.images]
        darks.sort(key=lambda f: (-(exposure_of(f) or 0.0), f.path))
        wanted = [
            (os.path.dirname(f.path), stem)
            for f in darks
            if (stem := dark_stem(master_name(f.path)))
        ]
        if not wanted and group.exposure is not None:
            wanted = [("", exposures.name(group.exposure))]
        for folder, stem in wanted:
            for place in dict.fromkeys((*([folder] if folder else ()), *self.folders)):
                path = os.path.join(place, list_name(stem))
                if os.path.isfile(path):
                    return path
        if any(isinstance(f.stored, ToCome) for f in darks):
            return None  # it is made with the dark
        what = list_name(wanted[0][1]) if wanted else "list of hot pixels"
        warn(f"{group.name}.fit: no {what}, so hot pixels stay in the flats", "no-list")
        return None

    def read(self, path: str, shape: tuple[int, ...]) -> tuple[Array, Sums]:
        """Its places in an image of that shape, and its sums."""
        key = f"{path} {shape[-2:]}"
        if key not in self.known:
            summing = Summing()  # of the very bytes that are read
            seen = summing.add if os.path.isfile(path) else lambda part: None
            places = read_places(
                path, shape, origin_top=self.origin_top, gigabytes=self.memory, seen=seen
            )
            self.known[key] = places, summing.sums
        return self.known[key]


def colours_for(name: str, frames: Sequence[Frame]) -> Colours | None:
    """The colours of flats; it is told where they are not known."""
    colours = colours_among(frames)
    if colours is not None and colours.unknown:
        warn(
            f"{name}: {colours.unknown} is no known pattern of colours (RGGB, or the 36 letters of "
            "X-Trans), so a 2 x 2 one is taken; if that is wrong, put the pattern, or NONE, into "
            "BAYERPAT",
            "colours",
        )
    return colours


def cells_of(colours: Colours | None) -> tuple[Cells, ...]:
    """What `find_rings` wants to know of them."""
    return () if colours is None else (colours.cells,)


def old_cells(frames: Sequence[Frame]) -> tuple[Cells, ...]:
    """The same as versions before 0.3 saw it, which looked only whether there is a BAYERPAT."""
    return (QUAD,) if any(f.about.setting("BAYERPAT") for f in frames) else ()


def read_places(
    path: str,
    shape: tuple[int, ...],
    *,
    origin_top: bool,
    gigabytes: float | None,
    seen: Callable[[bytes], None] = lambda part: None,
) -> Array:
    """`read_list`, or `read_mask`, as far as there is memory for it."""
    most = max(SOME_PIXELS, room(gigabytes) // LIST_BYTES)
    try:
        if FITS_NAME.search(path):  # a mask lies as its image
            return read_mask(path, shape, most=most, seen=seen)
        return read_list(path, shape, origin_top=origin_top, most=most, seen=seen)
    except TooMany as error:
        what = f"{printable(path)}, a list of up to {error.count} pixels,"
        raise too_little(gigabytes, LIST_BYTES * error.count, what) from None
