"""Many command lines, each in a process of its own, for the price of one start of Python.

    python many.py < jobs.json > results.json

A child is forked for each command line when the libraries are loaded, and runs it from the
arguments on as ``python -m pulsar_dask`` does. Where there is no fork each is started anew.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import command

#: Seconds after which a command is killed: it hangs.
PATIENCE = 60


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
    if not hasattr(os, "fork"):
        return [_alone(args, cwd) for args in texts]
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(texts), cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    return [Done(args, *result) for args, result in zip(texts, results, strict=True)]


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


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Everything in a folder: what files hold, where links lead."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = os.path.relpath(path, folder)
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else "no file"
    return found


def _alone(args: tuple[str, ...], cwd: Path) -> Done:
    done = subprocess.run(
        command(*args), cwd=cwd, capture_output=True, timeout=PATIENCE, errors="replace"
    )
    return Done(args, done.returncode, done.stdout, done.stderr)


def _forked(args: list[str]) -> tuple[int, str, str]:
    from pulsar_dask.cli import tools

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            signal.alarm(PATIENCE)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["pulsar_dask", *args]
            status = 70
            try:
                tools.run("pulsar_dask")
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 71
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _, wait = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        return os.waitstatus_to_exitcode(wait), texts[0], texts[1]


if __name__ == "__main__":
    import pulsar_dask.commands

    assert pulsar_dask.commands
    print(json.dumps([_forked(args) for args in json.loads(sys.stdin.read())]))
