"""Sums of data units, added up while they are read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.kernels.ordersum import PRIME, Sums, fold

Array = np.ndarray[Any, Any]


class Ledger:
    """Sums of data units, added up from parts as they are read, in any order and any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, tuple[int, int]] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, total: int, count: int, order: int = 0) -> None:
        """Add the sums of `count` bytes."""
        self.add_all([name], [(total, order)], count)

    def add_all(self, names: Sequence[str], totals: Sequence[Sequence[int]], count: int) -> None:
        """Add the sums of `count` bytes of each."""
        with self._lock:
            for name, (words, order) in zip(names, totals, strict=True):
                before = self._sums.get(name, (0, 0))
                self._sums[name] = before[0] + words, (before[1] + order) % PRIME
                self._counts[name] = self._counts.get(name, 0) + count

    def sums(self, name: str, length: int) -> Sums | None:
        """The sums of a data unit; None unless just its bytes were counted, each once."""
        if self._counts.get(name) != length:
            return None
        words, order = self._sums[name]
        return Sums(fold(words), order)

    def sum(self, name: str, length: int) -> int | None:
        """Of those the one that DATASUM is."""
        found = self.sums(name, length)
        return found.words if found else None

    def pack(self, names: Sequence[str]) -> tuple[Array, Array, Array]:
        """Sums and counts as small arrays, to send; one count where all are equal."""
        counts = np.array([self._counts.get(name, 0) for name in names], np.int64)
        if len(counts) and (counts == counts[0]).all():
            counts = counts[:1]
        sums = [self._sums.get(name, (0, 0)) for name in names]
        words = np.array([fold(total) for total, _ in sums], np.uint32)
        return words, np.array([order for _, order in sums], np.uint64), counts

    def unpack(self, names: Sequence[str], packed: tuple[Array, Array, Array]) -> None:
        """Add what another ledger packed."""
        words, orders, counts = packed
        counts = np.broadcast_to(counts, len(words))
        for name, *sums, count in zip(
            names, words.tolist(), orders.tolist(), counts.tolist(), strict=True
        ):
            self.add_all([name], [sums], count)
