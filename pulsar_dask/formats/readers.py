"""Slow storage: reads that wait are made side by side and ahead, while other threads compute.

Where pixels come from the cache of the system, a thread reads its tile and computes it. Where a
read waits (a network, an object store, a disk that seeks), that would be all that threads do. So
what reads wait is measured against what is computed, and while they wait

- the frames of a tile are read by as many threads as make up for it (`Readers.each`), fewer where
  the storage does not repay them;
- a thread whose tile is being read lets another one compute, and as many tiles more are begun as
  the plan has room for (`Plan.ahead`).

No more threads compute than were asked for.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from pulsar_dask.files.openlimit import open_limit

#: Reads of a process at once, at most.
MOST = max(1, min(64, open_limit() // 8))
#: Frames that a reader reads in one go: it holds so many files open beyond those that are kept.
FRAMES = 4
#: Seconds that the read of a frame waits, on the average, where the storage is slow.
LEAST = 0.0005
#: Reads at once for each that would just keep pace with the computing; and how many times as long
#: as alone a read may wait beside others.
MARGIN = 2.0

_USAGE, _OF_THREAD = None, 0
with contextlib.suppress(ImportError, AttributeError):  # Linux
    import resource

    _USAGE, _OF_THREAD = resource.getrusage, resource.RUSAGE_THREAD

Part = TypeVar("Part")


class _Thread(threading.local):
    """What is known of a thread."""

    readers: Readers | None = None
    """Of the tile that it makes."""
    last = 0.0
    """Seconds that it had computed when it was last asked."""
    waited = 0.0
    """Seconds that its reads waited since they were last asked for."""

    def take(self) -> tuple[float, float]:
        """Seconds waited and computed since the last time."""
        now = time.thread_time()
        found = self.waited, now - self.last
        self.waited, self.last = 0.0, now
        return found


_THREAD = _Thread()


class Ended(Exception):
    """Nothing more is to be read; nobody hears it."""


class Readers:
    """What reads and computes in a process.

    Parameters
    ----------
    threads : int
        That compute at once.
    ahead : int
        Tiles that may be begun beyond that, once reads wait.
    """

    def __init__(self, threads: int, ahead: int = 0) -> None:
        self.each = 1
        """Reads of one tile at once."""
        self.free: list[dict[str, Any]] = []
        """Buffers of tiles that are done; see `buffers`."""
        self._slots = threading.Semaphore(threads)
        self._tiles, self._threads, self._ahead = 0, threads, ahead
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)
        self._pool: ThreadPoolExecutor | None = None
        self._ended = False
        self._busy, self._frames = 0.0, 0
        # seconds that the read of a frame waited of late: alone, and beside others
        self._alone, self._beside = deque[float](maxlen=4), deque[float](maxlen=16)

    def task(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call what makes a tile: one of the threads that compute, but where it is `waiting`."""
        with self._turn:
            self._turn.wait_for(self._may_begin)
            self._go_on()
            self._tiles += 1
        try:
            with self._slots:
                _THREAD.readers = self
                _THREAD.take()
                return function(*arguments)
        finally:
            _THREAD.readers = None
            with self._turn:
                self._tiles -= 1
                self._turn.notify_all()

    def _may_begin(self) -> bool:
        most = self._threads + (self._ahead if self.each > 1 else 0)
        return self._ended or self._tiles < most

    def alone(self, frames: int) -> None:
        """This thread, which makes a tile, has read so many frames."""
        self._measured(*_THREAD.take(), frames)

    def side_by_side(
        self,
        parts: Sequence[Sequence[Part]],
        read: Callable[[Sequence[Part]], None],
        then: Callable[[Sequence[Part]], None],
    ) -> None:
        """Read parts of a tile, each some frames, and do with each what computes. The first error
        in their order is raised when nothing is read any more."""
        left, errors = deque(enumerate(parts)), list[tuple[int, BaseException]]()

        def one(part: Sequence[Part]) -> None:
            self._go_on()
            _THREAD.take()
            read(part)
            with self._slots:
                then(part)
            self._measured(*_THREAD.take(), len(part), beside=True)

        def go() -> None:
            with contextlib.suppress(IndexError):
                while True:
                    number, part = left.popleft()
                    try:
                        one(part)
                    except BaseException as error:
                        errors.append((number, error))
                        left.clear()

        self._measured(*_THREAD.take(), 0)
        _THREAD.readers = None  # what it reads is not read alone
        helpers: list[Future[None]] = []
        with contextlib.suppress(RuntimeError):  # no further thread is to be had
            for _ in range(min(self.each, len(parts)) - 1):
                helpers.append(self._readers().submit(go))
        self._slots.release()
        try:
            go()
            for helper in helpers:
                if not helper.cancel():
                    helper.result()
        finally:
            self._slots.acquire()
            _THREAD.readers = self
            _THREAD.take()
        if errors:
            raise min(errors, key=lambda each: each[0])[1]

    def end(self) -> None:
        """Begin nothing more: tiles that wait for their turn end, and reads after the one that is
        made."""
        self._ended = True
        with self._turn:
            self._turn.notify_all()
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    def _go_on(self) -> None:
        if self._ended:
            raise Ended

    def _readers(self) -> ThreadPoolExecutor:
        with self._lock:
            self._go_on()
            if self._pool is None:
                self._pool = ThreadPoolExecutor(MOST, "reader")
            return self._pool

    def _measured(self, wait: float, busy: float, frames: int, *, beside: bool = False) -> None:
        """Seconds that reading so many frames waited, and that were computed since."""
        with self._lock:
            self._busy += busy
            self._frames += frames
            if not frames or not self._busy:
                return
            waits = self._beside if beside else self._alone
            waits.append(wait / frames)
            if sum(waits) < LEAST * len(waits):
                self.each = 1
                self._alone.clear()
                self._beside.clear()
                return
            if len(self._alone) < 2:  # once is no habit
                return
            alone = sum(self._alone) / len(self._alone)
            pace = alone * self._frames / self._busy
            # where many are more than the storage takes at once, all of them wait
            least = min(self._beside, default=0.0)
            repaid = self.each * alone / least if beside and least else pace
            self.each = max(1, min(MOST, int(MARGIN * min(pace, repaid))))
            if self.each > 1:
                self._turn.notify_all()


@contextlib.contextmanager
def waiting(reads: int = 1, clock: np.ndarray[Any, Any] | None = None) -> Iterator[None]:
    """Around positioned reads and nothing else: what they wait is noted, and where the storage is
    slow, another thread computes meanwhile. Compiled code knows it better: the last word of `clock`
    has its nanoseconds then, as here some of the time is waited for Python."""
    reader = _THREAD.readers
    lets = reader is not None and reader.each > 1
    if reader is not None and lets:
        reader._slots.release()
    wall, cpu, left = time.perf_counter(), time.thread_time(), _left()
    try:
        yield
    finally:
        if clock is not None:
            _THREAD.waited += clock[-1] * 1e-9
        # a busy machine makes a thread wait, too, but then it does not leave of itself
        elif left is None or _left() - left >= reads / 2:
            _THREAD.waited += time.perf_counter() - wall - (time.thread_time() - cpu)
        if reader is not None and lets:
            reader._slots.acquire()


def _left() -> Any:
    """How often this thread has left the processor of itself, to wait for something; None where
    the system does not tell."""
    return None if _USAGE is None else _USAGE(_OF_THREAD).ru_nvcsw


def here() -> Readers | None:
    """Of the tile that this thread makes, if it makes one."""
    return _THREAD.readers
