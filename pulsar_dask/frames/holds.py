"""What something holds in memory: bytes by name. The whole memory model is two signs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MB = 10**6
GB = 10**9


@dataclass(frozen=True)
class Phase:
    """What a thread holds for a while, and lets go of before it does something else."""

    pixel: Mapping[str, int] = field(default_factory=dict)
    """For each pixel of a tile."""
    thread: Mapping[str, int] = field(default_factory=dict)
    """Whatever the tile."""
    alone: Mapping[str, int] = field(default_factory=dict)
    """Whatever the tile, where only one thread of the process is at it at a time."""
    edge: Mapping[str, int] = field(default_factory=dict)
    """For each pixel of a tile, where those at an edge of the image are smaller than the others."""

    def __add__(self, other: Phase) -> Phase:
        return Phase(
            _merged(self.pixel, other.pixel, operator.add),
            _merged(self.thread, other.thread, operator.add),
            _merged(self.alone, other.alone, operator.add),
            _merged(self.edge, other.edge, operator.add),
        )


@dataclass(frozen=True)
class Holds:
    """Bytes that a layer, a sink or a process holds.

    A name is a buffer: what two layers call the same is there once. ``a | b`` is one after the
    other in a thread (the most of each name, and the phases of both), ``a + b`` both at once (the
    sum, in each of the phases).
    """

    pixel: Mapping[str, int] = field(default_factory=dict)
    """For each pixel of a tile, in each thread, which keeps it."""
    thread: Mapping[str, int] = field(default_factory=dict)
    """In each thread, which keeps it, whatever the tile."""
    process: Mapping[str, int] = field(default_factory=dict)
    """Once."""
    phases: tuple[Phase, ...] = ()
    """What a thread holds beside that, one after the other."""

    @property
    def passing(self) -> Holds:
        """The same, but the thread keeps nothing of it."""
        own = Phase(self.pixel, self.thread)
        phases = tuple(own + phase for phase in self.phases) or (own,)
        return Holds(process=self.process, phases=phases)

    def __or__(self, other: Holds) -> Holds:
        return self._with(other, max, self.phases + other.phases)

    def __add__(self, other: Holds) -> Holds:
        both = tuple(a + b for a in self.phases for b in other.phases)
        return self._with(other, operator.add, both or self.phases + other.phases)

    def _with(
        self, other: Holds, merge: Callable[[int, int], int], phases: tuple[Phase, ...]
    ) -> Holds:
        return Holds(
            _merged(self.pixel, other.pixel, merge),
            _merged(self.thread, other.thread, merge),
            _merged(self.process, other.process, merge),
            phases,
        )


def _merged(
    a: Mapping[str, int], b: Mapping[str, int], merge: Callable[[int, int], int]
) -> dict[str, int]:
    return {name: merge(a.get(name, 0), b.get(name, 0)) for name in dict.fromkeys([*a, *b])}
