"""Where the time of `med` goes: ``python benchmarks/phases.py FOLDER [--threads N] [--runs N]``.

Runs the command in a process of its own with a clock around its parts. Parts that run on the
threads of the tiles are added up over the threads, so that they are compared with threads x wall
time. The clocks cost a few microseconds for each call; the best of some runs is shown.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

#: Part of the work: the module that calls it, and the function (or class and method) that does it.
PARTS = {
    "find files": ("masters.search", "Search.find"),
    "read headers": ("tools.med", "scan_frames"),
    "make the header": ("output.fits_sink", "master_header"),
    "load the compiler and kernels": ("kernels.loading", "warm_up"),
    "plan": ("engine.make", "make_plan"),
    "claim space": ("files.atomic", "AtomicFile.__init__"),
    "make the graph": ("engine.graph", "Graph.tasks"),
    "run the tiles": ("engine.threads", "Threads.run"),
    "check the sums": ("formats.sums", "check_sums"),
    "sync": ("files.atomic", "sync"),
    "read back": ("files.atomic", "AtomicFile._read_back"),
    "take the name": ("files.atomic", "AtomicFile.commit"),
}
#: The same on the threads of the tiles.
TILE_PARTS = {
    "read and sum": ("formats.reading", "read_stack"),
    "select": ("kernels.median", "_select_compiled"),
    "other median": ("kernels.median", "median"),
    "round": ("output.laid", "encode"),
    "write": ("files.atomic", "AtomicFile.write"),
    "sum": ("output.laid", "Laid.put"),
    "rest of a tile": ("engine.graph", "evaluate"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.folder, args.child, args.threads)
        return
    best = min(
        (measured(args.folder, args.threads) for _ in range(args.runs)), key=lambda m: m["ended"]
    )
    show(best, args.threads)
    print()
    show_imports(args.folder)


# --- the process that is measured --------------------------------------------------------------


class Clock:
    """Time in functions, without that in others that have a clock."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._local = threading.local()
        self._lock = threading.Lock()

    def wrap(self, name: str, function: Any) -> Any:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            stack = self._local.__dict__.setdefault("stack", [])
            stack.append(0.0)
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.perf_counter() - began
                inner = stack.pop()
                if stack:
                    stack[-1] += took
                with self._lock:
                    self.spent[name] += took - inner
                    self.calls[name] += 1

        return timed


def child(folder: Path, result: Path, threads: int) -> None:
    marks = {"Python": time.time()}
    import pulsar_dask.tools.commands  # noqa: F401

    marks["command line"] = time.time()
    from pulsar_dask.tools.med import med
    from pulsar_dask.tools.options import Options

    marks["libraries"] = time.time()
    from pulsar_dask.kernels import loading

    clock = Clock()
    for name, (module, place) in PARTS.items():
        replace(clock, name, module, place)
    warm = loading.warm_up

    def then_wrap(*arguments: Any) -> None:
        warm(*arguments)  # before that the compiled code is not loaded
        for name, (module, place) in TILE_PARTS.items():
            replace(clock, name, module, place)
        clock.spent["write"] = clock.calls["write"] = 0

    loading.warm_up = then_wrap
    med(
        [str(folder)],
        str(result.with_suffix(".fit")),
        dtype=None,
        options=Options(quiet=True, threads=threads),
    )
    marks["work"] = time.time()
    result.write_text(json.dumps({"marks": marks, "spent": clock.spent, "calls": clock.calls}))
    os._exit(0)  # as the command does


def replace(clock: Clock, name: str, module: str, place: str) -> None:
    holder: Any = sys.modules[f"pulsar_dask.{module}"]
    *path, last = place.split(".")
    for part in path:
        holder = getattr(holder, part)
    setattr(holder, last, clock.wrap(name, getattr(holder, last)))


# --- the one that measures ---------------------------------------------------------------------


def measured(folder: Path, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder.resolve().parent) as there:
        result = Path(there, "result.json")
        arguments = [str(folder), "--threads", str(threads), "--child", str(result)]
        began = time.time()
        subprocess.run([sys.executable, __file__, *arguments], check=True)
        found: dict[str, Any] = json.loads(result.read_text())
        found["began"], found["ended"] = began, time.time() - began
        return found


def show(found: dict[str, Any], threads: int) -> None:
    marks, spent = found["marks"], found["spent"]
    rows: list[tuple[str, float, str]] = []
    before = found["began"]
    for name, at in marks.items():
        if name == "work":
            rows += [(part, spent.get(part, 0.0), "") for part in PARTS if part != "run the tiles"]
            tiles = spent["run the tiles"]  # what other threads do is not taken from it
            rows.append((f"tiles, on {threads} threads", tiles, ""))
            told = sum(spent.get(part, 0.0) for part in TILE_PARTS)
            for part in TILE_PARTS:
                share = spent.get(part, 0.0) / threads
                rows.append((f"- {part}", share, f"{found['calls'].get(part, 0)} calls"))
            rows.append(("- scheduling, waiting", tiles - told / threads, ""))
            named = sum(t for n, t, _ in rows[3:] if not n.startswith("- "))
            rows.append(("other work", at - before - named, ""))
        else:
            rows.append((f"load: {name}", at - before, ""))
        before = at
    rows.append(("end of the process", found["began"] + found["ended"] - before, ""))
    rows.append(("all", found["ended"], ""))
    print("| part | ms | |\n|---|---|---|")
    for name, seconds, remark in rows:
        print(f"| {name} | {seconds * 1000:.0f} | {remark} |")


def show_imports(folder: Path) -> None:
    """Time of imports by library, its own modules and those that only it brings."""
    code = "import pulsar_dask.tools.med, dask.threaded; import pulsar_dask.inputs.prefetch"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    by_library: dict[str, float] = defaultdict(float)
    for line in done.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdecimal():
            name = fields[2].strip().split(".")[0]
            known = name if name in LIBRARIES else "Python's own"
            by_library[known] += int(fields[0]) / 1000
    print("| modules of | ms, each module by itself |\n|---|---|")
    for name, milliseconds in sorted(by_library.items(), key=lambda item: -item[1]):
        print(f"| {name} | {milliseconds:.0f} |")


LIBRARIES = {
    "pulsar_dask", "numpy", "astropy", "dask", "numba", "llvmlite", "click", "psutil", "toolz",
    "yaml", "cloudpickle", "fsspec", "erfa", "xarray", "pandas", "zarr", "distributed", "tqdm",
}  # fmt: skip


if __name__ == "__main__":
    main()
