"""Thousands of small frames, each a file of its own."""

from __future__ import annotations

import peers
from harness import Bench, table, warm
from report import Table

#: What a run is to be compared with.
AGAINST = "`cat` of the same table; CPU seconds, of another version those of a run in turn."
COUNT, SIDE, DISTINCT = 10_000, 256, 100


def tables(bench: Bench) -> list[Table]:
    frames = bench.cloned(bench.darks(DISTINCT, SIDE, SIDE), COUNT)
    cat = peers.cat(frames, bench.folder("cat"))
    us = peers.med(frames, bench.folder("med"))
    warm(cat, bench.tiny())
    return [table(bench, f"Many frames, {frames}", [cat, us], us=us, cat=cat)[0]]
