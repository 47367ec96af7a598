"""The tools, each in a process of its own, for the price of one start of Python.

A server that has loaded the libraries forks a child for each command line, which runs it from
the arguments on as ``pulsar-dask`` does. All else is the command's: signals, exit
status, what it says and leaves. Where there is no fork each is started anew.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Seconds after which a command is killed: it hangs.
PATIENCE = 120
#: Loaded before, beside what these load.
MODULES = [
    f"pulsar_dask.{name}"
    for name in (
        "tools.commands",
        "inputs.prefetch",
        "tools.med",
        "tools.makedark",
        "tools.makeflat",
        "tools.calibrate",
        "tools.verify",
        "tools.sheet",
        "notebook.masters",
        "output.zarrstore",
        "cli.document",
        "cli.late",
        "combine.median",
        "combine.mean",
        "formats.fitsfile",
        "formats.gzipped",
        "formats.plain",
    )
]
#: Not loaded before unless asked for, as the tools ask whether they are there.
LATE = {"numba", "distributed"}


def forked(
    args: Sequence[str],
    cwd: Path,
    *,
    load: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    kill: float | None = None,
) -> tuple[int, str, str, float]:
    """Run a command line in a folder: its exit status, stdout, stderr, and the most memory that
    it took in MB. `load` names further modules that are there before; `env` adds variables; after
    `kill` seconds it is killed."""
    if not hasattr(os, "fork"):
        line = [sys.executable, "-m", "pulsar_dask", *args]
        try:
            done = subprocess.run(
                line, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True,
                errors="replace", timeout=kill or PATIENCE,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            if kill is None:
                raise
            return -int(signal.SIGTERM), "", "", 0.0
        return done.returncode, done.stdout, done.stderr, 0.0
    server = _server(tuple(load))
    assert server.stdin is not None
    assert server.stdout is not None
    print(json.dumps([args, os.path.abspath(cwd), env or {}, kill]), file=server.stdin, flush=True)
    answer = server.stdout.readline()
    assert answer, f"the server ended with status {server.wait()}"
    status, out, err, megabytes = json.loads(answer)
    return status, out, err, megabytes


@functools.cache
def _server(load: tuple[str, ...]) -> subprocess.Popen[str]:
    """It ends when its input does: with this process."""
    return subprocess.Popen(
        [sys.executable, __file__, *load], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _fork(args: list[str], folder: str, env: dict[str, str], kill: float | None) -> list[Any]:
    from pulsar_dask import __main__ as start

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            # which nothing takes, so that the system ends it where it is
            signal.setitimer(signal.ITIMER_REAL, kill or PATIENCE)
            for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), out, err)):
                os.dup2(file if isinstance(file, int) else file.fileno(), number)
            os.chdir(folder)
            os.environ.update(env)
            sys.argv = ["pulsar_dask", *args]
            start.tools()
        _, status, used = os.wait4(child, 0)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("utf-8", "replace"))
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return [os.waitstatus_to_exitcode(status), *said, used.ru_maxrss / unit]


def prepare(load: Sequence[str] = ()) -> None:
    """Load what a command would, before any is forked."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the tools do before they load it
    for name in (*MODULES, *load):
        importlib.import_module(name)
    from pulsar_dask.kernels import native

    native._made_by()  # looks at all sources of kernels, and loads what links their code
    assert load or not LATE & set(sys.modules)
    gc.freeze()


def _serve(load: Sequence[str]) -> None:
    prepare(load)
    for line in sys.stdin:
        print(json.dumps(_fork(*json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1:])
