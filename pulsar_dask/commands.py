"""The tools: find, scan, plan, compute, write, report. Thin; the work is in the pipelines."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
from dask.system import CPU_COUNT

from pulsar_dask import kernels, memory, pipelines, reading
from pulsar_dask.errors import PulsarError, PulsarWarning, printable
from pulsar_dask.frame import Frame
from pulsar_dask.graph import TileGraph
from pulsar_dask.master import FitsMaster, common, default_dtype, master_header
from pulsar_dask.outputs import check_output, is_ours
from pulsar_dask.run import Output, run
from pulsar_dask.scan import scan_frames
from pulsar_dask.spec import Inputs, find_inputs, same_file
from pulsar_dask.tiles import GB, MB, Costs, Plan, Tile, plan_tiles


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    sequence: bool = True
    recursive: bool = False
    memory: float | None = None
    threads: int | None = None
    scheduler: str | None = None
    overwrite: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False


def med(spec: Sequence[str], output: str, *, dtype: str | None, options: Options) -> None:
    """``med input_spec output``; see the user's guide."""
    began = time.perf_counter()
    say = _Voice(options)
    inputs = find_inputs(spec, sequence=options.sequence, recursive=options.recursive)
    paths = [p for p in inputs.paths if not (same_file(p, output) and is_ours(output))]
    if not paths:
        raise PulsarError(f"{printable(output)} is the only input, and the output")
    check_output(output, paths, overwrite=options.overwrite)
    frames = _without_masters(scan_frames(paths), inputs, say)
    if len(frames) == 1:
        _warn("one frame is its own median: the result is no cleaner than that frame")
    shape = pipelines.check_shapes(frames)
    dtype = dtype or default_dtype(frames)

    kernels.warm_up(len(frames), pipelines.stack_type(frames))
    itemsize = 8 if dtype == "float64" else 4
    costs = pipelines.median_costs(frames, itemsize)
    plan = make_plan(shape, costs, frames, options)
    say.plan(frames, plan)

    graph = TileGraph(plan.grid)
    layer = pipelines.median_graph(frames, graph)
    kind = common([f.kind for f in frames])
    header = master_header(
        frames,
        kind=None if kind == "other" else kind,
        steps=[f"median of {len(frames)} frames"],
    )
    master: Any
    if output.lower().endswith(".zarr"):
        from pulsar_dask.zarrstore import ZarrMaster

        master = ZarrMaster(output, plan.grid, dtype, header)
    else:
        master = FitsMaster(output, shape, dtype, header)
    with master:
        execute(graph, [Output(layer, master)], frames, plan, options)
        master.commit()
    if master.clipped:
        _warn(f"{printable(output)}: {master.clipped} pixels did not fit {dtype} and were clipped")
    if master.missing:
        what = "are 0" if dtype[0] != "f" else "are NaN"
        _warn(f"{printable(output)}: {master.missing} pixels have no value in any frame and {what}")
    say.written(output, dtype, began)


def make_plan(
    shape: tuple[int, ...], costs: Costs, frames: Sequence[Frame], options: Options
) -> Plan:
    """The tiles of a run; to be made when the libraries and kernels are loaded."""
    return plan_tiles(
        shape,
        costs,
        budget=memory.budget(options.memory),
        threads=options.threads or CPU_COUNT,
        process=memory.process_bytes(),
        block=pipelines.stack_block(frames),
    )


def execute(
    graph: TileGraph,
    outputs: Sequence[Output],
    frames: Sequence[Frame],
    plan: Plan,
    options: Options,
) -> None:
    """Run a graph with a progress bar, then make sure that no input changed meanwhile."""
    stored = sum(f.pixels.stored.itemsize for f in frames)
    try:
        if not options.scheduler:
            reading.expand(frames, plan.threads)
        with _Progress(sum(f.nbytes for f in frames), options) as progress:

            def on_tile(tile: Tile) -> None:
                progress.update(stored * tile.height * tile.width)

            run(graph, outputs, threads=plan.threads, scheduler=options.scheduler, on_tile=on_tile)
        reading.check_unchanged(frames)
    finally:
        reading.close_files()


def _without_masters(frames: Sequence[Frame], inputs: Inputs, say: _Voice) -> list[Frame]:
    """Masters that lie among raw frames were not meant, unless a list names them."""
    masters = [f for f in frames if f.is_master and f.path not in inputs.explicit]
    if not masters or len(masters) == len(frames):
        return list(frames)
    say.passed_over({"masters": len(masters)})
    return [f for f in frames if f not in masters]


# --- what is said ------------------------------------------------------------------------


class _Voice:
    """Results and the summary, on stdout."""

    def __init__(self, options: Options) -> None:
        self.quiet, self.verbose = options.quiet, options.verbose

    def __call__(self, text: str) -> None:
        if not self.quiet:
            click.echo(text)

    def passed_over(self, counts: dict[str, int]) -> None:
        self("passed over: " + ", ".join(f"{n} {what}" for what, n in counts.items() if n))

    def plan(self, frames: Sequence[Frame], plan: Plan) -> None:
        first = frames[0]
        kinds = sorted({str(f.pixels.native) for f in frames})
        size = sum(f.nbytes for f in frames)
        self(
            f"{len(frames)} frames of {pipelines.describe_shape(first.shape)} pixels, "
            f"{' and '.join(kinds)}, {_bytes(size)}"
        )
        self(
            f"{len(plan.grid)} tiles of {plan.grid.width} x {plan.grid.height} pixels on "
            f"{plan.threads} threads, {_bytes(plan.total)} of at most {_bytes(plan.budget)}"
        )
        if self.verbose:
            for frame in frames:
                self(f"  {printable(frame.path)}")
            for name, size in plan.parts.items():
                self(f"  memory: {name} {_bytes(size)}")

    def written(self, output: str, dtype: str, began: float) -> None:
        self(
            f"{printable(output)}: {dtype}, {time.perf_counter() - began:.2f} s, "
            f"peak memory {_bytes(memory.peak_resident())}"
        )


def _bytes(count: float) -> str:
    if count >= GB / 10:
        return f"{count / GB:.2f} GB"
    return f"{count / MB:.1f} MB"


def _warn(text: str) -> None:
    warnings.warn(PulsarWarning(text), stacklevel=3)


class _Progress:
    """A bar on a terminal: share done, speed, time left. Elsewhere nothing."""

    current: Any = None

    def __init__(self, total: int, options: Options) -> None:
        self.total = total
        self.shown = not options.quiet and sys.stderr.isatty()

    def __enter__(self) -> Any:
        if not self.shown:
            return self
        from tqdm import tqdm

        _Progress.current = tqdm(
            total=self.total,
            unit="B",
            unit_scale=True,
            leave=False,
            file=sys.stderr,
            mininterval=0.1,
        )
        return _Progress.current

    def update(self, count: int) -> None:
        pass

    def __exit__(self, *exc: Any) -> None:
        if _Progress.current is not None:
            _Progress.current.close()
            _Progress.current = None


def clear_progress() -> None:
    """Make room for a line on the terminal."""
    if _Progress.current is not None:
        _Progress.current.clear()
