"""Where the commands begin. From here on an interrupt is quiet, also while libraries load."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any

INTERRUPTED, TERMINATED = 130, 143


def _stop(number: int, frame: Any) -> None:
    # At once: an exception would come out of whatever module is half loaded. There is nothing
    # to clean up yet.
    os.write(2, b"interrupted; nothing was written\n" if number == signal.SIGINT else b"")
    os._exit(INTERRUPTED if number == signal.SIGINT else TERMINATED)


def handle(handler: Any) -> None:
    """Let a function handle Ctrl-C and SIGTERM, unless they are ignored as under nohup."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _run(command: str, name: str) -> None:
    handle(_stop)
    # No tool multiplies matrices: threads for it would only cost start-up and address space.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Libraries load a tenth faster where what they make is not looked through every 700 objects.
    gc.set_threshold(50_000, 20, 20)
    # Threads that read, ask for files or return from compiled code wait so long for the others.
    sys.setswitchinterval(0.0005)
    from pulsar_dask import cli

    getattr(cli, command).run(name)


def tools() -> None:
    _run("tools", "python -m pulsar_dask")


def med() -> None:
    _run("med", "med")


def makedark() -> None:
    _run("makedark", "makedark")


def makeflat() -> None:
    _run("makeflat", "makeflat")


def make_cosme() -> None:
    _run("make_cosme", "make_cosme")


def find_hot() -> None:
    _run("make_cosme", "find_hot")
