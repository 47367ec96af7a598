"""Time against frames, pixels, `--memory` and `--threads`, start-up told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import peers
from harness import CORES, TINY, Bench, drop, found, say, warm
from measure import MB, Run, Runs
from peers import Job, Stack
from report import Table, seconds

#: What a run is to be compared with.
AGAINST = "the other points of the same curve: its shape, not its seconds."


SIZES = (
    (1024, 1024),
    (2328, 1760),
    (4656, 3520),
    (6248, 4176),
    (9576, 6388),
    (14204, 10652),
)
"""Widths and heights of cameras from 1 to 150 Mpx."""


@dataclass(frozen=True)
class Point:
    x: float
    frames: Stack
    options: tuple[str, ...] = ()


def tables(bench: Bench) -> list[Table]:
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
            yield Point(count, bench.cloned(bench.stack, count))

    def by_pixels() -> Iterator[Point]:
        for w, h in SIZES:
            if w * h <= args.max_mpx * MB:
                source = bench.darks(min(5, depth), w, h)
                yield Point(round(w * h / MB, 1), bench.cloned(source, depth))

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
