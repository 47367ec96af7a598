"""One JSON document of all that a command did, for programs: on stdout, when it is over.

`run.schema.json` says what is in it, and docs/programs.md what it means."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from pulsar_dask.cli.voices import Event

#: Of the document: the first number changes where a program that reads it must, too.
SCHEMA = "pulsar-dask/run", "1.1"
#: What is a list of its own in the document, beside warnings and errors.
LISTS = (
    "products", "planned", "frames", "masters", "library", "choices", "missing",
    "left_out", "failed", "verified", "plans", "settings", "notes",
)  # fmt: skip


class Document:
    """Keeps what happens, and prints it at the end."""

    lost = None
    programs = True

    def __init__(self, tool: str | None, command: Sequence[str], version: str) -> None:
        self._began = time.perf_counter()
        self._run: dict[str, Any] = {
            "schema": SCHEMA[0],
            "schema_version": SCHEMA[1],
            "program": "pulsar-dask",
            "version": version,
            "tool": tool,
            "command": list(command),
            "folder": os.getcwd(),
            "began": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        self._lists: dict[str, list[Any]] = {name: [] for name in (*LISTS, "warnings", "errors")}

    def hear(self, event: Event) -> None:
        data = dict(event.data)
        if event.level in ("warning", "error"):
            self._lists["left_out"] += data.pop("left_out", ())
            self._lists["failed"] += data.pop("failed", ())
            self._lists[f"{event.level}s"].append({"text": event.text, **data})
        elif event.kind in LISTS:
            self._lists[event.kind].append(data)
        elif event.kind is None and event.shown and event.level == "usual":
            self._lists["notes"].append(event.text)

    def end(self, status: int) -> None:
        self._lists["left_out"] = _once(self._lists["left_out"])
        names = {
            os.path.basename(p["path"]): p["path"]
            for p in [*self._lists["planned"], *self._lists["products"]]
        }
        for warning in self._lists["warnings"]:
            head = os.path.basename(warning["text"].partition(": ")[0])
            warning["product"] = names.get(head)
        ended = {
            "seconds": round(time.perf_counter() - self._began, 3),
            "peak_memory": _peak(),
            "status": status,
        }
        print_json(self._run | ended | self._lists)


def _once(left_out: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Each frame once, with all reasons."""
    reasons: dict[str, dict[str, None]] = {}
    for item in left_out:
        reasons.setdefault(item["path"], {})[item["reason"]] = None
    return [{"path": path, "reason": "; ".join(why)} for path, why in reasons.items()]


def print_json(document: Mapping[str, Any]) -> None:
    """Print it on stdout; what is no number is null, as JSON has none."""
    click.echo(json.dumps(_plain(document), indent=1, ensure_ascii=True, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float):  # NumPy's, too
        return float(value) if abs(value) < float("inf") else None
    if isinstance(value, (str, int, bool, type(None))):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)


def _peak() -> int | None:
    """Where the libraries that tell it are loaded, as they are where work was done."""
    import sys

    memory = sys.modules.get("pulsar_dask.engine.memory")
    return memory.peak_resident() if memory is not None else None
