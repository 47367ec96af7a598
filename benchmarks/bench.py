"""The benchmark: our commands and their peers, as whole processes.

    python benchmarks/bench.py                  every section at the small size, minutes
    python benchmarks/bench.py stack --full     50 x 26 Mpx, every peer, once each if slow
    python benchmarks/bench.py curves           the scaling curves alone

README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import peers
import report
from harness import Bench, say
from measure import Failed
from sections import SECTIONS, section

HERE = Path(__file__).resolve().parent
SMALL = {"frames": 20, "size": (3124, 2088), "flats": 10, "lights": 10}
FULL = {"frames": 50, "size": (6248, 4176), "flats": 20, "lights": 40}
NAMES_A_PATH = ("data", "real", "out", "plot", "extra_python")


def main() -> int:
    parser = make_parser()
    args = parser.parse_args()
    for name, value in (FULL if args.full else SMALL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.curve_peers = [] if args.peers is None else args.peers
    args.peers = list(peers.PEERS) if args.peers is None else args.peers
    peers.EXTRA_PYTHON[:] = args.extra_python
    args.data.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in args.sections or SECTIONS:
        # The scratch folder lies with the frames, so that these can be linked to.
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=args.data) as scratch:
            bench = Bench(args, args.data.resolve(), Path(scratch).resolve())
            failed |= measure_section(bench, name)
    return failed


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sections", nargs="*", type=known, metavar="SECTION", help=", ".join(SECTIONS))
    add("--full", action="store_true", help="50 x 6248 x 4176 and 20 flats, not 20 x 3124 x 2088")
    add("--frames", type=int, metavar="N", help="darks in the stack")
    add("--size", type=size, metavar="WxH", help="pixels of a frame")
    add("--flats", type=int, metavar="N")
    add("--lights", type=int, metavar="N")
    add("--distinct", type=int, metavar="N", help="make N different darks; others are clones")
    add("--seed", type=int, default=1)
    add("--repeat", type=int, default=3, metavar="N", help="rounds (default: 3)")
    add("--once-over", type=float, default=15, metavar="S", help="do not repeat what takes longer")
    add("--peers", type=names, metavar="A,B", help=f"of {','.join(peers.PEERS)}, or none; all")
    add("--extra-python", action="append", default=[], metavar="PYTHON", help="also has packages")
    add("--data", type=Path, default=HERE / "data", metavar="DIR", help="frames and raw figures")
    add("--real", type=Path, default=HERE.parent.parent / "shared" / "real", metavar="DIR")
    add("--out", type=Path, default=HERE / "results.md", metavar="FILE", help="the tables")
    add("--plot", type=Path, default=HERE / "curves.svg", metavar="FILE", help=".svg or .png")
    curves = parser.add_argument_group("curves (--peers adds peers to frames and pixels)")
    add = curves.add_argument
    axes = ["frames", "pixels", "memory", "threads"]
    add("--curves", type=words, default=axes, metavar="A,B", help=f"of {','.join(axes)}; all")
    add("--curve-frames", type=counts, default=[5, 10, 20, 50, 100, 200, 400], metavar="N,N")
    add("--max-mpx", type=float, default=160, metavar="MPX", help="largest frame of pixels")
    add("--curve-memory", type=sizes, default=[0.3, 0.4, 0.5, 1, 2, 4, 8, 16], metavar="GB,GB")
    add("--curve-threads", type=counts, metavar="N,N", help="default: up to twice the cores")
    return parser


def known(text: str) -> str:
    if text not in SECTIONS:
        raise argparse.ArgumentTypeError(
            f"no such section: {text}; there are {', '.join(SECTIONS)}"
        )
    return text


def size(text: str) -> tuple[int, int]:
    width, height = text.lower().split("x")
    return int(width), int(height)


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def names(text: str) -> list[str]:
    chosen = [] if text == "none" else words(text)
    unknown = set(chosen) - set(peers.PEERS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(sorted(unknown))}")
    return chosen


def counts(text: str) -> list[int]:
    return [int(word) for word in words(text)]


def sizes(text: str) -> list[float]:
    return [float(word) for word in words(text)]


def command_line(section: str) -> str:
    """The command for one section, without what depends on the machine (folders)."""
    hidden = {"--" + name.replace("_", "-") for name in NAMES_A_PATH}
    kept, skip = [], False
    for word in sys.argv[1:]:
        option = word.split("=")[0]
        if not skip and option not in hidden and word not in SECTIONS:
            kept.append(word)
        skip = option in hidden and "=" not in word
    return shlex.join(["python", "benchmarks/bench.py", section, *kept])


def measure_section(bench: Bench, name: str) -> int:
    """Measure, print, and write the page anew; 1 if that was not possible."""
    load = os.getloadavg()[0]
    say(f"--- {name} (load {load:.1f})")
    measured = section(name)
    try:
        tables = measured.tables(bench)
    except (Failed, peers.Missing) as error:
        say(f"{name}: {error}")
        return 1
    for table in tables:
        table.command = command_line(name)
        print(table.text(), flush=True)
    print(f"\nCompare with {measured.AGAINST}", flush=True)
    kept = bench.data / "results.json"
    version = peers.package("pulsar-dask")
    results = report.save(kept, name, tables, load, version, measured.AGAINST)
    bench.args.out.write_text(report.markdown(results, SECTIONS))
    if name == "curves":
        plot(kept, bench.args.plot)
    return 0


def plot(results: Path, target: Path) -> None:
    try:
        python = peers.interpreter_with("matplotlib")
    except peers.Missing as error:
        say(f"no plot: {error}")
        return
    argv: list[Any] = [python, HERE / "plot.py", results, target]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        say(f"no plot: {done.stderr.strip().splitlines()[-1]}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
