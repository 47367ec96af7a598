"""What a command says, as a page to look at: `--report` of the commands that make no masters. It is
one more who hears all that is said, so that these know nothing of it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from pulsar_dask.cli.listen import COMMAND
from pulsar_dask.cli.voices import ROWS, VOICES, Event
from pulsar_dask.errors import PulsarError, printable

#: What was not begun, or not ended, has no page.
_NO_PAGE = ("usage", "interrupted")
#: Frames of a remark that its own text names.
_TOLD = 3


class HeardPage:
    """See `voices.Voice`."""

    def __init__(self, path: str, ctx: click.Context) -> None:
        self.lost: str | None = None
        self._path, self._ctx = path, ctx
        self._began = time.perf_counter()
        self._remarks: list[dict[str, Any]] = []
        self._rows: list[Sequence[str]] = []
        self._words: dict[str, list[str]] = {}
        """What was said, by what it was said of."""
        self._codes: set[str] = set()
        from pulsar_dask.output.page import check_page  # which --help does not need

        check_page(path, overwrite=None)

    def hear(self, event: Event) -> None:
        if event.level in ("warning", "error") or event.data.get("odd"):
            self._remark(event.text, event.data)
        elif event.kind in ROWS:
            self._rows.append(event.data.get("cells", [event.text.strip()]))
        elif event.level == "usual" and event.text:
            head, colon, rest = event.text.partition(": ")
            self._words.setdefault(head if colon else "", []).append(rest if colon else event.text)

    def _remark(self, text: str, data: Mapping[str, Any]) -> None:
        self._codes.add(data.get("code", ""))
        names = [printable(os.path.basename(path)) for path in data.get("frames", ())]
        self._remarks.append({"text": text, "frames": names if len(names) > _TOLD else []})

    def end(self, status: int) -> None:
        from pulsar_dask.cli.report import Report
        from pulsar_dask.output.page import write_page

        if self._codes.intersection(_NO_PAGE):
            return
        asked = self._ctx.params
        report = Report(
            quiet=bool(asked.get("quiet")), verbose=False, dry=bool(asked.get("dry_run"))
        )
        there = {os.path.abspath(self._path)} if os.path.lexists(self._path) else set()
        known = {"path": os.path.abspath(self._path), "what": "report", "replaces": bool(there)}
        if not report.dry:
            try:
                write_page(self._path, self._content(status), overwrite=None)
            except PulsarError as error:
                self.lost = error.on_command_line
                return
            report.replaced |= there
        report.made(self._path, "report")
        report.know("planned" if report.dry else "products", known)

    def _content(self, status: int) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        took = f"{time.perf_counter() - self._began:.1f} s"
        command = f"cd {shlex.quote(os.getcwd())}\n{shlex.join(COMMAND)}"
        name = self._ctx.command_path
        return {
            "title": f"Report of {name}",
            "verdict": {**self._verdict(status), "remarks": self._remarks},
            "lights": None,
            "sheets": [],
            "heard": {"title": name, "rows": self._rows, "words": list(self._words.items())},
            "commands": [{"what": "The command that made this:", "text": command}],
            "facts": [("written", now), ("took", took)],
        }

    def _verdict(self, status: int) -> dict[str, str]:
        if status == 1:
            return {"state": "bad", "text": "Not all is as it should be."}
        if status or self._remarks:
            return {"state": "look", "text": "It worked; look at this."}
        if any(len(row) == 1 for row in self._rows):  # as of a master that is stale
            return {"state": "look", "text": "It worked; look at what is marked in the table."}
        return {"state": "good", "text": "It worked, and nothing is odd."}


def _begin(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        VOICES.insert(0, HeardPage(value, ctx))  # others are told that it was written


heard_report = click.option(
    "--report",
    metavar="FILE.html",
    type=click.Path(dir_okay=False),
    callback=_begin,
    expose_value=False,
    help="Write a page to look at: a verdict, what was warned of, the table, what was said.",
)
