"""A file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pulsar_dask.errors import PulsarError
from pulsar_dask.files.disk import (
    drop_cached,
    failure,
    fcntl,
    filled,
    read_part,
    settled,
    sync,
    sync_folder,
    unlike,
    write_at,
)
from pulsar_dask.files.held import Folder
from pulsar_dask.files.interrupts import uninterrupted
from pulsar_dask.files.nameless import link, nameless_files, unlink
from pulsar_dask.files.part import NEW, Identity, Part, hold, identity, temporary_name
from pulsar_dask.kernels.ordersum import Sums

_ZEROS = bytes(1 << 20)


class AtomicFile:
    """A new file that takes its name when it is whole.

    Until then it has no name at all where the system can do so (Linux), so that not even a
    kill leaves something behind; elsewhere it has a temporary one, which the next run removes.
    Used as a context manager: `seal` brings it to the disk, `commit` gives it its name; leaving
    without that removes it. `write_at` and `settle` may be called from several threads.
    """

    def __init__(
        self, path: str, size: int | None = None, *, token: bytes = b"", passing: bool = False
    ) -> None:
        """Make the file; with `size`, claim its space on disk at once. With a `token` it has a
        name from the start, and begins with that: other processes know it by both (`Place`).
        One of many that are `passing` does not stay in memory."""
        self.path = os.path.abspath(path)
        self._passing = passing
        self._token = token
        self._sealed = False
        self._part: Part | None = None
        self._held = held = _Held()
        # From before it exists: an interrupt can come before the caller enters `with`.
        self._discard = weakref.finalize(self, held.discard)
        try:
            self._open()
            if size:
                self._claim(size)
            if token:
                self.write_at(token, 0)
                self.refresh()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise self._failure(error) from error
            raise

    def _open(self) -> None:
        held, folder = self._held, os.path.dirname(self.path)
        if not self._token and nameless_files(folder, os.stat(folder).st_dev):
            held.fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
            return
        with Folder.open(folder) as place:
            while True:
                held.name = temporary_name(self.path)
                name = os.path.basename(held.name)
                held.fd = place.open_file(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
                # Windows does not remove an open file
                if fcntl is None or hold(held.fd, place, name):
                    return
                held.discard()

    def _claim(self, size: int) -> None:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._held.fd, 0, size)
                return
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
        for start in range(0, size, len(_ZEROS)):  # macOS, Windows, some network folders
            self.write_at(_ZEROS[: size - start], start)

    def write_at(self, data: Any, offset: int) -> None:
        """Write bytes (any C-contiguous buffer) at a place in the file."""
        try:
            write_at(self._held.fd, data, offset)
        except OSError as error:
            raise self._failure(error) from error

    def write(self, pieces: Iterable[tuple[int, Any]]) -> bool:
        """Write (offset, bytes), as `place.Place.write`."""
        for offset, data in pieces:
            self.write_at(data, offset)
        return True

    @property
    def opened(self) -> tuple[str | None, int]:
        """Its temporary name, if it has one, and its descriptor."""
        return self._held.name, self._held.fd

    def refresh(self) -> None:
        """Forget what was read of a shared file: where part of a page is written next, others may
        have written the rest of it."""
        if self._token:
            sync(self._held.fd)
            drop_cached(self._held.fd, 0, 0)

    def read_at(self, data: Any, offset: int) -> None:
        """Fill a buffer (C-contiguous) with what was written at a place in the file."""
        if not filled(self._held.fd, memoryview(data).cast("B"), offset):
            raise unlike(self.path, ": it ends too early")

    def settle(self, start: int, stop: int) -> None:
        """Bring a part that will not change any more to the disk and read it back, in the
        background, so that `seal` has less to wait for; parts must not overlap, nor begin
        within a word."""
        held = self._held
        if not hasattr(os, "posix_fadvise"):  # it could not be read from the disk
            return
        with held.lock, contextlib.suppress(RuntimeError):  # no further thread is to be had
            if held.pool is None:
                held.pool = ThreadPoolExecutor(1)
            part = held.pool.submit(settled, self.path, held.fd, start, stop, passing=self._passing)
            held.parts.append((start, stop, part))

    def seal(self, checksum: int | None = None, order: int | None = None) -> None:
        """Bring the whole file to the disk, so that nothing is left but to name it.

        Parameters
        ----------
        checksum, order : int, optional
            `checksum.Sums` of all that was to be written: the file is read back, from the disk
            where the system lets go of its copy in memory, and compared.

        Raises
        ------
        PulsarError
            It cannot be written, or does not read back the same.
        """
        fd = self._held.fd
        try:
            sync(fd)
        except OSError as error:
            raise self._failure(error) from error
        if checksum is not None:
            try:
                found = self._read_back()
            except OSError as error:
                raise unlike(self.path, f" ({error.strerror})") from error
            if found is None or found.words != checksum or order not in (None, found.order):
                raise unlike(self.path)
        self._sealed = True

    def _read_back(self) -> Sums | None:
        """Sums of the file as the disk has it; None if it has lost its end."""
        held = self._held
        size = os.fstat(held.fd).st_size
        total, at = Sums(), 0
        for start, stop, part in [*sorted(held.parts, key=lambda p: p[0]), (size, size, None)]:
            if start < at:
                return None
            before = read_part(held.fd, at, start, passing=self._passing)
            for found in (before, part.result() if part else Sums()):
                if found is None:
                    return None
                total += found
            at = stop
        return total

    def identity(self) -> Identity:
        """What tells the sealed file from others that may have its name later."""
        return identity(os.fstat(self._held.fd))

    def commit(
        self,
        check: Callable[[], None] | None = None,
        *,
        wait: bool = True,
        part: Part | None = None,
    ) -> None:
        """Give the file its name, sealed before; from here on the name holds the new file.

        Parameters
        ----------
        check : callable, optional
            Raises PulsarError if the name may not be taken: something of the user's may have
            come there since the work began.
        wait : bool
            Until the disk knows of the name.
        part : Part, optional
            A temporary folder beside it, for the way to the name.
        """
        if not self._sealed:
            self.seal()
        self._part = part
        with uninterrupted():
            try:
                while not self._take_name(check):
                    pass
                self._held.name = None
                self._held.discard()
            except OSError as error:
                raise self._failure(error) from error
            self._discard.detach()
            if wait:
                sync_folder(os.path.dirname(self.path))

    def _take_name(self, check: Callable[[], None] | None) -> bool:
        """False if something has come between the check and the naming."""
        if check is not None:
            check()
        held = self._held
        if held.name is None:
            if not os.path.lexists(self.path):
                try:
                    link(held.fd, self.path)
                except FileExistsError:
                    return False
                return True
            if self._part is not None:
                link(held.fd, NEW, self._part.folder.fd)
                self._part.folder.move(NEW, self._part.beside, os.path.basename(self.path))
                return True
            held.name = temporary_name(self.path)
            link(held.fd, held.name)
        if fcntl is None:  # Windows does not rename an open file
            os.close(held.fd)
            held.fd = -1
            make_writable(self.path)
        os.replace(held.name, self.path)
        return True

    def close(self) -> None:
        """Remove the file unless it was committed."""
        self._discard()

    def _failure(self, error: OSError) -> PulsarError:
        return failure(self.path, error)

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


class _Held:
    """An open file, its temporary name where it has one, and what is being done with parts."""

    fd = -1
    name: str | None = None

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None
        self.parts: list[tuple[int, int, Future[Sums | None]]] = []

    def discard(self) -> None:
        with uninterrupted():
            if self.pool is not None:
                self.pool.shutdown(cancel_futures=True)
                self.pool = None
            if self.fd >= 0:
                fd, self.fd = self.fd, -1
                os.close(fd)
            if self.name is not None:
                unlink(self.name)
                self.name = None


def make_writable(path: str) -> None:
    """Windows does not replace or remove what is read-only."""
    with contextlib.suppress(OSError):
        if not (mode := os.lstat(path).st_mode) & stat.S_IWUSR:
            os.chmod(path, mode | stat.S_IWUSR)
