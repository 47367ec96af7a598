"""`med` by each way to combine, and the clipped means of the peers, on the same darks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import peers
from harness import Bench, found, table, warm
from peers import Job, Stack
from report import Table

#: What a run is to be compared with.
AGAINST = "`med` of the same table; of a rule the peers that have it."

Maker = Callable[[Stack, Path], Job]
#: Each of our rules, and the peers that have it, with what they are given.
RULES: dict[str, list[Maker]] = {
    "minmax": [
        lambda stack, folder: peers.iraf(
            stack, folder, 'combine="average", reject="minmax"', "IRAF `imcombine reject=minmax`"
        )
    ],
    "sigclip": [
        lambda stack, folder: peers.siril_clipped(stack, folder, "s", "stack rej s 3 3"),
        lambda stack, folder: peers.iraf(
            stack, folder, 'combine="average", reject="sigclip"', "IRAF `imcombine reject=sigclip`"
        ),
        peers.gnuastro_clipped,
        lambda stack, folder: peers.by_hand_clipped(stack, folder, "ccdproc"),
        lambda stack, folder: peers.by_hand_clipped(stack, folder, "astropy"),
    ],
    "winsorized": [
        lambda stack, folder: peers.siril_clipped(stack, folder, "w", "stack rej w 3 3"),
    ],
    "ccdclip": [
        lambda stack, folder: peers.iraf(
            stack,
            folder,
            'combine="average", reject="ccdclip", lsigma=5., hsigma=3.5, rdnoise="4.", gain="1."',
            "IRAF `imcombine reject=ccdclip`",
        )
    ],
}
#: Limits as the peers have them, where ours are others.
LIKE = {"winsorized": ("--low", "3", "--high", "3")}


def tables(bench: Bench) -> list[Table]:
    frames = bench.stack
    us = peers.med(frames, bench.folder("med"))
    ours = [
        peers.med(
            frames,
            bench.folder(name),
            "--combine",
            name,
            *LIKE.get(name, ()),
            name=f"`med --combine {name}`",
        )
        for name in ("mean", "minmax", "sigclip", "winsorized", "ccdclip", "auto")
    ]
    planes = [
        peers.med(
            frames,
            bench.folder(f"{name}-planes"),
            "--combine",
            name,
            "--planes",
            "all",
            name=f"`med --combine {name} --planes all`",
        )
        for name in ("median", "ccdclip")
    ]
    jobs: list[Job] = []
    missing: list[str] = []
    of_rule: dict[str, str] = {}
    for rule, makers in RULES.items() if bench.args.peers else ():
        some, none = found([lambda m=m: m(frames, bench.folder("peer")) for m in makers])
        jobs += some
        missing += none
        of_rule |= {job.name: rule for job in some}
    warm(us)
    title = f"Combining {frames} darks"
    made, measured = table(bench, title, [us, *ours, *planes, *jobs], us=us)
    made.notes += list(dict.fromkeys(missing))
    by_rule = {job.name: job for job in ours}
    for job in jobs:
        rule = of_rule[job.name]
        own = by_rule[f"`med --combine {rule}`"]
        if job.name in measured.runs and own.name in measured.runs and job.output and own.output:
            differ, largest = bench.compare(own.output, job.output)
            made.notes.append(
                f"{job.name} against our {rule}: {differ} pixels differ, by at most {largest} ADU."
            )
    return [made]
