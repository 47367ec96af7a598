"""What something holds in memory: bytes by name. The whole memory model is two signs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Holds:
    """Bytes that a layer, a sink or a process holds.

    A name is a buffer: what two layers call the same is there once. ``a | b`` is one after the
    other in a thread (the most of each name), ``a + b`` both at once (the sum).
    """

    pixel: Mapping[str, int] = field(default_factory=dict)
    """For each pixel of a tile, in each thread."""
    thread: Mapping[str, int] = field(default_factory=dict)
    """In each thread, whatever the tile."""
    process: Mapping[str, int] = field(default_factory=dict)
    """Once."""

    def __or__(self, other: Holds) -> Holds:
        return self._with(other, max)

    def __add__(self, other: Holds) -> Holds:
        return self._with(other, operator.add)

    def _with(self, other: Holds, merge: Callable[[int, int], int]) -> Holds:
        def merged(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
            return {n: merge(a.get(n, 0), b.get(n, 0)) for n in dict.fromkeys([*a, *b])}

        return Holds(
            merged(self.pixel, other.pixel),
            merged(self.thread, other.thread),
            merged(self.process, other.process),
        )


MB = 10**6


GB = 10**9
