"""Loaded into a worker (``dask worker --preload``): it fails where it writes to an output in place,
in the way that a file `trouble` in its folder names, once or always."""

import os
import signal
import time

from pulsar_dask.files import place

_HERE = os.getcwd()
_write_at = vars(place).setdefault("unpatched", place.write_at)  # dask imports this repeatedly


def _trouble() -> str:
    try:
        with open(os.path.join(_HERE, "trouble"), encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write_at(fd: int, data: object, offset: int) -> None:
    how = _trouble()
    view = memoryview(data).cast("B")
    if how == "full":
        _write_at(fd, view[: len(view) // 2], offset)
        raise OSError(28, "No space left on device")
    if how in ("killed", "stopped"):
        os.unlink(os.path.join(_HERE, "trouble"))
        half = len(view) // 2
        _write_at(fd, view[:half], offset)
        os.kill(os.getpid(), signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        time.sleep(0.1)  # it goes on when it is told to
        _write_at(fd, view[half:], offset + half)
        with open(os.path.join(_HERE, "late"), "w", encoding="ascii") as file:
            file.write(str(half))
        return
    _write_at(fd, view, offset)


class System:
    """`os`, as the module that writes in place has it."""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: str, flags: int, *args: int) -> int:
        if _trouble() == "read-only" and flags & os.O_WRONLY:
            raise OSError(30, "Read-only file system")
        return os.open(path, flags, *args)


place.write_at, place.os = write_at, System()  # type: ignore[assignment]
