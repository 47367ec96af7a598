"""Running a program as a whole process, and what the operating system says it took.

Only the standard library is imported here and in `bench.py`: a child process is born with
its parent's peak memory, so that a harness with large arrays would be counted in every
figure. What needs arrays (making frames, comparing results) runs in processes of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MB = 10**6


@dataclass(frozen=True)
class Run:
    """One run of a program."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds in user and system mode, of the process and all that it waited for."""
    peak: int
    """Bytes that were resident at once, in the largest process of the tree."""


@dataclass
class Runs:
    """The same program, several times."""

    runs: list[Run] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(r.wall for r in self.runs)

    @property
    def median(self) -> float:
        return statistics.median(r.wall for r in self.runs)

    @property
    def cpu(self) -> float:
        """Of the run that was best."""
        return min(self.runs, key=lambda r: r.wall).cpu

    @property
    def peak(self) -> int:
        """Of the run that took most."""
        return max(r.peak for r in self.runs)


class Failed(Exception):
    """A program ended with an error; the text is the last that it said."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
) -> Run:
    """Run a program to its end, its words in the file ``log`` of its folder.

    Raises
    ------
    Failed
    """
    log = cwd / "log"
    with open(log, "wb") as said, open(stdin or os.devnull, "rb") as heard:
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=heard,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Failed(f"{argv[0]}: {error.strerror}") from error
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"exit status {process.returncode}: {last_words(log)}")
    kilobytes = 1 if os.uname().sysname == "Darwin" else 1024
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * kilobytes)


def last_words(log: Path) -> str:
    """The last line of a log that says anything."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line[:200] for line in reversed(lines) if line), "no message")


def forget(paths: Sequence[Path]) -> None:
    """Drop files from the page cache; needs no rights, and no other file is touched."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
