"""Files that appear whole or not at all, and never in place of what is the user's."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import IO, Any

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.spec import same_file, sequence_siblings

CREATOR = "pulsar-dask"
_ZEROS = bytes(1 << 20)
_END = b"END".ljust(80)
_WINDOWS_LOCK = threading.Lock()


def check_output(path: str, inputs: Iterable[str], *, overwrite: bool) -> None:
    """Refuse an output that would harm something.

    Parameters
    ----------
    path : str
        The output.
    inputs : iterable of str
        Files that are read: neither they nor their numbered sequences are ever replaced.
    overwrite : bool
        Whether other files may be replaced that this program did not write.

    Raises
    ------
    PulsarError
    """
    name = printable(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise PulsarError(f"{name}: the folder {printable(folder)} does not exist; make it first")
    inputs = list(inputs)
    if any(same_file(path, p) for p in inputs):
        raise PulsarError(f"{name} is an input; an input is never replaced, name another output")
    place = sequence_siblings(os.path.realpath(path))
    if place and any(place == sequence_siblings(os.path.realpath(p)) for p in inputs):
        raise PulsarError(
            f"{name} belongs to the numbered sequence of the inputs, which is never written to. "
            'Is the name of the output missing? It comes last: med "bias*.fit" master_bias.fit'
        )
    if not os.path.lexists(path) or (overwrite and not os.path.isdir(path)):
        return
    if not is_ours(path):
        raise PulsarError(
            f"{name} exists and was not written by {CREATOR}; "
            "name another output or add --overwrite"
        )


def is_ours(path: str) -> bool:
    """Whether a file (or Zarr store) is a master or a list that this program wrote."""
    try:
        if os.path.isdir(path):
            with open(os.path.join(path, "zarr.json"), "rb") as file:
                return b'"creator": "' + CREATOR.encode() in file.read(1 << 20)
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(1 << 23)
            if path.lower().endswith(".lst") or head.startswith(b"P "):
                file.seek(0)
                return all(_LIST_LINE.fullmatch(line) for line in iter(_line_of(file), b""))
            return _is_created_here(head)
    except OSError:
        return False


_LIST_LINE = re.compile(rb"P \d+ \d+\r\n")


def _line_of(file: IO[bytes]) -> Callable[[], bytes]:
    return lambda: file.readline(100)  # a file without lines is not held whole


def _is_created_here(head: bytes) -> bool:
    """Whether CREATOR in a primary header names this program."""
    cards = [head[i : i + 80] for i in range(0, len(head), 80)]
    if not head.startswith(b"SIMPLE  =") or _END not in cards:
        return False
    mine = f"CREATOR = '{CREATOR} ".encode()
    return any(card.startswith(mine) for card in cards[: cards.index(_END)])


class AtomicFile:
    """A new file under a temporary name, given its own on success.

    Used as a context manager: `commit` syncs and renames; leaving without it removes the
    temporary file. `write_at` may be called from several threads.
    """

    def __init__(self, path: str, size: int | None = None) -> None:
        """Make the file; with `size`, claim its space on disk at once."""
        self.path = os.path.abspath(path)
        folder, name = os.path.split(self.path)
        self._temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.part")
        # From before it exists: an interrupt can come before the caller enters `with`.
        self._remove = weakref.finalize(self, _unlink, self._temporary)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self._fd = os.open(self._temporary, flags, 0o666)
        except OSError as error:
            raise self._failure(error) from error
        try:
            if size:
                self._claim(size)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise self._failure(error) from error
            raise

    def _claim(self, size: int) -> None:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._fd, 0, size)
                return
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
        for start in range(0, size, len(_ZEROS)):  # macOS, Windows, some network folders
            self.write_at(_ZEROS[: size - start], start)

    def write_at(self, data: Any, offset: int) -> None:
        """Write bytes (any C-contiguous buffer) at a place in the file."""
        view = memoryview(data).cast("B")
        try:
            while view:
                done = _pwrite(self._fd, view, offset)
                view, offset = view[done:], offset + done
        except OSError as error:
            raise self._failure(error) from error

    def commit(self) -> None:
        """Sync and rename; from here on the name holds the new file."""
        try:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            os.replace(self._temporary, self.path)
            self._remove.detach()
        except OSError as error:
            raise self._failure(error) from error
        _sync_folder(os.path.dirname(self.path))

    def close(self) -> None:
        """Remove the file unless it was committed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._remove()

    def _failure(self, error: OSError) -> PulsarError:
        return PulsarError(f"{printable(self.path)}: cannot be written ({error.strerror})")

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _pwrite(fd: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, view, offset)
    with _WINDOWS_LOCK:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, view)


def _sync_folder(folder: str) -> None:
    with contextlib.suppress(OSError):  # Windows cannot open a folder, and need not
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
