"""`calibrate` of many lights against copying what it writes, and of four against Siril."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import measure
import peers
from harness import COLUMNS, Bench, found, table, warm
from peers import Job, Stack
from report import Table, ratio

#: What a run is to be compared with.
AGAINST = "`cp` and `cp` with `sync` of the same table (ours syncs, and reads back); Siril."
FEW = 4


def tables(bench: Bench) -> list[Table]:
    return [against_cp(bench), against_siril(bench)]


def against_cp(bench: Bench) -> Table:
    lights = bench.lights(bench.args.lights)
    title = f"`calibrate` with dark, flat and list, {lights}"
    if not hasattr(os, "posix_fadvise"):
        return Table(title, COLUMNS, notes=["This system cannot drop cached files."])
    first = calibrate(lights, bench.folder("written"))
    warm(first)
    written = sorted((first.folder / "out").iterdir())
    masters = sorted((lights.folder / "masters").iterdir())
    kinds: list[tuple[Job, list[Path]]] = [
        (copy(written, bench.folder("cp"), "`cp` of what is written", ""), written),
        (copy(written, bench.folder("sync"), "`cp`, then `sync`", ' && sync "$to"/*'), written),
        (calibrate(lights, bench.folder("ours")), [*lights.paths, *masters]),
        (calibrate(lights, bench.folder("plain"), "--no-verify"), [*lights.paths, *masters]),
    ]
    jobs: list[Job] = []
    folders = [job.folder / "out" for job, _ in kinds]
    for cold in (False, True):
        for job, reads in kinds:
            before = prepared(folders, reads if cold else [])
            name = job.name + (", cold" if cold else "")
            jobs.append(replace(job, name=name, before=before))
    made, measured = table(bench, title, jobs, us=jobs[2])
    for at in (0, 4):
        if any(job.name not in measured.runs for job in jobs[at : at + 4]):
            continue
        cp, sync, ours, plain = (measured.runs[job.name].median for job in jobs[at : at + 4])
        made.notes.append(
            f"{jobs[at + 2].name}, medians: {ratio(ours / cp)} times `cp`, {ratio(ours / sync)} "
            f"times `cp` with `sync`; not read back {ratio(plain / cp)} and {ratio(plain / sync)}."
        )
    return made


def against_siril(bench: Bench) -> Table:
    lights = bench.lights(FEW)
    masters = lights.folder / "masters"
    us = calibrate(lights, bench.folder("ours"))
    makers: list[Callable[[], Job]] = [
        lambda: peers.siril_lights(lights, bench.folder("siril"), masters, listed=True),
        lambda: peers.siril_lights(lights, bench.folder("siril"), masters, listed=False),
    ]
    jobs, missing = found(makers)
    warm(us, *jobs)
    made, _ = table(bench, f"`calibrate` against Siril, {lights}", [us, *jobs], us=us)
    made.notes += missing
    return made


def calibrate(lights: Stack, folder: Path, *options: str) -> Job:
    masters = lights.folder / "masters"
    argv = [peers.tool("calibrate"), str(lights.folder), "out/", "--bias-in-dark", "yes", "--quiet"]
    for option, name in (("-d", "dark120s.fit"), ("-f", "flat_l.fit"), ("-c", "cosme120s.lst")):
        argv += [option, str(masters / name)]
    name = " ".join(["pulsar-dask `calibrate`", *options])
    version = peers.package("pulsar-dask")
    return Job(name, [*argv, *options], folder, None, version, leftovers=("out",))


def copy(paths: list[Path], folder: Path, name: str, then: str) -> Job:
    script = f'to=out; mkdir $to && cp "$@" $to{then}'
    return Job(name, ["sh", "-c", script, "sh", *map(str, paths)], folder)


def prepared(folders: list[Path], cold: list[Path]) -> Callable[[], None]:
    """Nothing of the runs before is left, nor on its way to the disk; some files are not cached."""

    def before() -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        os.sync()
        measure.forget(cold)

    return before
