"""Who hears what a command says: the terminal, a log, a document for programs. What happens is told
once, as an event; each makes of it what it is for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import click

from pulsar_dask.cli.paint import painted
from pulsar_dask.cli.progress import Progress
from pulsar_dask.errors import PulsarError, printable, reason, terminal_text

#: What is said in columns, which stay whole.
ROWS = ("rows",)


@dataclass(frozen=True)
class Event:
    """Something that is said."""

    text: str = ""
    """In words; none where only programs are to know it."""
    level: str = "usual"
    """"warning" and "error" go to stderr, "usual" and "detail" to stdout."""
    kind: str | None = None
    """Where it goes in a document: the name of a list."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What programs are to know of it."""
    label: str = ""
    """What stands before the text, for people."""
    shown: bool = True
    """Whether people want to see it, or only a log has it."""

    @property
    def line(self) -> str:
        return terminal_text(f"{self.label}{self.text}")


def error_event(error: PulsarError, label: str = "error: ") -> Event:
    """An error, as it is said on a command line."""
    failed = [{"name": name, "reason": why} for name, why in getattr(error, "reasons", ())]
    data = {"code": error.code, "frames": error.frames, "failed": failed}
    return Event(error.on_command_line, "error", data=data, label=label)


def warning_event(message: Warning | str) -> Event:
    """A warning, of this program or of Python."""
    text = getattr(message, "on_command_line", str(message))
    frames = getattr(message, "frames", ())
    out = [{"path": path, "reason": text} for path in frames if getattr(message, "left_out", 0)]
    data = {"code": getattr(message, "code", "python"), "frames": frames, "left_out": out}
    return Event(text, "warning", data=data, label="warning: ")


class Voice(Protocol):
    """Says, or keeps, what happens."""

    def hear(self, event: Event) -> None:
        """Something happens."""

    def end(self, status: int) -> None:
        """The command is over."""

    @property
    def lost(self) -> str | None:
        """Why something could not be said, if it could not."""


class Terminal:
    """Lines on stdout and stderr."""

    lost = None

    def __init__(self, *, aside: bool = False) -> None:
        self.aside = aside
        """Whether all goes to stderr."""

    def hear(self, event: Event) -> None:
        if not event.text or not event.shown:
            return
        Progress.clear()
        err = self.aside or event.level in ("warning", "error")
        stream = sys.stderr if err else sys.stdout
        text = painted(event.line, event.level, stream, wrap=event.kind not in ROWS)
        click.echo(text, err=err, color=True)  # else it takes colours out that were asked for

    def end(self, status: int) -> None:
        pass


class Log:
    """Appends all to a file, with the time: what is said only with --verbose, too."""

    def __init__(self, path: str, command: Sequence[str], version: str) -> None:
        self.lost: str | None = None
        try:
            if os.path.isfile(path) and os.path.getsize(path) and not _is_log(path):
                raise PulsarError(
                    f"⟦log⟧ {printable(path)}: this file is no log of pulsar-dask, so nothing is "
                    "added to it; name another",
                    "output",
                )
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            self._file = os.fdopen(file, "a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise PulsarError(f"⟦log⟧ {printable(path)}: {reason(error)}", "output") from error
        self._write(f"pulsar-dask {version}: {' '.join(map(printable, command))}")
        self._write(f"in {printable(os.getcwd())}")

    def hear(self, event: Event) -> None:
        for line in event.line.split("\n") if event.text else ():
            self._write(line)

    def end(self, status: int) -> None:
        self._write(f"exit status {status}")

    def _write(self, line: str) -> None:
        try:
            # one write a line, so that lines of several runs do not mix
            self._file.write(f"{_now()} [{os.getpid()}] {line}\n")
            self._file.flush()
        except OSError as error:
            self.lost = self.lost or error.strerror


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _is_log(path: str) -> bool:
    """Whether a file begins as a log of ours: "2026-11-26T22:45:03+0000 [123] pulsar-dask …"."""
    with open(path, "rb") as file:
        return b"] pulsar-dask " in file.readline(100)


TERMINAL = Terminal()
VOICES: list[Voice] = [TERMINAL]


def for_programs() -> bool:
    """Whether somebody keeps what only programs are to know."""
    return any(getattr(voice, "programs", False) for voice in VOICES)


def tell(event: Event) -> None:
    """Something happens."""
    for voice in VOICES:
        voice.hear(event)
