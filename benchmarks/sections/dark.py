"""`makedark` on two exposures, lists included, against `med` on all frames."""

from __future__ import annotations

from pathlib import Path

import measure
import peers
from harness import Bench, found, table, warm
from peers import Job, Stack
from report import Table

#: What a run is to be compared with.
AGAINST = "`med` of the same table: the ratio, not the seconds."


def tables(bench: Bench) -> list[Table]:
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
