"""The pixels of a master computed again from the files that it was made of, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulsar_dask.engine.make import make
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats import stackread
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


def planes_in(plane: str) -> tuple[str, ...]:
    """What is made again to compare a plane.

    Raises
    ------
    PulsarError
        This version does not know it.
    """
    if plane in ("image", *PLANES):
        return ("image",) if plane == "image" else ("image", plane)
    raise PulsarError(f"this version does not know the plane {printable(plane)!r}")


def compare_again(
    master: Frame,
    trace: Trace,
    found: Mapping[Source, File],
    tiles: int | None,
    options: Options,
) -> tuple[int, int]:
    """Compute some tiles of a master again, all of them for None, from what its trace names.

    Returns
    -------
    differing, compared : int
        Pixels.

    Raises
    ------
    PulsarError
        A step of the master is not known to this version; see `recipe_again`.
    """
    by_role: dict[str, list[Any]] = {"input": [], "bias": [], "dark": [], "list": []}
    for source in trace.sources:
        by_role[source.role].append(found[source])
    stack.check_shapes([master, *by_role["input"], *by_role["bias"], *by_role["dark"]])
    with options.executor() as executor:
        plane = str(read_header(master).get("EXTNAME", "image")).strip().lower()
        recipe = recipe_again(
            by_role,
            trace.steps,
            planes=planes_in(plane),
            threads=executor.slots,
            gigabytes=options.memory,
        )
        # both as float64, and which are missing
        held = 2 * 8 + 3
        holds = Holds(pixel={"comparison": held}) + stackread.values_holds([master])
        sink = CompareSink(recipe.products[-1].layer, DifferingPixels(master, plane), holds, tiles)
        make(recipe, [sink], executor, memory=options.memory, summed=())
    differing, compared = sink.total.tolist()
    return differing, compared
