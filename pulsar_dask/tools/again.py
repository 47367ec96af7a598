"""The pixels of a master computed again from the files that it was made of, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pulsar_dask.engine.make import make
from pulsar_dask.engine.sink import Executor
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats import holding
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.planes import PLANES
from pulsar_dask.frames.provenance import Source, Trace
from pulsar_dask.masters.again import recipe_again
from pulsar_dask.output.compare_sink import CompareSink, DifferingPixels
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.origins import File


def planes_of(master: Frame) -> dict[str, Frame]:
    """What there is to compare, by the name of the plane.

    Raises
    ------
    PulsarError
        This version does not know one.
    """
    plane = str(read_header(master).get("EXTNAME", "image")).strip().lower()
    plane = plane.replace("compressed_image", "image")  # as astropy and fpack name it
    found = {plane: master, **master.stored.beside(master)}
    if unknown := set(found) - {"image", *PLANES}:
        raise PulsarError(f"this version does not know the plane {printable(min(unknown))!r}")
    return found


def compare_again(
    master: Frame,
    trace: Trace,
    found: Mapping[Source, File],
    tiles: int | None,
    executor: Callable[[], Executor],
    options: Options,
) -> dict[str, tuple[int, int]]:
    """Compute some tiles of a master again, all of them for None, from what its trace names.
    `executor` starts it, or gives the one that has been started.

    Returns
    -------
    dict
        Pixels that differ and that were compared, by plane.

    Raises
    ------
    PulsarError
        A step of the master is not known to this version; see `recipe_again`.
    """
    by_role: dict[str, list[Any]] = {"input": [], "bias": [], "dark": [], "list": []}
    for source in trace.sources:
        by_role[source.role].append(found[source])
    there = planes_of(master)
    stack.check_shapes([*there.values(), *by_role["input"], *by_role["bias"], *by_role["dark"]])
    started = executor()
    recipe = recipe_again(
        by_role,
        trace.steps,
        planes=("image", *(name for name in there if name != "image")),
        threads=started.slots,
        gigabytes=options.memory,
    )
    layer = recipe.products[-1].layer
    sinks = {
        name: CompareSink(layer, DifferingPixels(frame, name), comparing_holds(frame), tiles)
        for name, frame in there.items()
    }
    make(recipe, list(sinks.values()), started, memory=options.memory, summed=())
    return {name: tuple(sink.total.tolist()) for name, sink in sinks.items()}


def comparing_holds(there: Frame) -> Holds:
    """What comparing a plane with that of a master holds: both as float64, rounded and read anew,
    and which are missing."""
    held = 5 * 8 + 3 + 2 * there.pixels.stored.itemsize
    return Holds(pixel={"comparison": held}) + holding.reading_holds([there])
