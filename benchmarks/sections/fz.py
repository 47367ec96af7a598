"""`med` of Rice-compressed darks, against decompressing them alone on all cores."""

from __future__ import annotations

import shutil
from pathlib import Path

import peers
from harness import CORES, Bench, found, table, warm
from peers import HERE, Job, Missing, Stack
from report import Table

#: What a run is to be compared with.
AGAINST = "funpack of the same table, which decompresses to nowhere and takes no median."


def tables(bench: Bench) -> list[Table]:
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
