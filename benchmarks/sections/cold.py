"""Frames that are not in the page cache (the libraries are)."""

from __future__ import annotations

import os

import measure
import peers
from harness import COLUMNS, Bench, table, warm
from report import Table

#: What a run is to be compared with.
AGAINST = "`cat` of the same table, which is what the disk gives."


def tables(bench: Bench) -> list[Table]:
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
