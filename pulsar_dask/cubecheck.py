"""Whether a cube holds the pixels of the files that it was made of."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from pulsar_dask import pipelines
from pulsar_dask.commands import Options, make_plan
from pulsar_dask.cubestore import ZARR, cube_costs
from pulsar_dask.errors import printable
from pulsar_dask.frame import Frame
from pulsar_dask.graph import TileGraph
from pulsar_dask.judged import Findings
from pulsar_dask.origins import find_origins, say_problems
from pulsar_dask.run import Output
from pulsar_dask.storeread import files_of
from pulsar_dask.tiles import Tile
from pulsar_dask.trace import Source, in_store


def check_cube(
    frames: Sequence[Frame], folders: Sequence[str], options: Options, findings: Findings
) -> None:
    """Compare all pixels of a cube with those of the files that it was made of."""
    sources = [Source("input", path, in_store(path)) for path in files_of(frames)]
    origins = find_origins(sources, folders, lambda frames: options.threads or CPU_COUNT)
    say_problems(origins, findings)
    pairs = [
        (frame, origin.file)
        for frame, origin in zip(frames, origins, strict=True)
        if isinstance(origin.file, Frame)
    ]
    differing = _differing_pixels(pairs, options) if pairs else []
    findings.say_all(
        [
            f"input {printable(file.path)}: {n} of its pixels are others than in the cube"
            for (_, file), n in zip(pairs, differing, strict=True)
            if n
        ]
    )
    same = differing.count(0)
    findings.say(f"{same} of {len(frames)} frames have the pixels of their files")


def _differing_pixels(pairs: Sequence[tuple[Frame, Frame]], options: Options) -> list[int]:
    """How many pixels of each frame of a cube are not those of its file."""
    cube, files = zip(*pairs, strict=True)
    pipelines.check_shapes([*cube, *files])
    counts, dtype = _Counts(len(cube)), cube[0].pixels.native
    costs = cube_costs(files, dtype)
    more = {"cube": len(cube) * dtype.itemsize, "comparison": 3 * len(cube)}
    more |= pipelines.chunk_costs([*cube, *files])
    costs = replace(costs, per_pixel=costs.per_pixel | more)
    with options.computer() as computer:
        plan = make_plan(costs, [*cube, *files], computer, options, most_frames=0, load=ZARR)
        graph = TileGraph(plan.grid)
        inputs = {"cube": cube, "files": files, "dtype": dtype}
        names = [graph.share(name, value) for name, value in inputs.items()]
        output = Output(graph.add("differing", _differing, *names), (counts,))
        computer.run(graph, [output], [*cube, *files], plan, lambda key, result: None)
    return [int(n) for n in counts.total]


def _differing(
    tile: Tile, cube: Sequence[Frame], files: Sequence[Frame], dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    """How many pixels of a tile differ, for each frame."""
    here, there = (pipelines.cube_tile(tile, frames, dtype) for frames in (cube, files))
    differ = here != there
    if dtype.kind == "f":
        differ &= ~(np.isnan(here) & np.isnan(there))
    return np.asarray(np.count_nonzero(differ, axis=(1, 2)), "f8")


class _Counts:
    """A `run.Writer` that adds up what there is of each frame."""

    def __init__(self, frames: int) -> None:
        self.total = np.zeros(frames)
        self._lock = threading.Lock()

    def write(self, tile: Tile, values: Any) -> None:
        with self._lock:
            self.total += values
