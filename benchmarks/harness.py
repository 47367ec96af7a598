"""The frames of a benchmark, programs run in turn, and their figures side by side."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import measure
import peers
from frames import clone
from measure import MB, Failed, Runs
from peers import HERE, Job, Missing, Stack
from report import Table, ratio, seconds

COLUMNS = ("", "version", "wall, best s", "median s", "CPU s", "peak MB", "x cat", "x us")
TINY = (5, 64, 64)
"""Frames, width and height of the stack whose time is all start-up."""
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

    def lights(self, count: int) -> Stack:
        return self._frames("lights", count, *self.args.size, distinct=4)

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
        """As many frames as wanted: other names (hard links) for those that there are, which a
        command would count once."""
        return self._repeated(source, count, lambda first, path, i: os.link(first, path))

    def cloned(self, source: Stack, count: int) -> Stack:
        """The same as files of their own, as a command wants them."""
        return self._repeated(source, count, clone)

    def _repeated(
        self, source: Stack, count: int, make: Callable[[Path, Path, int], None]
    ) -> Stack:
        stack = Stack(self.folder("repeated"), count, source.width, source.height)
        for i in range(count):
            make(source.paths[i % len(source.paths)], stack.folder / f"dark_{i + 1:04d}.fit", i)
        return stack

    def folder(self, name: str) -> Path:
        """A new, empty folder."""
        self.used += 1
        path = self.scratch / f"{self.used:03d}-{name}"
        path.mkdir()
        return path

    def tiny(self, *options: str) -> Job:
        """Our command on a stack so small that all its time is start-up."""
        name = f"`med` on {TINY[0]} x {TINY[1]} x {TINY[2]} (start-up, compiled code loaded)"
        return peers.med(self.darks(*TINY), self.folder("tiny"), *options, name=name)

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


def warm(*jobs: Job) -> None:
    """Run once, not timed: files into the page cache, kernels compiled."""
    for job in jobs:
        with contextlib.suppress(Failed):
            job.prepare()
            measure.run(job.argv, cwd=job.folder, env=job.env)


def drop(frames: Stack, scratch: Path) -> None:
    """Remove frames that only one point has needed."""
    if frames.folder.is_relative_to(scratch):
        shutil.rmtree(frames.folder)
