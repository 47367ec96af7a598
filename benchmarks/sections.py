"""What is measured: a function for each section, from sizes to tables."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import measure
import peers
from measure import MB, Failed, Run, Runs
from peers import HERE, Job, Missing, Stack
from report import Table, ratio, seconds

COLUMNS = ("", "version", "wall, best s", "median s", "CPU s", "peak MB", "x cat", "x us")
TINY = (5, 64, 64)
"""Frames, width and height of the stack whose time is all start-up."""
SIZES = (
    (1024, 1024),
    (2328, 1760),
    (4656, 3520),
    (6248, 4176),
    (9576, 6388),
    (14204, 10652),
)
"""Widths and heights of cameras from 1 to 150 Mpx."""
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Bench:
    """The options, the frames and a folder to work in."""

    args: argparse.Namespace
    data: Path
    scratch: Path
    used: int = 0

    @property
    def stack(self) -> Stack:
        """The darks of the main job."""
        return self.darks(self.args.frames, *self.args.size, self.args.distinct)

    def darks(self, count: int, width: int, height: int, distinct: int | None = None) -> Stack:
        return self._frames("darks", count, width, height, distinct)

    def flats(self) -> Stack:
        return self._frames("flats", self.args.flats, *self.args.size)

    def packed(self, stack: Stack) -> Stack:
        more = ("--source", str(stack.folder))
        return self._frames(
            "packed", stack.count, stack.width, stack.height, self.args.distinct, more
        )

    def _frames(
        self,
        kind: str,
        count: int,
        width: int,
        height: int,
        distinct: int | None = None,
        more: tuple[str, ...] = (),
    ) -> Stack:
        distinct = min(distinct or count, count)
        name = f"{kind}-{count}x{width}x{height}-{distinct}-{self.args.seed}"
        stack = Stack(self.data / name, count, width, height)
        if not stack.folder.exists():
            say(f"making {kind}: {stack}")
            options = {"count": count, "distinct": distinct, "width": width, "height": height}
            words = [w for k, v in options.items() for w in (f"--{k}", str(v))]
            argv = [sys.executable, str(HERE / "frames.py"), kind, str(stack.folder), *words]
            measure.run([*argv, "--seed", str(self.args.seed), *more], cwd=self.scratch)
        return stack

    def linked(self, source: Stack, count: int) -> Stack:
        """As many frames as wanted: other names (hard links) for those that there are."""
        stack = Stack(self.folder("linked"), count, source.width, source.height)
        originals = source.paths
        for i in range(count):
            os.link(originals[i % len(originals)], stack.folder / f"dark_{i + 1:04d}.fit")
        return stack

    def folder(self, name: str) -> Path:
        """A new, empty folder."""
        self.used += 1
        path = self.scratch / f"{self.used:03d}-{name}"
        path.mkdir()
        return path

    def tiny(self, *options: str) -> Job:
        """Our command on a stack so small that all its time is start-up.

        A small stack is combined without the compiled code, so what a large one loads is
        imported here by hand.
        """
        name = f"`med` on {TINY[0]} x {TINY[1]} x {TINY[2]} (start-up, compiled code loaded)"
        job = peers.med(self.darks(*TINY), self.folder("tiny"), *options, name=name)
        code = "import pulsar_dask.kernels.compiled; from pulsar_dask.start import med; med()"
        return replace(job, argv=[sys.executable, "-c", code, *job.argv[1:]])

    def time(self, jobs: Sequence[Job]) -> Measured:
        """Run programs in turn, several rounds, so that a slow minute meets all of them."""
        measured = Measured()
        for turn in range(self.args.repeat):
            for job in jobs:
                known = measured.runs.get(job.name)
                if job.name in measured.failed or (known and known.best > self.args.once_over):
                    continue
                say(f"{turn + 1}/{self.args.repeat} {job.name}")
                try:
                    job.prepare()
                    run = measure.run(job.argv, cwd=job.folder, env=job.env, stdin=job.stdin)
                    if job.output and not job.output.exists():
                        raise Failed(measure.last_words(job.folder / "log"))
                except Failed as error:
                    measured.failed[job.name] = str(error)
                else:
                    measured.runs.setdefault(job.name, Runs()).runs.append(run)
        return measured

    def compare(self, ours: Path, theirs: Path, *options: str) -> list[str]:
        """Two cells: pixels that differ, the largest difference."""
        argv = [sys.executable, str(HERE / "compare.py"), str(ours), str(theirs), *options]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            return ["?", done.stderr.strip().split("\n")[-1][:60]]
        found = json.loads(done.stdout)
        if "problem" in found:
            return ["all", found["problem"]]
        share = "" if not found["differ"] else f" ({found['differ'] / found['pixels']:.1%})"
        size = f"{found['largest']:.2%}" if options else f"{found['largest']:.3g}"
        return [
            f"{found['differ']}{share}",
            size + (" *" if found["normalised"] and not options else ""),
        ]


@dataclass
class Measured:
    """What several programs took, and which of them failed."""

    runs: dict[str, Runs] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def row(self, job: Job, cat: Runs | None, us: Runs | None) -> list[str]:
        runs = self.runs.get(job.name)
        if runs is None:
            return [job.name, job.version, "failed", *[""] * (len(COLUMNS) - 3)]
        return [
            job.name,
            job.version,
            seconds(runs.best),
            seconds(runs.median),
            seconds(runs.cpu),
            f"{runs.peak / MB:.0f}",
            ratio(runs.best / cat.best) if cat else "",
            ratio(runs.best / us.best) if us else "",
        ]

    def notes(self) -> list[str]:
        return [f"{name} failed: {why}" for name, why in self.failed.items()]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def found(makers: Sequence[Callable[[], Job]]) -> tuple[list[Job], list[str]]:
    """The jobs that can be run here, and what is missing."""
    jobs, missing = [], []
    for make in makers:
        try:
            jobs.append(make())
        except Missing as error:
            missing.append(f"Not installed, not measured: {error}.")
    return jobs, missing


def table(
    bench: Bench,
    title: str,
    jobs: Sequence[Job],
    *,
    us: Job | None = None,
    cat: Job | None = None,
    check: bool = False,
) -> tuple[Table, Measured]:
    """Time some programs and set their figures side by side."""
    measured = bench.time(jobs)
    runs_of_cat = measured.runs.get(cat.name) if cat else None
    runs_of_us = measured.runs.get(us.name) if us else None
    columns = [*COLUMNS, *(("pixels that differ", "by at most, ADU") if check else ())]
    made = Table(title, columns, notes=measured.notes())
    for job in jobs:
        row = measured.row(job, runs_of_cat, runs_of_us)
        if check:
            comparable = us and job is not us and job.output and job.name in measured.runs
            comparable = comparable and "start-up" not in job.name
            row += bench.compare(us.output, job.output) if comparable else ["", ""]
        made.rows.append(row)
    if any("*" in row[-1] for row in made.rows):
        made.notes.append(
            "* On the scale 0 to 1 in floats: differs where off by more than their last place, "
            "0.0078 ADU."
        )
    return made, measured


# --- the sections ----------------------------------------------------------------------


def stack(bench: Bench) -> list[Table]:
    """`med` and every peer."""
    frames = bench.stack
    cat = peers.cat(frames, bench.folder("cat"))
    us = peers.med(frames, bench.folder("med"))
    tiny = bench.tiny()
    others, missing = found(
        [
            lambda n=n: peers.PEERS[n](frames, bench.folder(n))  # type: ignore[misc]
            for n in bench.args.peers
        ]
    )
    warm(cat, tiny)
    jobs = [cat, us, tiny, *others]
    made, measured = table(bench, f"Median of {frames} darks", jobs, us=us, cat=cat, check=True)
    made.notes += missing
    runs = measured.runs
    if us.name in runs and tiny.name in runs and cat.name in runs:
        work = runs[us.name].best - runs[tiny.name].best
        made.notes.append(
            f"Without start-up, `med` takes {seconds(work)} s, "
            f"{ratio(work / runs[cat.name].best)} times `cat`."
        )
    return [made]


def dark(bench: Bench) -> list[Table]:
    """`makedark` on two exposures, lists included, against `med` on all frames."""
    frames = bench.stack
    us = peers.med(frames, bench.folder("med"))
    folder = bench.folder("makedark")
    makers = [lambda: makedark(frames, folder), lambda: us]
    jobs, missing = found(makers)
    warm(peers.cat(frames, bench.folder("cat")), bench.tiny())
    title = f"`makedark`, two exposures, {frames}, hot-pixel lists included"
    made, measured = table(bench, title, jobs, us=us)
    made.notes += missing
    if jobs[0] is not us and jobs[0].name in measured.runs:
        made.notes.append(check_dark(bench, frames, folder))
    return [made]


def makedark(frames: Stack, folder: Path) -> Job:
    argv = [peers.tool("makedark"), str(frames.folder), "--overwrite", "--quiet"]
    leftovers = ("dark*.fit", "cosme*.lst")
    version = peers.package("pulsar-dask")
    return Job("pulsar-dask `makedark`", argv, folder, version=version, leftovers=leftovers)


def check_dark(bench: Bench, frames: Stack, folder: Path) -> str:
    """Whether a dark is the median of its exposure's frames."""
    chosen = bench.folder("check")
    half = [p for i, p in enumerate(frames.paths) if 2 * i // frames.count == 0]
    (chosen / "list.txt").write_text("\n".join(map(str, half)) + "\n")
    expected = chosen / "expected.fit"
    measure.run([peers.tool("med"), f"@{chosen / 'list.txt'}", str(expected)], cwd=chosen)
    differ, largest = bench.compare(expected, folder / "dark120s.fit")
    return f"Pixels of `dark120s.fit` that differ from `med` of its frames: {differ}, by {largest}."


def flat(bench: Bench) -> list[Table]:
    """`makeflat` against Siril's calibration and stacking, and NumPy by hand."""
    frames = bench.flats()
    masters = frames.folder / "masters"
    cat = peers.cat(frames, bench.folder("cat"))
    makers = [
        lambda: makeflat(frames, masters, bench.folder("makeflat")),
        lambda: peers.siril_flats(frames, bench.folder("siril"), masters / "dark2s.fit"),
        lambda: flat_by_hand(frames, masters, bench.folder("numpy")),
    ]
    jobs, missing = found(makers)
    us = next((j for j in jobs if "makeflat" in j.name), None)
    warm(cat)
    title = f"`makeflat`, {frames}, dark and list of 10,000 pixels applied"
    made, measured = table(bench, title, [cat, *jobs], us=us, cat=cat)
    made.notes += missing
    for job in jobs:
        if job.name not in measured.runs:
            continue
        if us and job is not us and job.output and us.name in measured.runs:
            differ, largest = bench.compare(us.output, job.output, "--scaled")
            made.notes.append(
                f"{job.name}: brought to one level, pixels off by more than 0.1 % from ours: "
                f"{differ}; the largest by {largest}."
            )
        if job.written():
            made.notes.append(f"{job.name} leaves {job.written() / MB:.0f} MB of other files.")
    return [made]


def makeflat(frames: Stack, masters: Path, folder: Path) -> Job:
    argv = [peers.tool("makeflat"), str(frames.folder), "--overwrite", "--quiet"]
    for path in masters.iterdir():
        (folder / path.name).symlink_to(path)
    version = peers.package("pulsar-dask")
    output = folder / "flat_l.fit"
    name = "pulsar-dask `makeflat`"
    return Job(name, argv, folder, output, version, leftovers=("flat_*.fit",))


def flat_by_hand(frames: Stack, masters: Path, folder: Path) -> Job:
    python = peers.interpreter_with("numpy")
    output = folder / "result.fits"
    inputs = [masters / "dark2s.fit", masters / "cosme2s.lst", *frames.paths]
    argv = [python, str(HERE / "byhand.py"), "flat", str(output), *map(str, inputs)]
    return Job("NumPy by hand", argv, folder, output, peers.package("numpy", python))


def fz(bench: Bench) -> list[Table]:
    """Tile-compressed darks against decompressing them alone on all cores."""
    plain = bench.stack
    frames = bench.packed(plain)
    cat = peers.cat(frames, bench.folder("cat"))
    us = peers.med(frames, bench.folder("med"), name="`med` of the .fz")
    same = peers.med(plain, bench.folder("plain"), name="`med` of the same, not compressed")
    makers = [lambda: funpack(frames, bench.folder("funpack")), lambda: unpack(bench, frames)]
    others, missing = found(makers)
    warm(cat, bench.tiny())
    size = sum(p.stat().st_size for p in frames.paths) / 1e9
    title = f"Rice-compressed darks, {frames.count} x {frames.width} x {frames.height}"
    jobs = [cat, us, same, *others]
    made, _ = table(bench, f"{title} ({size:.2f} GB)", jobs, us=us, cat=cat, check=True)
    made.notes += missing
    return [made]


def funpack(frames: Stack, folder: Path) -> Job:
    if not shutil.which("funpack"):
        raise Missing("funpack (Debian: `libcfitsio-bin`)")
    each = f"xargs -0 -P {CORES} -n 1 funpack -S > /dev/null"
    argv = ["sh", "-c", f"printf '%s\\0' \"$@\" | {each}", "sh", *map(str, frames.paths)]
    name = f"funpack to nowhere, {CORES} at once"
    return Job(name, argv, folder, version=peers.says("funpack", "-V"))


def unpack(bench: Bench, frames: Stack) -> Job:
    python = peers.interpreter_with("astropy")
    paths = map(str, frames.paths)
    argv = [python, str(HERE / "byhand.py"), "unpack", "-", *paths]
    folder = bench.folder("astropy")
    name = f"astropy to nowhere, {CORES} processes"
    return Job(name, argv, folder, version=peers.package("astropy", python))


#: GB that each worker process may take in the benchmark of the cluster.
WORKER_GB = 0.5
#: The stack whose graph is measured: frames that are links, and tiles.
MANY_FRAMES, MANY_TILES = 1000, 2000


def cluster(bench: Bench) -> list[Table]:
    """Threads in the process against a cluster of processes on this machine."""
    frames = bench.stack
    us = peers.med(frames, bench.folder("med"), name=f"`med`, {CORES} threads")
    warm(peers.cat(frames, bench.folder("cat")), bench.tiny())
    with local_cluster(bench, CORES) as state:
        options = ("--scheduler", state["address"], "--memory", str(WORKER_GB))
        name = f"`med --scheduler`, {CORES} worker processes"
        theirs = peers.med(frames, bench.folder("scheduler"), *options, name=name)
        jobs = [us, theirs]
        title = f"Threads and a local cluster, {frames}"
        made, _ = table(bench, title, jobs, us=us, check=True)
    workers = ", ".join(f"{size / MB:.0f}" for size in state.get("workers", ()))
    made.notes += [
        f"The start of the cluster, {seconds(state['started'])} s, is not in these times.",
        f"Peak MB of its scheduler: {state.get('scheduler', 0) / MB:.0f}; "
        f"of its workers: {workers}, where `--memory` allows {WORKER_GB * 1000:.0f} MB each. "
        "The table's peak is the client's.",
    ]
    return [made, graph(bench)]


def graph(bench: Bench) -> Table:
    """What many frames in many tiles cost before the first result."""
    frames = bench.linked(bench.darks(5, 3124, 2088), MANY_FRAMES)
    folder = bench.folder("graph")
    with local_cluster(bench, CORES) as state:
        argv = [sys.executable, str(HERE / "graph.py"), state["address"], str(frames.folder)]
        done = subprocess.run([*argv, str(MANY_TILES)], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1])
    found = json.loads(done.stdout.splitlines()[-1])
    drop(frames, bench.scratch)
    made = Table(f"Before the first result: {frames} in {found['tiles']:.0f} tiles", ["", "", ""])
    for what, seconds_of, size in (
        ("headers read", "scan", None),
        ("workers see the frames, kernels loaded", "prepare", None),
        ("a command: shared values sent, to the first tile taken", "first", "job bytes"),
        ("a notebook: its graph built", "build", "graph bytes"),
        ("a notebook: its graph sent, to the first chunk computed", "array", None),
    ):
        bytes_of = f"{found[size] / 1000:.0f} kB" if size else ""
        made.rows.append([what, f"{seconds(found[seconds_of])} s", bytes_of])
    made.notes.append(
        f"A command's task: {found['task bytes']:.0f} bytes; {found['window']:.0f} of them are "
        f"under way at most. Resident in its client: {found['client'] / MB:.0f} MB, in the "
        f"scheduler at most {state.get('scheduler', 0) / MB:.0f} MB (with the notebook's graph)."
    )
    return made


@contextlib.contextmanager
def local_cluster(bench: Bench, workers: int) -> Iterator[dict[str, Any]]:
    """A cluster that runs meanwhile; what it says at its end is added to the answer."""
    say(f"starting a cluster of {workers} workers")
    folder = bench.folder("cluster")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "cluster.py"), str(workers)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        first = process.stdout.readline()
        if not first:
            process.wait()
            raise Failed(f"the cluster did not start: {measure.last_words(folder / 'log')}")
        state = json.loads(first)
        try:
            yield state
        finally:
            process.stdin.close()
            with contextlib.suppress(json.JSONDecodeError):
                state |= json.loads(process.stdout.readline())
            process.wait()


def startup(bench: Bench) -> list[Table]:
    """What a command takes before its first pixel."""
    small = bench.darks(10, 1024, 1024)
    libraries = "numpy, numba, astropy.io.fits, dask.threaded, psutil"
    us = peers.med(small, bench.folder("med"), name="`med` on 10 x 1 Mpx")
    first = replace(
        bench.tiny(), name="the same start-up, not compiled yet", folder=bench.folder("first")
    )
    first.env = {"NUMBA_CACHE_DIR": str(first.folder / "cache")}
    first.leftovers = ("cache",)
    help_ = Job("`med --help`", [peers.tool("med"), "--help"], bench.folder("help"))

    def python(name: str, code: str) -> Job:
        return Job(name, [sys.executable, "-c", code], bench.folder("python"))

    jobs = [
        python("Python, empty", "pass"),
        help_,
        python(f"import of {libraries}", f"import {libraries}"),
        python("import of all that `med` imports", "import pulsar_dask.commands"),
        bench.tiny(),
        us,
        first,
    ]
    warm(peers.cat(small, bench.folder("cat")), us)
    return [table(bench, "Start-up", jobs, us=us)[0]]


def cold(bench: Bench) -> list[Table]:
    """The frames not in the page cache (the libraries are)."""
    frames = bench.stack
    if not hasattr(os, "posix_fadvise"):
        return [Table("Cold cache", COLUMNS, notes=["This system cannot drop cached files."])]
    cat = peers.cat(frames, bench.folder("cat"))
    us = peers.med(frames, bench.folder("med"))
    hot = peers.med(frames, bench.folder("warm"), name="the same, cache warm")
    for job in (cat, us):
        job.before = lambda: measure.forget(frames.paths)
    warm(bench.tiny())
    made, _ = table(bench, f"Frames not in the cache, {frames}", [cat, us, hot], us=us, cat=cat)
    return [made]


def warm(*jobs: Job) -> None:
    """Run once, not timed: files into the page cache, kernels compiled."""
    for job in jobs:
        with contextlib.suppress(Failed):
            job.prepare()
            measure.run(job.argv, cwd=job.folder, env=job.env)


# --- scaling ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    x: float
    frames: Stack
    options: tuple[str, ...] = ()


def curves(bench: Bench) -> list[Table]:
    """Time against frames, pixels, budget and threads, start-up told apart."""
    tiny = bench.tiny()
    warm(tiny)
    startup = bench.time([tiny]).runs[tiny.name].best
    made = []
    for name, title, points in curve_points(bench):
        if name in bench.args.curves:
            beside = name in ("frames", "pixels")
            made.append(curve(bench, name, title, points, startup, beside=beside))
    return made


def curve_points(bench: Bench) -> Iterator[tuple[str, str, Iterator[Point]]]:
    """Each curve; its frames are made when it is measured."""
    args = bench.args
    width, height = args.size
    size = f"{width} x {height}"
    depth = min(20, args.frames)

    def by_frames() -> Iterator[Point]:
        for count in args.curve_frames:
            yield Point(count, bench.linked(bench.stack, count))

    def by_pixels() -> Iterator[Point]:
        for w, h in SIZES:
            if w * h <= args.max_mpx * MB:
                source = bench.darks(min(5, depth), w, h)
                yield Point(round(w * h / MB, 1), bench.linked(source, depth))

    def by_memory() -> Iterator[Point]:
        for budget in args.curve_memory:
            yield Point(budget, bench.stack, ("--memory", f"{budget:g}"))

    def by_threads() -> Iterator[Point]:
        for threads in args.curve_threads or range(1, 2 * CORES + 1):
            yield Point(threads, bench.stack, ("--threads", str(threads)))

    yield "frames", f"Time against frames of {size}", by_frames()
    yield "pixels", f"Time against pixels, {depth} frames", by_pixels()
    yield "memory", f"Time against `--memory`, {args.frames} x {size}", by_memory()
    yield "threads", f"Time against `--threads`, {args.frames} x {size}", by_threads()


def curve(
    bench: Bench, name: str, title: str, points: Iterator[Point], startup: float, *, beside: bool
) -> Table:
    columns = [name, "wall, best s", "less start-up s", "ns/frame/pixel", "CPU s", "peak MB"]
    others = ["cat", *(bench.args.curve_peers if beside else ())] if beside else []
    made = Table(title, [*columns, *(f"{other} s" for other in others)])
    xs: list[float] = []
    series: dict[str, list[float | None]] = {
        key: [] for key in ("med", "med, less start-up", *others)
    }
    for point in points:
        us = peers.med(point.frames, bench.folder("med"), *point.options)
        makers = [lambda o=o, p=point: other_job(bench, o, p.frames) for o in others]  # type: ignore[misc]
        jobs, missing = found(makers)
        made.notes += [note for note in missing if note not in made.notes]
        warm(peers.cat(point.frames, bench.folder("cat")))
        say(f"{title}: {point.x:g}")
        measured = bench.time([us, *jobs])
        made.notes += [f"{point.x:g}: {why}" for why in measured.failed.values()]
        runs = measured.runs.get(us.name)
        rest = [measured.runs.get(job.name) for job in jobs]
        made.rows.append(curve_row(point, runs, startup))
        made.rows[-1] += [seconds(r.best) if r else "" for r in rest]
        made.rows[-1] += [""] * (len(others) - len(jobs))
        xs.append(point.x)
        series["med"].append(runs.best if runs else None)
        series["med, less start-up"].append(runs.best - startup if runs else None)
        for other, r in zip(others, rest, strict=False):
            series[other].append(r.best if r else None)
        drop(point.frames, bench.scratch)
    made.notes.insert(
        0,
        f"Start-up: {seconds(startup)} s, the same command on {TINY[0]} x {TINY[1]} x {TINY[2]}.",
    )
    complete = {key: values for key, values in series.items() if len(values) == len(xs)}
    made.data = {"curve": name, "title": title, "x": xs, "startup": startup, "series": complete}
    return made


def other_job(bench: Bench, name: str, frames: Stack) -> Job:
    make = peers.cat if name == "cat" else peers.PEERS[name]
    return make(frames, bench.folder(name))


def curve_row(point: Point, runs: Runs | None, startup: float) -> list[str]:
    if runs is None:
        return [f"{point.x:g}", "failed", "", "", "", ""]
    work = runs.best - startup
    each = work / (point.frames.count * point.frames.pixels) * 1e9
    best: Run = min(runs.runs, key=lambda r: r.wall)
    return [
        f"{point.x:g}",
        seconds(runs.best),
        seconds(work),
        f"{each:.2f}",
        seconds(best.cpu),
        f"{runs.peak / MB:.0f}",
    ]


def drop(frames: Stack, scratch: Path) -> None:
    """Remove links that only one point has needed."""
    if frames.folder.is_relative_to(scratch):
        shutil.rmtree(frames.folder)


SECTIONS: dict[str, Callable[[Bench], list[Table]]] = {
    "stack": stack,
    "dark": dark,
    "flat": flat,
    "fz": fz,
    "cluster": cluster,
    "startup": startup,
    "cold": cold,
    "curves": curves,
}
