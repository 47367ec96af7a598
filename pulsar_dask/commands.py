"""The tools: find, plan, compute, write, report. Thin; the work is in what they call."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from pulsar_dask import memory, pipelines, reading
from pulsar_dask.checksum import Ledger, Sums
from pulsar_dask.disk import failure
from pulsar_dask.errors import PulsarError, count, printable, warn
from pulsar_dask.flats import TARGET_MEDIAN, FrameLevels
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.gather import Darks, Search, gather_darks, gather_flats
from pulsar_dask.graph import TileGraph
from pulsar_dask.groups import check_alike
from pulsar_dask.hotpixels import HOT_PIXELS, HotPixels, list_bytes, seal_list
from pulsar_dask.interrupts import uninterrupted
from pulsar_dask.kernels import needed
from pulsar_dask.leftovers import remove_stale
from pulsar_dask.master import FitsMaster, common, default_dtype, master_header
from pulsar_dask.outputs import CREATOR, OUTPUT_LAST, check_output, is_ours
from pulsar_dask.ownlists import file_crc, kept
from pulsar_dask.recipes import Product, Recipe, dark_costs, dark_recipe, flat_costs, flat_recipe
from pulsar_dask.report import Progress, Report
from pulsar_dask.run import Computer, Output, Threads
from pulsar_dask.same import Same
from pulsar_dask.scan import scan_frames
from pulsar_dask.spec import (
    FITS_NAME,
    MOST_ADU,
    Inputs,
    as_number,
    as_texts,
    has_mask,
    is_list,
    is_store,
    list_path,
)
from pulsar_dask.start import INTERRUPTED
from pulsar_dask.tiles import Costs, Plan
from pulsar_dask.trace import Source, Trace
from pulsar_dask.transaction import commit_all

#: Shares of full scale between which a flat is well exposed.
LEVELS = 0.1, 0.8
#: Outputs of this process that have their names, for the message of an interrupt.
DONE: list[str] = []
#: Share of a sensor's pixels beyond which those listed as hot are no longer few.
HOT_SHARE = 0.01


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    search: Search = field(default_factory=Search)
    memory: float | None = None
    threads: int | None = None
    scheduler: str | None = None
    overwrite: bool = False
    verify: bool = True
    """Whether outputs are read back before they take their names."""
    output_dir: str = "."
    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    @contextlib.contextmanager
    def computer(self) -> Iterator[Computer]:
        """Threads of this process, or a cluster."""
        threads = self.threads or CPU_COUNT
        if self.scheduler is None:
            yield Threads(threads)
            return
        if self.scheduler.endswith(".json") and not os.path.exists(self.scheduler):
            raise PulsarError(
                f"--scheduler {printable(self.scheduler)}: no such file; "
                "`dask scheduler --scheduler-file NAME` writes it"
            )
        from pulsar_dask.cluster import open_cluster

        with open_cluster(self.scheduler, threads=threads, logs=self.debug) as cluster:
            yield cluster

    def report(self) -> Report:
        return Report(quiet=self.quiet, verbose=self.verbose)


def med(spec: Sequence[str], output: str, *, dtype: str | None, options: Options) -> None:
    """``med input_spec output``."""
    report = options.report()
    check_order(spec, output)
    inputs = options.search.find(spec)
    same = Same(output)
    paths = [p for p in inputs.paths if not (same.is_name(p) and is_ours(output))]
    if not paths:
        raise PulsarError(f"{printable(output)} is the only input, and the output")
    check_name(output)
    if not re.search(r"[^/\\]\.(fit|fits|fts|zarr)$", output, re.IGNORECASE):
        way_out = OUTPUT_LAST if os.path.lexists(output) else "Name it so"
        raise PulsarError(
            f"{printable(output)}: a master is a .fit, .fits, .fts or .zarr. {way_out}"
        )
    read = [*paths, *_lists_in(spec)]
    check = functools.partial(check_output, output, read, overwrite=options.overwrite)
    remove_stale(os.path.dirname(os.path.abspath(output)))
    check()
    frames = _without_masters(scan_frames(paths), inputs, spec, options.search, report)
    if len(frames) == 1:
        warn("one frame is its own median: the result is no cleaner than that frame")
    check_alike(os.path.basename(output), frames, options.search.tolerance)
    shape = pipelines.check_shapes(frames)
    dtype = dtype or default_dtype(frames)
    kind = common([f.kind for f in frames])

    header = master_header(frames, kind=None if kind == "other" else kind)
    inputs_of = tuple(Source.of("input", frame) for frame in frames)
    trace = Trace(inputs_of, (f"median of {count(len(frames), 'frame')}",))
    with options.computer() as computer:
        rounding = 0 if np.dtype(dtype).kind == "f" else 4  # of float64 values, half a value twice
        costs = pipelines.median_costs(frames, np.dtype(dtype).itemsize + rounding)
        zarr = output.lower().endswith(".zarr")
        load = ("zarr",) if zarr else ()
        plan = make_plan(costs, frames, computer, options, load=load)
        report.plan(frames, plan)
        graph = TileGraph(plan.grid)
        layer = pipelines.median_graph(frames, graph)
        master: Any
        verify = options.verify
        if zarr:
            from pulsar_dask.zarrstore import ZarrMaster

            master = ZarrMaster(output, plan.grid, dtype, header, trace, verify=verify)
        else:
            master = FitsMaster(output, shape, dtype, header, trace, verify=verify)
        with master:
            made = Output(layer, (master,), _on_its_way(dtype))
            sums = execute(graph, [made], {layer: frames}, {}, plan, computer, options)
            master.seal(sums)
            _commit({output: master}, {output: check}, report, options)
    _warn_of_pixels(output, dtype, master)
    report.made(output, f"{dtype}, median of {count(len(frames), 'frame')}")
    report.end()


def makedark(
    spec: Sequence[str],
    *,
    bias: str | None,
    hot_pixels: int | None,
    options: Options,
) -> None:
    """``makedark input_spec [bias_spec]``."""
    report = options.report()
    darks = gather_darks(spec, bias, options.search)
    report.passed_over(darks.passed, darks.unused)
    wanted = HOT_PIXELS if hot_pixels is None else hot_pixels
    costs = dark_costs(list(darks.groups.values()), darks.bias)
    costs = _with_lists(costs, wanted, len(darks.groups), darks.frames[0])
    with options.computer() as computer:
        plan = make_plan(costs, darks.frames, computer, options)
        report.plan(darks.frames, plan, _darks_and_bias(darks))
        _hint_at_number(hot_pixels, darks.frames[0], report)
        recipe = dark_recipe(darks.groups, darks.bias, plan.grid)
        paths = [*(f.path for f in darks.frames), *_lists_in([*as_texts(spec), bias or ""])]
        _make(recipe, darks.frames, paths, wanted, plan, computer, options, report)


def makeflat(
    spec: Sequence[str],
    *,
    target: float | None,
    dark: str | None,
    hot_pixels: str | None,
    origin_top: bool = False,
    options: Options,
) -> None:
    """``makeflat input_spec [target_median]``."""
    report = options.report()
    spec = list(spec)
    if target is None and len(spec) > 1 and (number := as_number(spec[-1])) is not None:
        target = number
        spec = spec[:-1]
    target = TARGET_MEDIAN if target is None else target
    if not 1 / MOST_ADU < target < MOST_ADU:
        raise PulsarError(f"target median {target:g}: give a positive number of ADU, such as 5000")
    flats = gather_flats(
        spec,
        dark=dark,
        hot_pixels=hot_pixels,
        origin_top=origin_top,
        search=options.search,
        memory=options.memory,
    )
    report.passed_over(flats.passed, flats.unused)
    with options.computer() as computer:
        plan = make_plan(
            flat_costs(list(flats.groups.values()), computer.slots),
            [*flats.frames, *flats.darks],
            computer,
            options,
            kernel_type=PixelType(-64),
            most_frames=max(len(g.frames) for g in flats.groups.values()),
        )
        report.plan(flats.frames, plan)
        recipe = flat_recipe(
            flats.groups,
            plan.grid,
            target=target,
            threads=computer.slots,
            calibration=flats.calibration,
        )
        frames = flats.frames + flats.darks
        lists = [s.path for trace in flats.calibration.values() for s in trace.sources]
        paths = [*(f.path for f in frames), *lists, *_lists_in(spec)]
        _make(recipe, frames, paths, 0, plan, computer, options, report)


def make_cosme(
    image: str, output: str, *, hot_pixels: int | None, origin_top: bool, options: Options
) -> None:
    """``make_cosme input.fit output.lst``."""
    report = options.report()
    check_order([image], output)
    if os.path.isdir(image) and not is_store(image):
        raise PulsarError(f"{printable(image)}: a folder; name one image, such as dark120s.fit")
    check_name(output)
    remove_stale(os.path.dirname(os.path.abspath(output)))
    check = functools.partial(check_output, output, [image], overwrite=options.overwrite)
    check()
    if FITS_NAME.search(output) or _is_store_name(output):
        raise PulsarError(f"{printable(output)}: a list is no image; name it .lst")
    frames = scan_frames([image])
    wanted = HOT_PIXELS if hot_pixels is None else hot_pixels
    hot = HotPixels(frames[0].shape, wanted)
    with options.computer() as computer:
        costs = _with_lists(pipelines.median_costs(frames, 0), wanted, 1, frames[0])
        plan = make_plan(costs, frames, computer, options)
        graph = TileGraph(plan.grid)
        layer = pipelines.median_graph(frames, graph)
        _hint_at_number(hot_pixels, frames[0], report)
        execute(graph, [Output(layer, (hot,))], {layer: frames}, {}, plan, computer, options)
    x, y = hot.positions()
    rows = frames[0].shape[-2] if origin_top else None
    data = list_bytes(x, y, rows=rows)
    check = functools.partial(check, lines=len(x))
    with seal_list(output, data, verify=options.verify) as file:
        crc = zlib.crc32(data)
        _commit({output: file}, {output: check}, report, options, lists={output: crc})
    report.made(output, _hottest(len(x)) + (", Y from the top row" if origin_top else ""))
    report.end()


def cube(spec: Sequence[str], output: str, *, options: Options) -> None:
    """``cube input_spec output.zarr``."""
    from pulsar_dask import cubestore
    from pulsar_dask.cuberesume import OtherPixels

    report = options.report()
    check_order(spec, output)
    frames = scan_frames(options.search.find(spec).paths)
    store = cubestore.CubeStore(output, frames, overwrite=options.overwrite)
    if store.complete:
        report.made(output, f"{count(len(frames), 'frame')}, complete already")
        return
    area = math.prod(store.shape)
    try:
        with (
            options.computer() as computer,
            Progress(area, quiet=options.quiet) as progress,
        ):
            plan = store.plan(computer, options.memory)
            report.plan(frames, plan)
            done, of = store.progress() if store.grid else (0, 0)
            if done:
                report.say(f"{done} of {of} chunks are there already")
            chunks = plan.grid.chunks

            def on_done(key: Hashable, result: Any) -> None:
                if isinstance(key, tuple) and key[0] == "write":
                    progress.update(math.prod(c[i] for c, i in zip(chunks, key[2:], strict=True)))

            cubestore.write(store, computer, plan, on_done)
    except OtherPixels:
        raise
    except BaseException as error:
        done, of = store.progress() if store.grid else (0, 0)
        if not done:
            raise
        stays = f"{done} of {of} chunks are in it and stay, the same command takes it up again"
        if isinstance(error, PulsarError):
            raise PulsarError(f"{error}\n{printable(output)} is not complete: {stays}") from error
        warn(f"{printable(output)} is not complete: {stays}")
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(INTERRUPTED) from error
        raise
    finally:
        reading.close_files()
    report.made(output, f"{store.dtype}, {count(len(frames), 'frame')}")
    report.end()


# --- what is named -------------------------------------------------------------------------


def check_order(spec: Sequence[str], output: str) -> None:
    """Ask whether input and output are the wrong way round, where only the second is there."""
    first = spec[0]
    if len(spec) > 1 or first.startswith("@") or has_mask(first) or os.path.lexists(first):
        return
    list_wanted = first.lower().endswith(".lst")
    if has_mask(output) or (os.path.exists(output) and (list_wanted or not is_ours(output))):
        raise PulsarError(
            f"{printable(first)}: no such file or folder. Is the order right? "
            f"The input comes first, the output (here {printable(output)}) last"
        )


def check_name(output: str) -> None:
    """Refuse the name of an output that no file can have, before any work is done for it."""
    name = printable(output)
    if os.path.isdir(output) and not _is_store_name(output):
        raise PulsarError(f"{name} is a folder; the output, which comes last, is a file")
    try:
        os.lstat(output)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        short = name if len(name) < 80 else f"{name[:76]}…"
        raise PulsarError(f"{short}: {error.strerror}; name another output") from error


def _is_store_name(path: str) -> bool:
    return path.lower().rstrip("/\\").endswith(".zarr")


def _hint_at_number(hot_pixels: int | None, frame: Frame, report: Report) -> None:
    """Say where the usual number of hot pixels is too high for a sensor."""
    share = HOT_PIXELS / math.prod(frame.shape[-2:])
    if hot_pixels is None and share > HOT_SHARE:
        report.say(
            f"{HOT_PIXELS} hot pixels are {min(share, 1):.0%} of this small sensor; "
            "--hot-pixels N lists fewer"
        )


#: Bytes that each hot pixel of a list takes as candidates, thrice as many as are wanted, for each
#: plane; and while one list's are ordered, or written as lines.
_CANDIDATE_BYTES, _ORDER_BYTES = 48, 90


def _with_lists(costs: Costs, wanted: int, lists: int, frame: Frame) -> Costs:
    """Costs with lists of more hot pixels than usual, which take next to nothing."""
    if wanted <= HOT_PIXELS:
        return costs
    most = min(wanted, math.prod(frame.shape[-2:]))
    planes = frame.shape[0] if len(frame.shape) == 3 else 1
    held = {"hot pixels": most * _CANDIDATE_BYTES * planes * lists}
    return replace(
        costs,
        fixed=costs.fixed | held,
        after={"lists of hot pixels": most * _ORDER_BYTES},
    )


def _darks_and_bias(darks: Darks) -> str:
    bias = len(darks.bias.frames)
    what = count(len(darks.frames) - bias, "dark")
    return f"{what} and {count(bias, 'bias frame')}" if bias else what


# --- what they share -----------------------------------------------------------------------


def make_plan(
    costs: Costs,
    frames: Sequence[Frame],
    computer: Computer,
    options: Options,
    *,
    kernel_type: PixelType | None = None,
    most_frames: int | None = None,
    load: Sequence[str] = (),
) -> Plan:
    """The tiles of a run. The kernel is loaded first, so that the process is counted whole."""
    memory.check_address_space()
    kernel = needed(
        frames,
        median=len(frames) if most_frames is None else most_frames,
        pixels=kernel_type or pipelines.stack_type(frames),
    )
    return computer.plan(costs, frames, kernel=kernel, gigabytes=options.memory, load=load)


def _on_its_way(dtype: str) -> str:
    """How values that become `dtype` come from a worker; integers are rounded here, where
    those that do not fit are counted."""
    return dtype if np.dtype(dtype).kind == "f" else "float64"


def _make(
    recipe: Recipe,
    frames: Sequence[Frame],
    inputs: Sequence[str],
    hot_pixels: int,
    plan: Plan,
    computer: Computer,
    options: Options,
    report: Report,
) -> None:
    """Compute all masters of a recipe side by side; they appear when all are done and on the
    disk, so that what is in the way of one leaves all as they were."""

    def place(name: str) -> str:
        return os.path.normpath(os.path.join(options.output_dir, name))

    try:
        os.makedirs(options.output_dir, exist_ok=True)
    except OSError as error:
        raise failure(options.output_dir, error) from error
    lists = {p.layer: place(f"cosme{p.name[4:]}.lst") for p in recipe.products if p.kind == "dark"}
    checks = {
        path: functools.partial(check_output, path, inputs, overwrite=options.overwrite)
        for path in [place(f"{p.name}.fit") for p in recipe.products]
    }
    for product in recipe.products:
        if product.layer in lists:
            path = lists[product.layer]
            lines = min(hot_pixels, math.prod(product.frames[0].shape[-2:]))
            checks[path] = functools.partial(
                check_output, path, inputs, overwrite=options.overwrite, lines=lines
            )
    remove_stale(options.output_dir)
    for check in checks.values():
        check()
    levels: dict[str, FrameLevels] = {}
    with contextlib.ExitStack() as stack:
        masters, hot = {}, {}
        for product in recipe.products:
            header = master_header(
                product.frames, kind=product.kind, tolerance=options.search.tolerance
            )
            shape = product.frames[0].shape
            path = place(f"{product.name}.fit")
            beside = (lists[product.layer],) if product.layer in lists else ()
            trace = replace(product.trace, written=beside)
            masters[product.layer] = stack.enter_context(
                FitsMaster(path, shape, product.dtype, header, trace, verify=options.verify)
            )
            if product.layer in lists:
                hot[product.layer] = HotPixels(shape, hot_pixels)
        outputs = [
            Output(layer, (master, *([hot[layer]] if layer in hot else [])), master.dtype)
            for layer, master in masters.items()
        ]
        read = {product.layer: product.frames for product in recipe.products}
        sums = execute(recipe.graph, outputs, read, levels, plan, computer, options, also=frames)
        files: dict[str, Any] = {}
        counts, crcs = {}, {}
        for product in recipe.products:
            master = files[place(f"{product.name}.fit")] = masters[product.layer]
            if product.layer in hot:
                path = lists[product.layer]
                x, y = hot[product.layer].positions()
                counts[product.layer] = len(x)
                data = list_bytes(x, y)
                crcs[path] = zlib.crc32(data)
                files[path] = stack.enter_context(seal_list(path, data, verify=options.verify))
            master.seal(sums, crcs)
        _commit(files, checks, report, options, lists=crcs)
    for product in recipe.products:
        path = place(f"{product.name}.fit")
        report.made(path, f"{product.dtype}, " + ", ".join(product.steps))
        _warn_of_pixels(path, product.dtype, masters[product.layer])
        _warn_of_levels(path, product, levels)
        if product.layer in hot:
            report.made(lists[product.layer], _hottest(counts[product.layer]))
    report.end()


def execute(
    graph: TileGraph,
    outputs: Sequence[Output],
    read: Mapping[str, Sequence[Frame]],
    results: dict[str, Any],
    plan: Plan,
    computer: Computer,
    options: Options,
    *,
    also: Sequence[Frame] = (),
) -> dict[str, Sums]:
    """Run a graph with a progress bar, then make sure that no input changed meanwhile.

    `read` names the frames of each output's layer, `also` those that are read beside them; what
    single tasks return is put into `results`. Returns the sums of all of them by path.
    """
    frames = list({f.path: f for stack in (*read.values(), also) for f in stack}.values())
    stored = {name: sum(f.pixels.stored.itemsize for f in stack) for name, stack in read.items()}
    chunks = plan.grid.chunks
    singles = [name for name in graph.singles if name.startswith("levels")]
    share = sum(f.nbytes for f in frames) // len(singles) if singles else 0

    def on_done(key: Hashable, result: Any) -> None:
        if isinstance(key, tuple) and key[0] == "write":
            area = math.prod(c[i] for c, i in zip(chunks, key[2:], strict=True))
            progress.update(area * stored[key[1]])
        elif key in graph.singles:
            results[str(key)] = result
            progress.update(share if key in singles else 0)

    ledger = Ledger()
    try:
        total = sum(f.nbytes for stack in read.values() for f in stack) + share * len(singles)
        with Progress(total, quiet=options.quiet) as progress:
            try:
                computer.run(graph, outputs, frames, plan, on_done, ledger)
                # a cluster's threads are elsewhere
                here = (options.threads or CPU_COUNT) if plan.workers else plan.threads
                sums, remarks = reading.check_sums(frames, ledger, here)
            except Exception:
                reading.check_unchanged(frames)  # if an input changed, that explains it
                raise
        reading.check_unchanged(frames)
        for remark in remarks:
            warn(remark)
        return sums
    finally:
        reading.close_files()


def _commit(
    files: Mapping[str, Any],
    checks: Mapping[str, Callable[[], None]],
    report: Report,
    options: Options,
    *,
    lists: Mapping[str, int] = {},
) -> None:
    """Give sealed outputs their names, all or none; `lists` are those that are lists, with the
    CRC-32 of each."""
    foreign = [] if options.overwrite else [p for p, crc in lists.items() if _is_foreign(p, crc)]
    with uninterrupted(), kept(foreign) as copies:
        commit_all(files, checks)
        DONE.extend(files)
    for path, name in copies:
        report.say(
            f"{printable(path)} was there, and no master beside it says that {CREATOR} wrote it; "
            f"what it held is {printable(os.path.basename(name))}"
        )


def _is_foreign(path: str, crc: int) -> bool:
    """Whether a list holds something that may be the user's."""
    return os.path.isfile(path) and not is_ours(path) and file_crc(path) != crc


def _lists_in(spec: Sequence[str]) -> list[str]:
    """The lists of names in an input spec: they are inputs, too."""
    return [list_path(text) for text in as_texts(spec) if text and is_list(text)]


def _hottest(count: int) -> str:
    return f"{count} hottest pixels"


def _warn_of_pixels(path: str, dtype: str, master: Any) -> None:
    if master.clipped:
        warn(f"{printable(path)}: {master.clipped} pixels did not fit {dtype} and were clipped")
    if master.missing:
        what = "are NaN" if np.dtype(dtype).kind == "f" else "are 0"
        warn(f"{printable(path)}: {master.missing} pixels have no value in any frame and {what}")


def _warn_of_levels(path: str, product: Product, results: dict[str, Any]) -> None:
    found: list[FrameLevels] = [results[name] for name in product.levels if name in results]
    if not found:
        return
    stays = sum(part.uncorrected for part in found)
    if stays:
        warn(
            f"{printable(path)}: {stays} values of listed pixels have no good neighbour in "
            "their frame and stay as they are"
        )
    pixels = product.frames[0].pixels
    if pixels.floating or pixels.scaled:
        return
    full = np.iinfo(pixels.stored).max * (2 if pixels.other_sign and pixels.bitpix > 8 else 1)
    raw = np.concatenate([part.raw for part in found])
    low, high = float(np.nanmin(raw)) / full, float(np.nanmax(raw)) / full
    if low < LEVELS[0]:
        warn(f"{printable(path)}: raw level down to {low:.0%} of full scale; its noise counts")
    if high > LEVELS[1]:
        warn(f"{printable(path)}: raw level up to {high:.0%} of full scale; it may be saturated")


def _without_masters(
    frames: Sequence[Frame], inputs: Inputs, spec: Sequence[str], search: Search, report: Report
) -> list[Frame]:
    """Masters that lie among raw frames were not meant, unless a list names them; nor are those
    in a folder or mask that has nothing else."""
    masters = [f for f in frames if f.is_master and f.path not in inputs.explicit]
    if len(masters) == len(frames):
        folders = [s for s in spec if os.path.isdir(s) and not is_store(s)]
        if searched := folders + [s for s in spec if has_mask(s)]:
            deeper = "--recursive looks into the folders below; "
            raise PulsarError(
                f"only masters in {', '.join(map(printable, searched))}, such as "
                f"{printable(os.path.basename(masters[0].path))}; "
                f"{deeper if folders and not search.recursive else ''}"
                "to combine masters, name each of them, or a list of them"
            )
        return masters
    if masters:
        report.passed_over({"masters": len(masters)}, masters)
    return [f for f in frames if f not in masters]
