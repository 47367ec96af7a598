"""Commands that fail, or are killed, at the n-th step of giving their outputs names.

Each runs in a process of its own, forked from one that has loaded the libraries. A step is a
call of the system that names, moves or removes something.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from server import prepare

STEPS = ("mkdir", "link", "rename", "replace", "unlink", "rmdir", "fsync")


class Done(NamedTuple):
    status: int
    err: str
    struck: bool
    """Whether there was an n-th step."""


def struck(args: list[Any], cwd: Path, number: int, how: str) -> Done:
    """Run a command line in a folder; its step `number` (from 1) is to "fail" or "kill"."""
    driver = _driver()
    assert driver.stdin is not None
    assert driver.stdout is not None
    print(json.dumps([list(map(str, args)), str(cwd), number, how]), file=driver.stdin, flush=True)
    return Done(*json.loads(driver.stdout.readline()))


@functools.cache
def _driver() -> subprocess.Popen[str]:
    """It ends when its input does."""
    return subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _arm(number: int, how: str, mark: int) -> None:
    from pulsar_dask.files import atomicfolder
    from pulsar_dask.tools import options

    count, active = 0, False

    def step(real: Any, otherwise: Any = None) -> Any:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += active
            if not active or count != number:
                return real(*args, **kwargs)
            os.write(mark, b"x")
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if otherwise is not None:
                return otherwise
            raise PermissionError(13, "Permission denied")

        return stepped

    for name in STEPS:
        real = getattr(os, name)
        setattr(os, name, step(real))
        for known in (os.supports_follow_symlinks, os.supports_dir_fd):
            if real in known:
                known.add(getattr(os, name))
    atomicfolder._exchange = step(atomicfolder._exchange, otherwise=False)  # type: ignore[assignment]
    commit = options.commit_all

    def commit_all(*args: Any) -> None:
        nonlocal active
        active = True
        commit(*args)
        active = False

    options.commit_all = commit_all


def _run(args: list[str], folder: str, number: int, how: str) -> Done:
    from pulsar_dask import __main__ as start

    with tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as mark:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(0, 1)
            os.dup2(err.fileno(), 2)
            os.chdir(folder)
            sys.argv = ["pulsar_dask", *args]
            _arm(number, how, mark.fileno())
            start.tools()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        err.seek(0)
        mark.seek(0)
        return Done(status, err.read().decode("utf-8", "replace"), bool(mark.read()))


if __name__ == "__main__":
    prepare()
    for line in sys.stdin:
        print(json.dumps(_run(*json.loads(line))), flush=True)
