"""`makeflat` against Siril's calibration and stacking, and NumPy by hand."""

from __future__ import annotations

from pathlib import Path

import peers
from harness import Bench, found, table, warm
from measure import MB
from peers import HERE, Job, Stack
from report import Table

#: What a run is to be compared with.
AGAINST = "Siril and NumPy of the same table."


def tables(bench: Bench) -> list[Table]:
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
