"""`med` and every peer on the same darks."""

from __future__ import annotations

import peers
from harness import Bench, found, table, warm
from report import Table, ratio, seconds

#: What a run is to be compared with.
AGAINST = (
    "`cat` and the peers of the same table; another version of `med` only where both were run in "
    "turn, on one machine in one hour."
)


def tables(bench: Bench) -> list[Table]:
    frames = bench.stack
    cat = peers.cat(frames, bench.folder("cat"))
    us = peers.med(frames, bench.folder("med"))
    tiny = bench.tiny()
    others, missing = found(
        [
            lambda n=n: peers.PEERS[n](frames, bench.folder(n))  # type: ignore[misc]
            for n in bench.args.peers
        ]
    )
    warm(cat, tiny)
    jobs = [cat, us, tiny, *others]
    made, measured = table(bench, f"Median of {frames} darks", jobs, us=us, cat=cat, check=True)
    made.notes += missing
    runs = measured.runs
    if us.name in runs and tiny.name in runs and cat.name in runs:
        work = runs[us.name].best - runs[tiny.name].best
        made.notes.append(
            f"Without start-up, `med` takes {seconds(work)} s, "
            f"{ratio(work / runs[cat.name].best)} times `cat`."
        )
    return [made]
