"""What a command takes before its first pixel."""

from __future__ import annotations

import sys
from dataclasses import replace

import peers
from harness import Bench, table, warm
from peers import Job
from report import Table

#: What a run is to be compared with.
AGAINST = "the import of the libraries of the same table, without which no large stack begins."


def tables(bench: Bench) -> list[Table]:
    small = bench.darks(10, 1024, 1024)
    libraries = "numpy, numba, astropy.io.fits, dask.threaded, psutil"
    us = peers.med(small, bench.folder("med"), name="`med` on 10 x 1 Mpx")
    first = replace(
        bench.tiny(), name="the same start-up, not compiled yet", folder=bench.folder("first")
    )
    # what is kept elsewhere was made with other settings
    first.env = {"NUMBA_CACHE_DIR": str(first.folder / "cache"), "NUMBA_OPT": "3"}
    first.leftovers = ("cache",)
    help_ = Job("`med --help`", [peers.tool("med"), "--help"], bench.folder("help"))

    def python(name: str, code: str) -> Job:
        return Job(name, [sys.executable, "-c", code], bench.folder("python"))

    jobs = [
        python("Python, empty", "pass"),
        help_,
        python(f"import of {libraries}", f"import {libraries}"),
        python("import of all that `med` imports", "import pulsar_dask.tools.med"),
        bench.tiny(),
        us,
        first,
    ]
    warm(peers.cat(small, bench.folder("cat")), us)
    return [table(bench, "Start-up", jobs, us=us)[0]]
