"""Many command lines one after the other, and what is to be found after them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server import forked


@dataclass(frozen=True)
class Done:
    """What a command line led to."""

    args: tuple[str, ...]
    status: int
    out: str
    err: str


def run_many(lines: list[tuple[Any, ...]], cwd: Path) -> list[Done]:
    """Run command lines one after the other in a folder."""
    texts = [tuple(map(str, line)) for line in lines]
    return [Done(args, *forked(args, cwd)[:3]) for args in texts]


def refused(done: Done, *says: str, status: int = 1) -> None:
    """Assert that a command failed as it should: one or two lines that say what and no more."""
    assert done.status == status, done
    for part in says:
        assert part in done.err, done
    assert "Traceback" not in done.err, done
    assert "should not happen" not in done.err, done
    assert quiet_terminal(done.out + done.err), done
    lines = [
        line for line in done.err.split("\n") if not line.startswith(("Usage:", "Try ", "warn"))
    ]
    assert 1 <= len([line for line in lines if line]) <= 2, done


def quiet_terminal(text: str) -> bool:
    """Whether a text holds no control character but the ends of lines."""
    return text.replace("\n", "").isprintable()
