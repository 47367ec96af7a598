"""Where the commands begin, and ``python -m pulsar_dask TOOL …``, as ``pulsar-dask TOOL …``. From
here on an interrupt is quiet, also while libraries load."""

from __future__ import annotations

import os
import sys

# As a script modules are looked for in this folder first; `-m` comes here with the package, which
# has seen to it.
if (
    __name__ == "__main__"
    and "pulsar_dask" not in sys.modules
    and not sys.flags.safe_path
    and sys.path[0] != os.path.dirname(os.path.dirname(__file__))
):
    del sys.path[0]

# Before NumPy is loaded: threads of BLAS turn in a loop for 0.1 s until they rest, and nothing
# here is large enough for them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import contextlib
import gc
import signal
from typing import Any

from pulsar_dask.cli.late import postpone
from pulsar_dask.cli.program import die, handle
from pulsar_dask.files.openlimit import raise_open_limit


def _stop(number: int, frame: Any) -> None:
    # At once: an exception would come out of whatever module is half loaded. There is nothing
    # to clean up yet.
    if number == signal.SIGINT:
        with contextlib.suppress(OSError):  # nobody is there to read it
            os.write(2, b"interrupted; nothing was written\n")
    die(number)


def _hold_streams() -> None:
    """Let no file take the place of a standard stream that is closed (``>&-``): what is said
    would go into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            if os.open(os.devnull, os.O_RDWR) == number:
                os.set_inheritable(number, True)


def _run(command: str, name: str) -> None:
    handle(_stop)
    _hold_streams()
    # Processes that are started (local:N) do not look for modules in the current folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    raise_open_limit()
    # No tool multiplies matrices: threads for it would only cost start-up and address space.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Libraries load a tenth faster where what they make, which stays, is not looked through;
    # `calling` enables it when they are there.
    gc.disable()
    gc.set_threshold(50_000, 20, 20)
    # Threads that read, ask for files or return from compiled code wait so long for the others.
    sys.setswitchinterval(0.0005)
    postpone()
    from pulsar_dask.tools import commands as cli

    known: dict[str, Any] = {**cli.tools.commands, **vars(cli)}
    known[command].run(name)


def tools() -> None:
    _run("tools", "pulsar-dask")


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


def calibrate() -> None:
    _run("calibrate", "calibrate")


def autocalibrate() -> None:
    _run("autocalibrate", "autocalibrate")


def darkopt() -> None:
    _run("darkopt", "darkopt")


def cosme() -> None:
    _run("cosme", "cosme")


def newflat() -> None:
    _run("newflat", "newflat")


if __name__ == "__main__":
    tools()
