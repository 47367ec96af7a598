"""The measurements of all sections, kept in one JSON file and written as Markdown."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass
class Table:
    """A table with a heading; cells are text."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    command: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    """Numbers for the plot."""

    def markdown(self) -> str:
        rule = ["---"] + ["---:"] * (len(self.columns) - 1)
        lines = [f"## {self.title}", ""]
        if self.rows:
            lines += [_line(self.columns), _line(rule), *map(_line, self.rows), ""]
        lines += [f"- {note}" for note in self.notes]
        lines += [""] if self.notes else []
        return "\n".join([*lines, f"`{self.command}`", ""])

    def text(self) -> str:
        """For the terminal: the same, in columns."""
        everything = [list(self.columns), *self.rows]
        widths = [max(len(r[i]) for r in everything) for i in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (everything if self.rows else [])
        ]
        return "\n".join([f"\n{self.title}", *lines, *(f"  {note}" for note in self.notes)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def save(
    path: Path, section: str, tables: Sequence[Table], load: float, version: str, against: str
) -> dict[str, Any]:
    """Put the tables of a section in the place of its earlier ones of that size; all sections."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[tables[0].title] = {
        "section": section,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "load": round(load, 1),
        "version": version,
        "against": against,
        "tables": [asdict(t) for t in tables],
    }
    path.write_text(json.dumps(results, indent=1))
    return results


def markdown(results: dict[str, Any], order: Sequence[str]) -> str:
    """All sections as one page."""
    parts = ["# Benchmark", "", "Written by `bench.py`; what the columns mean is in README.md.", ""]
    for kept in sorted(results.values(), key=lambda kept: order.index(kept["section"])):
        parts += [Table(**table).markdown() for table in kept["tables"]]
        parts += [f"Compare with {kept['against']}", ""] if "against" in kept else []
        measured = f"pulsar-dask {kept.get('version', '0.1.0')}, {kept['date']}, {kept['machine']}"
        parts += [f"*{measured}; load before: {kept['load']}*", ""]
    return "\n".join(parts)


def machine() -> str:
    """Cores, memory and processor."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*: (.*)", info.read_text())):
        cpu = found[1].strip()
    return (
        f"{cores} cores of {cpu}, {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
