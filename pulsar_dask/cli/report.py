"""What a command says: results and the summary on stdout, progress and warnings on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click

from pulsar_dask.engine import memory
from pulsar_dask.engine.cut import Plan
from pulsar_dask.errors import count, printable, terminal_text
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import GB, MB
from pulsar_dask.frames.passed import why
from pulsar_dask.frames.stack import describe_shape


class Report:
    """Says what is done, from the start of a command on."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.began = time.perf_counter()

    def say(self, text: str, *, always: bool = False) -> None:
        if always or not self.quiet:
            click.echo(terminal_text(text))

    def passed_over(self, reasons: dict[str, int], frames: Iterable[Frame] = ()) -> None:
        """One line, counted by reason; with --verbose the frames too."""
        if any(reasons.values()):
            counts = (
                f"{n} {reason.removesuffix('s') if n == 1 else reason}"
                for reason, n in reasons.items()
                if n
            )
            self.say(f"passed over: {', '.join(counts)}")
        if self.verbose:
            for frame in frames:
                self.say(f"  {printable(frame.path)}: {why(frame).removesuffix('s')}")

    def plan(self, frames: Sequence[Frame], plan: Plan, what: str | None = None) -> None:
        """What is read (`what`: the frames counted, in words), and how memory is used."""
        kinds = sorted({str(f.pixels.native) for f in frames})
        self.say(
            f"{what or count(len(frames), 'frame')} of {describe_shape(frames[0].shape)} pixels, "
            f"{' and '.join(kinds)}, {size_text(sum(f.nbytes for f in frames))}"
        )
        where = f"{count(plan.workers, 'worker')} of " if plan.workers else ""
        each = " each" if plan.workers else ""
        self.say(
            f"{count(len(plan.grid), 'tile')} of {plan.grid.width} x {plan.grid.height} pixels on "
            f"{where}{count(plan.threads, 'thread')}, "
            f"{size_text(plan.total)} of at most {size_text(plan.budget)}{each}"
        )
        if self.verbose:
            for frame in frames:
                self.say(f"  {printable(frame.path)}")
            for name, size in plan.parts.items():
                self.say(f"  memory: {name} {size_text(size)}")

    def made(self, path: str, what: str) -> None:
        self.say(f"{printable(path)}: {printable(what)}")

    def end(self) -> None:
        self.say(
            f"{time.perf_counter() - self.began:.2f} s, "
            f"peak memory {size_text(memory.peak_resident())}"
        )


def size_text(count: float) -> str:
    return f"{count / GB:.2f} GB" if count >= GB / 10 else f"{count / MB:.1f} MB"


class Progress:
    """A bar on a terminal: share done, speed, time left. Elsewhere nothing."""

    _current: Any = None

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                unit="B",
                unit_scale=True,
                leave=False,
                file=sys.stderr,
                mininterval=0.1,
            )
            Progress._current = self._bar

    def update(self, count: int) -> None:
        """So many bytes of pixels more are done."""
        if self._bar is not None:
            self._bar.update(count)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            Progress._current = None

    @classmethod
    def clear(cls) -> None:
        """Make room for a line on the terminal."""
        if cls._current is not None:
            cls._current.clear()
