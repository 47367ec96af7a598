"""``python -m pulsar_dask.demo [FOLDER]``: the guide's workflow on a synthetic night.

Runs the commands of the guide's Complete Workflow Example as a user would, and compares what they
made with what the frames were made from. Exits with 1 where that does not agree.
"""

from __future__ import annotations

import argparse
import glob
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from pulsar_dask.demo import (
    FLAT_EXPOSURE,
    FRAMES,
    HEIGHT,
    HOT_PIXELS,
    README,
    REPORT,
    SEED,
    WIDTH,
    make_night,
    make_sensor,
)
from pulsar_dask.demo.check import check, report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pulsar_dask.demo",
        description="Make a synthetic night, run the whole workflow on it, check the result.",
    )
    parser.add_argument("folder", nargs="?", default="demo", help="[default: demo]")
    folder = Path(parser.parse_args(arguments).folder)

    try:
        return run(folder)
    except OSError as error:
        print(f"{error.filename or folder}: {error.strerror or error}", file=sys.stderr)
        return 1


def run(folder: Path) -> int:
    """Make, run and check; returns the exit status."""
    if folder.is_dir() and not (folder / README).exists() and any(folder.iterdir()):
        print(f"{folder}: holds files that are not the demo's; name a new folder", file=sys.stderr)
        return 1
    began = time.perf_counter()
    sensor = make_sensor()
    frames = make_night(folder, sensor)
    layout = {
        "bias0001.fit ...": f"{FRAMES} bias frames",
        "darks/": f"{FRAMES} darks each of 120 s and 300 s, and a light frame",
        "flatdarks/": f"{FRAMES} darks of {FLAT_EXPOSURE} s, the exposure of the flats",
        "flats/": f"{FRAMES} flats each of L, R and Ha, and a light frame",
        "lights/": "the sky in each filter, for 120 s and 300 s",
        "all:": f"{HOT_PIXELS} hot pixels, vignetting, dust that differs from filter to filter",
    }
    print(
        f"A synthetic night in {folder}: {frames} frames of {WIDTH} x {HEIGHT} pixels, "
        f"made in {time.perf_counter() - began:.1f} s (seed {SEED})"
    )
    for where, what in layout.items():
        print(f"  {where:<18}{what}")
    status = run_workflow(folder)
    if status:
        print(f"\nThe command above failed with exit status {status}.")
        return 1
    failed = report(check(folder, sensor), folder / REPORT)
    if not failed:
        print(f"\nNext:\n{next_steps(folder)}")
    return failed


#: What to do with the masters of the demo, and what it is for.
NEXT = {
    "pulsar-dask verify dark300s.fit": "whether a master can be trusted",
    "pulsar-dask frames darks/": "what is understood of each frame",
    "makedark darks/ bias.fit --dry-run": "what would be made of them",
    "makedark --help": "each command has one, with examples",
}


def next_steps(folder: Path) -> str:
    """Lines to copy: into the folder, the commands onto the PATH, the commands."""
    windows = os.name == "nt"
    script = Path(sys.prefix, "Scripts" if windows else "bin", "activate")
    lines = {f"cd {_quoted(str(folder))}": ""}
    if shutil.which("makedark") is None and script.exists():
        there = f"{'' if windows else 'source '}{_quoted(str(script))}"
        lines = {there: "the commands are on your PATH then"} | lines
    lines |= NEXT
    wide = max(map(len, NEXT))
    texts = [f"  {line:<{wide}}  {words}".rstrip() for line, words in lines.items()]
    return "\n".join(
        [*texts, "And the same in a folder of your own frames, laid out like this one."]
    )


def _quoted(path: str) -> str:
    return f'"{path}"' if os.name == "nt" and " " in path else shlex.quote(path)


def run_workflow(folder: Path) -> int:
    """The guide's Complete Workflow Example; returns the first exit status that is not 0.

    The guide takes the dark of the flats' exposure as made. It is made here, without a bias:
    the flats hold the bias too, and makeflat subtracts nothing else from them.
    """
    steps = (
        ("Step 1: Create master bias", "med bias*.fit bias.fit"),
        ("Step 2: Create master darks (also creates cosme lists)", "makedark darks/ bias.fit"),
        ("Before step 3: the flats' own dark, with the bias left in it", "makedark flatdarks/"),
        ("Step 3: Create master flats", "makeflat flats/"),
        ("Then: calibrate lights with them", "autocalibrate lights/ calibrated/ . ."),
        ("A look at all of them", f"pulsar-dask report . --quiet -o {REPORT}"),
    )
    print(f"\n$ cd {folder}")
    for title, line in steps:
        print(f"\n# {title}\n$ {line}", flush=True)
        # As a shell does it, on every system: a mask becomes the files that it matches. As a
        # module, because the folder of the scripts need not be on PATH.
        words = [w for word in line.split() for w in _expanded(word, folder)]
        if words[0] == "pulsar-dask":
            del words[0]
        command = [sys.executable, "-m", "pulsar_dask", *words]
        done = subprocess.run(command, cwd=folder, stderr=subprocess.STDOUT)
        if done.returncode:
            return done.returncode
    print("\n# Step 4: Verify results\n$ ls *.fit *.lst")
    names = sorted(p.name for p in folder.iterdir() if p.suffix in (".fit", ".lst"))
    frames = [n for n in names if n.startswith("bias0")]
    line = f"{frames[0]} ... {frames[-1]} " + " ".join(n for n in names if n not in frames)
    print(textwrap.fill(line, 80))
    return 0


def _expanded(word: str, folder: Path) -> list[str]:
    if not glob.has_magic(word):
        return [word]
    return sorted(p.name for p in folder.glob(word))


if __name__ == "__main__":
    sys.exit(main())
