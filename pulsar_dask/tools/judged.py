"""What ``verify`` says of files, and the exit status that follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from pulsar_dask.cli.report import Report
from pulsar_dask.errors import count

#: Problems of one kind that are told one by one.
MOST_SAID = 20


class Status(IntEnum):
    """How much of a file can be trusted; exit status of ``verify``."""

    GOOD = 0
    WRONG = 1
    """Damaged, or not what it says; or it cannot be judged."""
    AWAY = 3
    """Nothing is wrong as far as can be seen, but files that it was made of are not there."""


def worst(statuses: Iterable[Status]) -> Status:
    """That of all together."""
    found = set(statuses)
    return next((s for s in (Status.WRONG, Status.AWAY) if s in found), Status.GOOD)


class Findings:
    """What is said of one file, and the status that follows."""

    def __init__(self, name: str, report: Report) -> None:
        self.name, self.report, self.status = name, report, Status.GOOD

    def say(self, text: str, status: Status = Status.GOOD) -> None:
        self.status = worst([self.status, status])
        self.report.say(f"{self.name}: {text}", always=status != Status.GOOD)

    def say_all(self, problems: Sequence[str], status: Status = Status.WRONG) -> None:
        for text in problems[:MOST_SAID]:
            self.say(text, status)
        if len(problems) > MOST_SAID:
            self.say(f"and {len(problems) - MOST_SAID} more like these", status)


def summary(statuses: Sequence[Status]) -> str:
    """A line on many files."""
    words = {
        Status.GOOD: "good",
        Status.WRONG: "damaged, different or not to be judged",
        Status.AWAY: "made of files that are not where they were",
    }
    counts = [f"{n} {text}" for status, text in words.items() if (n := statuses.count(status))]
    return f"{count(len(statuses), 'file')}: {', '.join(counts)}"
