"""What a tool says of its work, as events: how each of them is said, is up to who hears it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pulsar_dask.cli.voices import Event, error_event, tell
from pulsar_dask.engine import memory
from pulsar_dask.engine.cut import Plan
from pulsar_dask.errors import PulsarError, count, printable
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import GB, MB
from pulsar_dask.frames.passed import why
from pulsar_dask.frames.stack import describe_shape
from pulsar_dask.kernels import native


class Report:
    """Says what is done, from the start of a command on."""

    def __init__(self, *, quiet: bool, verbose: bool, dry: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.dry = dry
        """Whether nothing is made."""
        self.began = time.perf_counter()
        self.replaced: set[str] = set()
        """Paths of what there was before, and is not any more."""
        native.COMPILING[:] = [self._compiling]

    def _compiling(self) -> None:
        here = sys.stdout.isatty() and not self.quiet
        text = "compiling for this processor, which is kept: it is done once"
        tell(Event(text, "detail", shown=here or self.verbose))

    def say(self, text: str, *, always: bool = False) -> None:
        """`always`: also to those who want to hear nothing but what is wrong."""
        tell(Event(text, shown=always or not self.quiet, data={"odd": always}))

    def row(self, text: str) -> None:
        """A line that stays whole."""
        tell(Event(text, kind="rows"))

    def rows(self, lines: Sequence[Sequence[str]]) -> Iterator[None]:
        """Lines in columns, the first of them their names; more can be said after each."""
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            tell(Event("  ".join(cells).rstrip(), kind="rows", data={"cells": line}))
            yield

    def detail(self, text: str) -> None:
        """Said with --verbose."""
        tell(Event(text, "detail", shown=self.verbose))

    def know(self, kind: str, data: Mapping[str, Any]) -> None:
        """What programs are to know; see `document.LISTS`."""
        tell(Event(kind=kind, data=data))

    def error(self, error: PulsarError) -> None:
        """What cost only a part of the work."""
        tell(error_event(error))

    def passed_over(self, reasons: dict[str, int], frames: Iterable[Frame] = ()) -> None:
        """One line, counted by reason; with --verbose the frames too."""
        if any(reasons.values()):
            counts = (
                f"{n} {reason.removesuffix('s') if n == 1 else reason}"
                for reason, n in reasons.items()
                if n
            )
            self.say(f"passed over: {', '.join(counts)}")
        for frame in frames:
            reason = why(frame).removesuffix("s")
            self.detail(f"  {printable(frame.path)}: {reason}")
            self.know("left_out", {"path": frame.path, "reason": reason})

    def plan(self, frames: Sequence[Frame], plan: Plan, what: str | None = None) -> None:
        """What is read (`what`: the frames counted, in words), and how memory is used."""
        kinds = sorted({str(f.pixels.native) for f in frames})
        size = sum(f.nbytes for f in frames)
        self.say(
            f"{what or count(len(frames), 'frame')} of {describe_shape(frames[0].shape)} pixels, "
            f"{' and '.join(kinds)}, {size_text(size)}"
        )
        where = f"{count(plan.workers, 'worker')} of " if plan.workers else ""
        each = " each" if plan.workers else ""
        (self.say if self.dry else self.detail)(
            f"{count(len(plan.grid), 'tile')} of {plan.grid.width} x {plan.grid.height} pixels on "
            f"{where}{count(plan.threads, 'thread')}, "
            f"{size_text(plan.total)} of at most {size_text(plan.budget)}{each}"
        )
        for frame in frames:
            self.detail(f"  {printable(frame.path)}")
        for name, part in plan.parts.items():
            self.detail(f"  memory: {name} {size_text(part)}")
        self.know(
            "plans",
            {
                "frames": len(frames),
                "bytes": size,
                "tiles": len(plan.grid),
                "tile": [plan.grid.height, plan.grid.width],
                "threads": plan.threads,
                "workers": plan.workers,
                "memory": plan.total,
                "budget": plan.budget,
            },
        )

    def made(self, path: str, what: str) -> None:
        if self.dry:
            again = ", in place of what is there" if os.path.lexists(path) else ""
            self.say(f"{printable(path)} would be made: {printable(what)}{again}")
            return
        again = ", replaces what was there" if os.path.abspath(path) in self.replaced else ""
        self.say(f"{printable(path)}: {printable(what)}{again}")

    def end(self) -> None:
        if self.dry:
            self.say("dry run: nothing was made")
            return
        self.say(
            f"{time.perf_counter() - self.began:.2f} s, "
            f"peak memory {size_text(memory.peak_resident())}"
        )


def size_text(count: float) -> str:
    return f"{count / GB:.2f} GB" if count >= GB / 10 else f"{count / MB:.1f} MB"
