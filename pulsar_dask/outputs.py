"""Files that appear whole or not at all, and never in place of what is the user's."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import secrets
import shutil
import signal
import stat
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

import numpy as np

from pulsar_dask.checksum import Sums, both_sums, is_as_written
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.spec import same_file, sequence_siblings

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CREATOR = "pulsar-dask"
#: What to ask where the last of the inputs may be meant as one.
OUTPUT_LAST = 'Is the name of the output missing? It comes last: med "bias*.fit" master_bias.fit'
_ZEROS = bytes(1 << 20)
_READ_AT_ONCE = 1 << 20
_END = b"END".ljust(80)
_WINDOWS_LOCK = threading.Lock()


def check_output(
    path: str, inputs: Iterable[str], *, overwrite: bool, resumes: bool = False
) -> None:
    """Refuse an output that would harm something.

    Parameters
    ----------
    path : str
        The output.
    inputs : iterable of str
        Files that are read: neither they nor their numbered sequences are ever replaced.
    overwrite : bool
        Whether other files may be replaced that this program did not write, or that are
        read-only.
    resumes : bool
        Whether a store of this program is gone on with rather than replaced.

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
            f"{OUTPUT_LAST}"
        )
    if os.path.isdir(path) and not path.lower().endswith(".zarr"):
        raise PulsarError(
            f"{name} is a folder, and no file takes its place; name a file, such as "
            f"{printable(os.path.join(path, 'master.fit'))}"
        )
    if not os.path.lexists(path) or (overwrite and not os.path.isdir(path)):
        return
    if not is_ours(path):
        what = f"exists and was not written by {CREATOR}"
        if is_ours(path, changed=True):
            what = f"was changed after {CREATOR} wrote it"
        raise PulsarError(f"{name} {what}; name another output or add --overwrite")
    if not (overwrite or resumes) and _is_read_only(path):
        raise PulsarError(f"{name} is read-only; name another output or add --overwrite")


def _is_read_only(path: str) -> bool:
    """Whether nobody may write to a file; root might write to any."""
    return not os.lstat(path).st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def _make_removable(path: str) -> None:
    """What is read-only hinders its replacement on Windows, and everywhere if it is a folder."""
    places = [path] if fcntl is None else []
    if os.path.isdir(path) and not os.path.islink(path):
        for folder, _, names in os.walk(path):
            places += [folder, *(os.path.join(folder, n) for n in names if fcntl is None)]
    for place in places:
        with contextlib.suppress(OSError):
            if not (mode := os.lstat(place).st_mode) & stat.S_IWUSR:
                os.chmod(place, mode | stat.S_IWUSR)


def is_ours(path: str, *, changed: bool = False) -> bool:
    """Whether a file (or Zarr store) is a master or a list that this program wrote.

    A FITS master that somebody has changed since is theirs, unless `changed` ones count.
    """
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
        if not _is_created_here(head):
            return False
        status = os.stat(path)
        return changed or _is_as_written(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except OSError:
        return False


_LIST_LINE = re.compile(rb"P \d+ \d+\r\n")


def _line_of(file: IO[bytes]) -> Callable[[], bytes]:
    return lambda: file.readline(100)  # a file without lines is not held whole


@functools.lru_cache(maxsize=64)
def _is_as_written(path: str, inode: int, size: int, mtime_ns: int) -> bool:
    return is_as_written(path)


def _is_created_here(head: bytes) -> bool:
    """Whether CREATOR in a primary header names this program."""
    cards = [head[i : i + 80] for i in range(0, len(head), 80)]
    if not head.startswith(b"SIMPLE  =") or _END not in cards:
        return False
    mine = f"CREATOR = '{CREATOR} ".encode()
    return any(card.startswith(mine) for card in cards[: cards.index(_END)])


# --- temporary names -----------------------------------------------------------------------

_PART = re.compile(r"\..*\.pulsar-[0-9a-f]{12}\.part", re.DOTALL)
_LOCK, _OLD = "lock", "old"


def temporary_name(path: str) -> str:
    """A new name beside a path, for what will take its place."""
    folder, name = os.path.split(path)
    start = name.encode(errors="ignore")[:100].decode(errors="ignore")
    return os.path.join(folder, f".{start}.pulsar-{secrets.token_hex(6)}.part")


def is_temporary(path: str) -> bool:
    """Whether a path has a name of `temporary_name`."""
    return _PART.fullmatch(os.path.basename(path)) is not None


def remove_stale(folder: str) -> None:
    """Remove what runs that were killed have left in a folder; what a process holds stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in [e for e in entries if is_temporary(e.path)]:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    _remove_stale_folder(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    with _unheld(entry.path):
                        pass


@contextlib.contextmanager
def _unheld(path: str) -> Iterator[None]:
    """Do something about a file that no process holds, then remove it; OSError if one does."""
    if fcntl is None:  # Windows does not remove an open file
        os.unlink(path)
        yield
        return
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # where there are no locks: OSError
        if not _has_name(fd, path):
            raise FileNotFoundError(path)
        yield
        os.unlink(path)
    finally:
        os.close(fd)


def _hold(fd: int, path: str) -> bool:
    """Mark a new file as in use, as long as it is open; False if another run, which has found
    it not yet marked, is removing it."""
    if fcntl is not None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks in this file system, so nobody removes what is not locked
            return True
    return _has_name(fd, path)


def _has_name(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _remove_stale_folder(path: str) -> None:
    lock = os.path.join(path, _LOCK)
    if not os.path.lexists(lock):
        os.rmdir(path)  # killed before or after all else; a folder with something in it stays
        return
    with _unheld(lock):
        old = os.path.join(path, _OLD)
        for name in os.listdir(old) if os.path.isdir(old) else ():
            place = os.path.join(os.path.dirname(path), name)
            if not os.path.lexists(place):  # killed between two renames
                os.rename(os.path.join(old, name), place)
        for name in set(os.listdir(path)) - {_LOCK}:
            shutil.rmtree(os.path.join(path, name))
    os.rmdir(path)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until a few renames are done."""
    came: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for held in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(held)
                if callable(handler):
                    handlers[held] = handler
                    signal.signal(held, lambda number, frame: came.append(number))
        yield
    finally:
        for known, handler in handlers.items():
            signal.signal(known, handler)
    for number in came:
        handlers[signal.Signals(number)](number, None)


# --- files ---------------------------------------------------------------------------------


class AtomicFile:
    """A new file that takes its name when it is whole.

    Until then it has no name at all where the system can do so (Linux), so that not even a
    kill leaves something behind; elsewhere it has a temporary one, which the next run removes.
    Used as a context manager: `seal` brings it to the disk, `commit` gives it its name; leaving
    without that removes it. `write_at` and `settle` may be called from several threads.
    """

    def __init__(self, path: str, size: int | None = None) -> None:
        """Make the file; with `size`, claim its space on disk at once."""
        self.path = os.path.abspath(path)
        self._sealed = False
        self._held = held = _Held()
        # From before it exists: an interrupt can come before the caller enters `with`.
        self._discard = weakref.finalize(self, held.discard)
        try:
            self._open()
            if size:
                self._claim(size)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise self._failure(error) from error
            raise

    def _open(self) -> None:
        held, folder = self._held, os.path.dirname(self.path)
        if _nameless_files(folder, os.stat(folder).st_dev):
            held.fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        while True:
            held.name = temporary_name(self.path)
            held.fd = os.open(held.name, flags, 0o666)
            if _hold(held.fd, held.name):
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
        view = memoryview(data).cast("B")
        try:
            while view:
                done = _pwrite(self._held.fd, view, offset)
                view, offset = view[done:], offset + done
        except OSError as error:
            raise self._failure(error) from error

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
            part = held.pool.submit(_settled, self.path, held.fd, start, stop)
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
            for found in (_read_part(held.fd, at, start), part.result() if part else Sums()):
                if found is None:
                    return None
                total += found
            at = stop
        return total

    def commit(self, check: Callable[[], None] | None = None, *, wait: bool = True) -> None:
        """Give the file its name, sealed before; from here on the name holds the new file.

        Parameters
        ----------
        check : callable, optional
            Raises PulsarError if the name may not be taken: something of the user's may have
            come there since the work began.
        wait : bool
            Until the disk knows of the name.
        """
        if not self._sealed:
            self.seal()
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
                _sync_folder(os.path.dirname(self.path))

    def _take_name(self, check: Callable[[], None] | None) -> bool:
        """False if something has come between the check and the naming."""
        if check is not None:
            check()
        held = self._held
        if held.name is None:
            if not os.path.lexists(self.path):
                try:
                    _link(held.fd, self.path)
                except FileExistsError:
                    return False
                return True
            held.name = temporary_name(self.path)
            _link(held.fd, held.name)
        if fcntl is None:  # Windows does not rename an open file
            os.close(held.fd)
            held.fd = -1
        _make_removable(self.path)
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
                _unlink(self.name)
                self.name = None


@functools.lru_cache(maxsize=64)
def _nameless_files(folder: str, device: int) -> bool:
    """Whether a file in a folder can do without a name and be given one later."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    name = temporary_name(os.path.join(folder, "probe"))
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
        try:
            _link(fd, name)
        finally:
            os.close(fd)
            _unlink(name)
    except OSError:  # not in this file system, or /proc is not there
        return False
    return True


def _link(fd: int, path: str) -> None:
    """Give an open file a (further) name."""
    # any src_dir_fd makes Python call linkat, which alone follows the link in /proc
    os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)


# --- folders -------------------------------------------------------------------------------


class AtomicFolder:
    """A new folder (a Zarr store) that takes its name when it is whole.

    It lies as `store` in a temporary folder, beside a lock that tells that a process holds it.
    Used as `AtomicFile`.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        name = os.path.basename(self.path)
        while True:
            self._temporary = temporary_name(self.path)
            self.store = os.path.join(self._temporary, name)
            self._lock = lock = _Held()
            # From before it exists: an interrupt can come before the caller enters `with`.
            self._discard = weakref.finalize(self, _discard_folder, lock, self._temporary)
            try:
                os.mkdir(self._temporary)
                lock.name = os.path.join(self._temporary, _LOCK)
                lock.fd = os.open(lock.name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
                if _hold(lock.fd, lock.name):
                    return
                self.close()
            except FileNotFoundError as error:
                self.close()
                if not os.path.isdir(os.path.dirname(self.path)):
                    raise failure(self.path, error) from error
                # else another run has just removed the empty folder
            except BaseException as error:
                self.close()
                if isinstance(error, OSError):
                    raise failure(self.path, error) from error
                raise

    def seal(self) -> None:
        """Bring all files to the disk."""
        try:
            for folder, _, files in os.walk(self.store):
                for name in files:
                    fd = os.open(os.path.join(folder, name), os.O_RDWR)
                    try:
                        sync(fd)
                    finally:
                        os.close(fd)
                _sync_folder(folder)
        except OSError as error:
            raise failure(self.path, error) from error

    def commit(self, check: Callable[[], None] | None = None, *, wait: bool = True) -> None:
        """Give the folder its name; what has that name goes away only then."""
        with uninterrupted():
            try:
                if check is not None:
                    check()
                _make_removable(self.path)
                if not (os.path.lexists(self.path) and _exchange(self.store, self.path)):
                    self._rename()
            except OSError as error:
                raise failure(self.path, error) from error
            if wait:
                _sync_folder(os.path.dirname(self.path))
            self.close()

    def _rename(self) -> None:
        """In two steps; a kill between them is mended by the next run's `remove_stale`."""
        old = os.path.join(self._temporary, _OLD)
        os.mkdir(old)
        old = os.path.join(old, os.path.basename(self.path))
        if os.path.lexists(self.path):
            os.rename(self.path, old)
        try:
            os.rename(self.store, self.path)
        except OSError:
            if os.path.lexists(old):
                os.rename(old, self.path)
            raise

    def close(self) -> None:
        """Remove the temporary folder and what is in it."""
        self._discard()

    def __enter__(self) -> AtomicFolder:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _discard_folder(lock: _Held, folder: str) -> None:
    with uninterrupted():
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                elif entry.name != _LOCK:
                    _unlink(entry.path)
        lock.discard()
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _exchange(a: str, b: str) -> bool:
    """Let two names change places at once, where the system can."""
    import ctypes

    name, flag = {"linux": ("renameat2", 2), "darwin": ("renameatx_np", 2)}.get(
        sys.platform, ("", 0)
    )
    function = getattr(ctypes.CDLL(None), name, None) if name else None
    if function is None:
        return False
    here = ctypes.c_int(-100 if sys.platform == "linux" else -2)  # AT_FDCWD
    return bool(function(here, os.fsencode(a), here, os.fsencode(b), ctypes.c_uint(flag)) == 0)


# --- the disk ------------------------------------------------------------------------------


def failure(path: str, error: OSError) -> PulsarError:
    """What to say when an output cannot be written."""
    advice = _ADVICE.get(error.errno or 0, "")
    return PulsarError(f"{printable(path)}: cannot be written ({error.strerror or error}){advice}")


_ADVICE = {
    errno.ENOSPC: ": free some space, or name an output on another disk",
    errno.EDQUOT: ": free some space, or name an output on another disk",
    errno.EFBIG: ": a file may not be that large here (`ulimit -f`, or the file system)",
    errno.EROFS: ": name an output in a folder that can be written to",
    errno.EACCES: ": name an output in a folder that can be written to",
    errno.EPERM: ": name an output in a folder that can be written to",
    errno.ENOENT: ": its folder has gone",
    errno.EMFILE: ": too many open files, raise `ulimit -n`",
    errno.EIO: ": the disk or its connection is failing",
}


def unlike(path: str, reason: str = "") -> PulsarError:
    """What to say when an output does not read back as it was written."""
    return PulsarError(
        f"{printable(path)}: what was written does not read back the same{reason}; "
        "the disk or its connection is failing; nothing was replaced"
    )


def _settled(path: str, fd: int, start: int, stop: int) -> Sums | None:
    try:
        os.fsync(fd)
    except OSError as error:
        raise failure(path, error) from error
    return _read_part(fd, start, stop)


def _read_part(fd: int, start: int, stop: int) -> Sums | None:
    """Sums of a part of a file as the disk has it; None if it ends before."""
    if start == stop:
        return Sums()
    drop_cached(fd, start, stop)
    buffer = memoryview(bytearray(min(stop - start, _READ_AT_ONCE)))
    total = Sums()
    for at in range(start, stop, _READ_AT_ONCE):
        part = buffer[: stop - at]
        view, offset = part, at
        while view:
            done = _pread(fd, view, offset)
            if not done:
                return None
            view, offset = view[done:], offset + done
        total += both_sums(np.frombuffer(part, np.uint8), at)
    return total


def drop_cached(fd: int, start: int, stop: int) -> None:
    """Have a part of a file that was synced read from the disk the next time, where the system
    can."""
    with contextlib.suppress(OSError):
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, start, stop - start, os.POSIX_FADV_DONTNEED)
        elif sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_NOCACHE, 1)


def sync(fd: int) -> None:
    """Have a file's content on the disk."""
    if sys.platform == "darwin":  # where fsync leaves it in the disk's own memory
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _pwrite(fd: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, view, offset)
    with _WINDOWS_LOCK:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, view)


def _pread(fd: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(fd, [view], offset)
    with _WINDOWS_LOCK:
        os.lseek(fd, offset, os.SEEK_SET)
        data = os.read(fd, len(view))
    view[: len(data)] = data
    return len(data)


def _sync_folder(folder: str) -> None:
    with contextlib.suppress(OSError):  # Windows cannot open a folder, and need not
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
