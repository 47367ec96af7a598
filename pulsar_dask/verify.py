"""``python -m pulsar_dask verify``: whether a master is whole, whether the files it was made of
are still those, and whether they give the same pixels again; whether a cube holds the pixels of
its files."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from pulsar_dask import decoding, kernels, memory, pipelines, reading
from pulsar_dask.checksum import Ledger, file_sum
from pulsar_dask.commands import Options, make_plan
from pulsar_dask.cubestore import (
    ZARR,
    cube_costs,
    files_of,
    has_checksums,
    in_cube,
)
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.flats import FlatGroup
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.gather import read_places
from pulsar_dask.graph import TileGraph
from pulsar_dask.hotpixels import find_rings
from pulsar_dask.master import to_dtype
from pulsar_dask.recipes import (
    FROM_TOP,
    MINUS,
    SCALED,
    Bias,
    dark_costs,
    dark_recipe,
    flat_costs,
    flat_recipe,
)
from pulsar_dask.report import Report
from pulsar_dask.run import Computer, Output
from pulsar_dask.scan import read_header, scan_frame, scan_frames
from pulsar_dask.tiles import Costs, Grid, Plan, Tile
from pulsar_dask.trace import Source, Trace, in_store, read_trace

#: Bytes that a look at the inputs may take whatever the budget, which has more to spare.
SOME_BYTES = 10_000_000
#: Tiles that are computed again, spread over the image.
SAMPLE = 16
#: Problems of one kind that are told one by one.
MOST_SAID = 20


def verify(
    path: str, *, tiles: int | None = SAMPLE, folders: Sequence[str] = (), options: Options
) -> bool:
    """``verify master.fit``.

    Parameters
    ----------
    path : str
        A master that this program wrote, or a cube.
    tiles : int or None
        How many tiles of a master to compute again; None: all.
    folders : sequence of str
        Where its inputs are now, if not where they were.
    options : Options

    Returns
    -------
    bool
        Whether nothing is wrong.

    Raises
    ------
    PulsarError
        It cannot be read, or does not say how it was made.
    """
    if os.path.isdir(path) and not path.lower().rstrip("/\\").endswith(".zarr"):
        raise PulsarError(
            f"{printable(path)}: a folder; verify takes masters and cubes, not folders of frames"
        )
    report = options.report()
    findings = _Findings(printable(path), report)
    frames = scan_frames([path])
    with contextlib.ExitStack() as stack:
        stack.callback(reading.close_files)
        if in_cube(frames[0]):
            _verify_cube(frames, folders, options, findings)
        else:
            _verify_master(frames[0], tiles, folders, options, findings)
    report.end()
    return findings.good


class _Findings:
    """What is said of one file, and whether all of it is good."""

    def __init__(self, name: str, report: Report) -> None:
        self.name, self.report, self.good = name, report, True

    def say(self, text: str, *, wrong: bool = False) -> None:
        self.good = self.good and not wrong
        self.report.say(f"{self.name}: {text}", always=wrong)

    def say_all(self, problems: Sequence[str]) -> None:
        for text in problems[:MOST_SAID]:
            self.say(text, wrong=True)
        if len(problems) > MOST_SAID:
            self.say(f"and {len(problems) - MOST_SAID} more like these", wrong=True)


def _verify_master(
    master: Frame,
    tiles: int | None,
    folders: Sequence[str],
    options: Options,
    findings: _Findings,
) -> None:
    _, remarks = reading.check_sums([master], Ledger(), _threads_for([master], options))
    for remark in remarks:
        findings.say(remark.removeprefix(f"{printable(master.path)}: "), wrong=True)
    if master.stated is not None and not remarks:
        findings.say("whole, its CHECKSUM and DATASUM match")
    elif master.storage == "zarr" and has_checksums(master):
        findings.say("whole, the checksums of its chunks match")
    trace = read_trace(map(str, read_header(master).get("HISTORY", [])), _home(master))
    if not any(source.role == "input" for source in trace.sources):
        raise PulsarError(
            f"{findings.name}: its HISTORY does not say what it was made of; "
            "only masters that this version or a later one made do"
        )
    found, problems = _find(trace.sources, folders)
    findings.say_all(problems)
    frames = [frame for frame in found.values() if isinstance(frame, Frame)]
    changed = _changed(found, _threads_for(frames, options))
    findings.say_all(changed)
    there = len(trace.sources) - len(problems) - len(changed)
    findings.say(f"{there} of {len(trace.sources)} files that it was made of are as they were")
    if problems or tiles == 0:
        return
    differing, compared = _again(master, trace, found, tiles, options)
    if differing:
        findings.say(
            f"{differing} of {compared} pixels that were computed again differ", wrong=True
        )
    else:
        findings.say(f"{compared} pixels computed again are the same")


def _home(master: Frame) -> str:
    folder = os.path.dirname(master.path)
    # of a Zarr store the path goes on with place and name
    return os.path.dirname(os.path.dirname(folder)) if master.storage == "zarr" else folder


# --- the inputs --------------------------------------------------------------------------


def _find(
    sources: Sequence[Source], folders: Sequence[str]
) -> tuple[dict[Source, Frame | str], list[str]]:
    """The sources that are there, and what is wrong with the others."""
    found: dict[Source, Frame | str] = {}
    problems = []
    stored = functools.cache(lambda store: scan_frames([store]))  # one scan for all its frames
    for source in sources:
        try:
            found[source] = _open(source, folders, stored)
        except PulsarError as error:
            problems.append(f"{source.role} {error}")
    return found, problems


def _open(
    source: Source, folders: Sequence[str], stored: Callable[[str], list[Frame]]
) -> Frame | str:
    folder, name = source.place
    for place in (*folders, folder):
        path = os.path.join(place, name)
        if source.role == "list":
            if os.path.isfile(path):
                return path
        elif source.store:
            store, number, _ = name.rsplit("/", 2)
            if os.path.isdir(os.path.join(place, store)):
                frames = stored(os.path.join(place, store))
                if int(number) < len(frames):
                    return frames[int(number)]
        elif other := next(_also_compressed(path), None):
            return scan_frame(other)
    raise PulsarError(f"{printable(os.path.join(folder, name))}: not there")


def _also_compressed(path: str) -> Iterator[str]:
    """A file, or what an archive has made of it."""
    plain = re.sub(r"\.(fz|gz)$", "", path, flags=re.IGNORECASE)
    return filter(os.path.isfile, (path, plain, plain + ".fz", plain + ".gz"))


def _changed(found: Mapping[Source, Frame | str], threads: int) -> list[str]:
    """The sources whose sum is another one now."""
    sums: dict[Source, int] = {}
    alone = {s: f for s, f in found.items() if not isinstance(f, Frame) or f.storage != "zarr"}
    with ThreadPoolExecutor(threads) as pool:
        for source, total in zip(alone, pool.map(_sum, alone.values()), strict=True):
            sums[source] = total
    stored = [(s, f) for s, f in found.items() if s not in alone and isinstance(f, Frame)]
    for _, together in groupby(stored, key=lambda pair: pair[1].file):  # chunks hold all frames
        pairs = list(together)
        ledger = Ledger()
        _count([frame for _, frame in pairs], ledger)
        for source, frame in pairs:
            sums[source] = ledger.sum(frame.path, frame.nbytes) or 0
    return [
        f"{source.role} {printable(_path(found[source]))}: its pixels are not those any more "
        f"(DATASUM {total}, was {source.sum})"
        for source, total in sums.items()
        if total != source.sum
    ]


def _threads_for(frames: Sequence[Frame], options: Options) -> int:
    """On how many threads the sums of frames can be taken.

    Raises
    ------
    PulsarError
        Not on one: the budget is too small.
    """
    threads = options.threads or CPU_COUNT
    if not frames:
        return threads
    compiled = kernels.worth_compiling(frames)
    each = decoding.sum_bytes(frames, compiled, reading.STRETCH)
    room = max(memory.room(options.memory), SOME_BYTES)
    if each > room:
        raise memory.too_little(options.memory, each, "a look at its inputs")
    return max(1, min(threads, room // each))


def _path(source: Frame | str) -> str:
    return source if isinstance(source, str) else source.path


def _sum(source: Frame | str) -> int:
    return file_sum(source) if isinstance(source, str) else reading.pixel_sum(source)


def _count(frames: Sequence[Frame], ledger: Ledger) -> None:
    first = frames[0]
    with reading.counting(ledger):
        for _, tile in Grid(first.shape, *first.block):
            image = np.empty((1, *tile.shape), first.pixels.stored)
            for frame in frames:
                reading.read_tile([frame], tile, image)


# --- a cube ------------------------------------------------------------------------------


def _verify_cube(
    frames: Sequence[Frame], folders: Sequence[str], options: Options, findings: _Findings
) -> None:
    """Compare all pixels of a cube with those of the files that it was made of."""
    sources = [Source("input", path, in_store(path)) for path in files_of(frames)]
    found, problems = _find(sources, folders)
    findings.say_all(problems)
    there = [s for s in sources if s in found]
    cube = [frame for frame, s in zip(frames, sources, strict=True) if s in found]
    files = [file for s in there if isinstance(file := found[s], Frame)]
    differing = _differing_pixels(cube, files, options) if there else []
    findings.say_all(
        [
            f"input {printable(file.path)}: {n} of its pixels are others than in the cube"
            for file, n in zip(files, differing, strict=True)
            if n
        ]
    )
    same = differing.count(0)
    findings.say(f"{same} of {len(frames)} frames have the pixels of their files")


def _differing_pixels(cube: Sequence[Frame], files: Sequence[Frame], options: Options) -> list[int]:
    """How many pixels of each frame are not those of its file."""
    pipelines.check_shapes([*cube, *files])
    counts, dtype = _Counts(len(cube)), cube[0].pixels.native
    costs = cube_costs(files, dtype)
    more = {"cube": len(cube) * dtype.itemsize, "comparison": 3 * len(cube)}
    more |= pipelines.chunk_costs([*cube, *files])
    costs = replace(costs, per_pixel=costs.per_pixel | more)
    with options.computer() as computer:
        plan = make_plan(costs, [*cube, *files], computer, options, most_frames=0, load=ZARR)
        graph = TileGraph(plan.grid)
        inputs = {"cube": tuple(cube), "files": tuple(files), "dtype": dtype}
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


# --- the pixels --------------------------------------------------------------------------


class _Compare:
    """A `run.Writer` that compares tiles with those of a master."""

    def __init__(self, master: Frame) -> None:
        self.master = master
        native = master.pixels.native
        self.dtype = str(native)
        self.differing = self.compared = 0
        self._lock = threading.Lock()

    def write(self, tile: Tile, values: Any) -> None:
        again = to_dtype(np.asarray(values, np.float64), self.dtype)[0].astype(np.float64)
        there = reading.read_values([self.master], tile, np.dtype("f8"), counted=None)[0]
        # an infinite value is one that did not fit; read back, it counts as missing
        again[np.isinf(again)] = np.nan
        differing = int(np.count_nonzero((again != there) & ~(np.isnan(again) & np.isnan(there))))
        with self._lock:
            self.differing += differing
            self.compared += there.size


def _again(
    master: Frame,
    trace: Trace,
    found: Mapping[Source, Frame | str],
    tiles: int | None,
    options: Options,
) -> tuple[int, int]:
    """Compute some tiles again: pixels that differ, pixels compared."""
    by_role: dict[str, list[Any]] = {"input": [], "bias": [], "dark": [], "list": []}
    for source in trace.sources:
        by_role[source.role].append(found[source])
    frames: list[Frame] = by_role["input"]
    pipelines.check_shapes([master, *frames, *by_role["bias"], *by_role["dark"]])
    compare = _Compare(master)
    with options.computer() as computer:
        maker = _flat if any(s.startswith(SCALED) for s in trace.steps) else _median
        graph, layer, plan = maker(master, frames, by_role, trace.steps, computer, options)
        indices = [index for index, _ in plan.grid]
        if tiles is not None and tiles < len(indices):
            chosen = np.linspace(0, len(indices) - 1, tiles).round().astype(int)
            graph.done = frozenset(indices) - {indices[i] for i in chosen}
        read = [*frames, *by_role["bias"], *by_role["dark"], master]
        computer.run(graph, [Output(layer, (compare,))], read, plan, lambda key, result: None)
    return compare.differing, compare.compared


def _compared(costs: Costs, master: Frame) -> Costs:
    """Costs of tiles that are compared with those of a master: both as float64, rounded and read
    anew, and which are missing."""
    held = 5 * 8 + 3 + 2 * master.pixels.stored.itemsize
    more = sum(pipelines.chunk_costs([master]).values())
    return replace(costs, per_pixel=costs.per_pixel | {"comparison": held + more})


def _constant(steps: Sequence[str]) -> float:
    given = [step.removeprefix(MINUS) for step in steps if step.startswith(MINUS)]
    return float(given[0]) if given else 0.0


def _median(
    master: Frame,
    frames: Sequence[Frame],
    others: Mapping[str, Any],
    steps: Sequence[str],
    computer: Computer,
    options: Options,
) -> tuple[TileGraph, str, Plan]:
    biases = tuple(others["bias"])
    constant = _constant(steps)
    if not biases and not constant:
        costs = _compared(pipelines.median_costs(frames, 0), master)
        plan = make_plan(costs, frames, computer, options)
        graph = TileGraph(plan.grid)
        return graph, pipelines.median_graph(frames, graph), plan
    bias = Bias(biases, constant, combine=len(biases) > 1)
    costs = _compared(dark_costs([frames], bias), master)
    plan = make_plan(costs, [*frames, *biases], computer, options)
    recipe = dark_recipe({0.0: list(frames)}, bias, plan.grid)
    return recipe.graph, recipe.products[-1].layer, plan


def _flat(
    master: Frame,
    frames: Sequence[Frame],
    others: Mapping[str, Any],
    steps: Sequence[str],
    computer: Computer,
    options: Options,
) -> tuple[TileGraph, str, Plan]:
    shape = frames[0].shape
    defects = None
    for path in others["list"]:
        top = FROM_TOP in steps
        places = read_places(path, shape, origin_top=top, gigabytes=options.memory)
        defects = find_rings(places, shape, bayer=any(f.bayer for f in frames))
    dark = others["dark"][0] if others["dark"] else _constant(steps)
    group = FlatGroup(tuple(frames), dark, defects)
    plan = make_plan(
        _compared(flat_costs([group], computer.slots), master),
        [*frames, *others["dark"]],
        computer,
        options,
        kernel_type=PixelType(-64),
    )
    (target,) = (float(s.removeprefix(SCALED)) for s in steps if s.startswith(SCALED))
    recipe = flat_recipe({"": group}, plan.grid, target=target, threads=computer.slots)
    return recipe.graph, recipe.products[0].layer, plan
