"""Storage of 5 ms a read, as networks and object stores have: a library loaded before the C library
delays positioned reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import peers
from harness import COLUMNS, Bench, table, warm
from report import Table, ratio

#: What a run is to be compared with.
AGAINST = "`med` of the same table on files in the cache."
MICROSECONDS = 5_000


def tables(bench: Bench) -> list[Table]:
    if sys.platform != "linux" or not shutil.which("cc"):
        return [Table("Slow storage", COLUMNS, notes=["Linux and a C compiler can make it slow."])]
    library = bench.folder("library") / "slow.so"
    source = peers.HERE.parent / "tests" / "support" / "slowdisk.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    frames = bench.stack
    local = peers.med(frames, bench.folder("local"), "--threads", "2")
    slow = replace(
        peers.med(frames, bench.folder("slow"), "--threads", "2"),
        name=f"the same, {MICROSECONDS / 1000:g} ms a read",
        env={"LD_PRELOAD": str(library), "SLOW_US": str(MICROSECONDS)},
    )
    warm(local)
    made, measured = table(bench, f"Slow storage, {frames}, 2 threads", [local, slow], us=local)
    if local.name in measured.runs and slow.name in measured.runs:
        times = measured.runs[slow.name].best / measured.runs[local.name].best
        made.notes.append(f"5 ms a read takes {ratio(times)} times as long as none.")
    return [made]
