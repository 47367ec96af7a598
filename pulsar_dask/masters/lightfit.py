"""Masters of lights looked at once, for all lights of one shape: levels of the flat, bad pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.errors import count
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.frames.colour import Colours
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.checksum import Summing
from pulsar_dask.kernels.correct import find_rings
from pulsar_dask.masters.calibration import Calibration, Fit
from pulsar_dask.masters.flatlists import cells_of, read_places
from pulsar_dask.masters.flatlook import bad_places, flat_levels, floors_of

Array = np.ndarray[Any, Any]


def fit(
    calibration: Calibration,
    shape: tuple[int, ...],
    colours: Colours | None,
    *,
    gigabytes: float | None,
    levels: tuple[float, ...] | None = None,
    ledger: Ledger | None = None,
) -> Fit:
    """Look at the masters.

    Parameters
    ----------
    calibration : Calibration
    shape : tuple of int
        Of the lights.
    colours : Colours, optional
        Of the lights.
    gigabytes : float, optional
        What the process may take, for lists of pixels.
    levels : tuple of float, optional
        M of each plane and colour, where it is known.
    ledger : Ledger, optional
        Takes the sums of masters that are read.

    Raises
    ------
    PulsarError
        The flat is none, or a list is in no form that is known.
    """
    c, planes = calibration, shape[0] if len(shape) == 3 else 1
    kinds = colours.count if colours is not None else 1
    known: tuple[tuple[float, ...], ...] = ()
    floors: tuple[tuple[float, ...], ...] = ()
    whole: tuple[float, ...] = ()
    if c.flat is not None:
        found = flat_levels(c.flat, colours)
        floors, whole = floors_of(found, c.flat_floor), found.all
        if levels is not None:
            known = tuple(levels[i * kinds : (i + 1) * kinds] for i in range(planes))
        elif c.level is None and not c.one_level:
            known = found.colours
        elif c.level is None or c.one_level:
            known = tuple((one if c.level is None else c.level,) * kinds for one in found.all)
        else:
            known = tuple(
                tuple(c.level * each / one for each in row) if colours is not None else (c.level,)
                for row, one in zip(found.colours, found.all, strict=True)
            )
    images = [f for role, f in c.images if role == "dark" or (role == "bias" and c.uses_bias)]
    bad = bad_places(images, c.flat, floors, colours, shape, ledger)
    listed, sources, steps = _lists(c, shape, gigabytes)
    defects = []
    for places, small in bad:
        wanted = np.union1d(listed, places[small]) if small.any() else listed
        defects.append(find_rings(wanted, shape, *cells_of(colours)) if len(wanted) else None)
    each = [(places[small], places[~small]) for places, small in bad]
    replaced = sum(len(np.setdiff1d(a, listed)) for a, _ in each)
    dead = sum(len(np.setdiff1d(b, listed)) for _, b in each)
    return Fit(known, floors, whole, colours, tuple(defects), replaced, dead, sources, steps)


def _lists(
    c: Calibration, shape: tuple[int, ...], gigabytes: float | None
) -> tuple[Array, tuple[Source, ...], tuple[Step, ...]]:
    """The places of all lists, each once; the lists with their sums; the steps."""
    listed: Array = np.empty(0, np.int64)
    sources, steps = [], []
    for path in c.lists:
        summing = Summing()
        places = read_places(
            path, shape, origin_top=c.origin_top, gigabytes=gigabytes, seen=summing.add
        )
        listed = np.union1d(listed, places)
        source = Source.of_list(path, summing.sums)
        sources.append(source)
        steps.append(Step("correct", (len(places), source.place[1])))
    if c.lists and c.origin_top:
        steps.append(Step("from top"))
    return listed, tuple(sources), tuple(steps)


def told_of(found: Fit, flat: Frame | None) -> str | None:
    """What there is to say of pixels that are bad in the masters."""
    if not found.dead and not found.replaced:
        return None
    what = f"of the masters{f' (flat {flat.name})' if flat is not None else ''}"
    text = f"{count(found.replaced, 'bad pixel')} {what} replaced by the mean of good neighbours"
    return f"{text}, {found.dead} in larger areas left without a value"
