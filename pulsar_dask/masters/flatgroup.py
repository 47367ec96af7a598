"""Flats of one master, and what is subtracted from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pulsar_dask.engine.layer import token
from pulsar_dask.frames.colour import Colours
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.correct import Defects


@dataclass(frozen=True)
class Minus:
    """What is subtracted from some flats: images, and a constant in ADU."""

    images: tuple[Frame, ...] = ()
    """A dark; and its bias, where that is out of it."""
    constant: float = 0.0
    errors: tuple[Frame | float, ...] = ()
    """Of the images, where errors are wanted."""
    cancels: bool = False
    """Whether the bias is the one that was taken out of the dark, so that its error falls out."""

    @staticmethod
    def of(one: Frame | float) -> Minus:
        """A frame, or a constant."""
        return Minus((one,)) if isinstance(one, Frame) else Minus(constant=one)


@dataclass(frozen=True)
class FlatGroup:
    """The flats of one filter and what calibrates them; small, so that it travels."""

    frames: tuple[Frame, ...]
    minus: tuple[Minus, ...]
    """One for all, or one for each of the frames."""
    defects: Defects | None
    colours: Colours | None = None
    """Where each colour is scaled by a factor of its own."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frames[0].shape

    @property
    def planes(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def reads(self) -> tuple[Frame, ...]:
        """The flats, and what is subtracted where it is a file."""
        return (*self.frames, *dict.fromkeys(f for one in self.minus for f in one.images))

    @property
    def errors(self) -> tuple[Frame, ...]:
        """Planes of errors of what is subtracted."""
        found = (e for one in self.minus for e in one.errors if isinstance(e, Frame))
        return tuple(dict.fromkeys(found))

    @property
    def token(self) -> object:
        """What it is known by."""
        minus = [
            (
                [f.path for f in one.images],
                one.constant,
                [e if isinstance(e, float) else e.path for e in one.errors],
            )
            for one in self.minus
        ]
        d = self.defects
        listed = None if d is None else (d.places, d.step, d.cells)
        return (
            token((*self.reads, *self.errors)),
            minus,
            listed,
            self.colours and self.colours.cells,
        )

    def without(self, paths: frozenset[str]) -> FlatGroup:
        """Without some of its frames."""
        kept = [i for i, f in enumerate(self.frames) if f.path not in paths]
        minus = self.minus if len(self.minus) == 1 else tuple(self.minus[i] for i in kept)
        return replace(self, frames=tuple(self.frames[i] for i in kept), minus=minus)

    def parts(self, frames: Sequence[Frame]) -> Iterator[tuple[slice, Minus]]:
        """What is subtracted from some of its frames: from which in a row what."""
        if len(self.minus) == 1:
            yield slice(0, len(frames)), self.minus[0]
            return
        each = {f.path: one for f, one in zip(self.frames, self.minus, strict=True)}
        start = 0
        for minus, part in itertools.groupby(frames, lambda f: each[f.path]):
            end = start + len(list(part))
            yield slice(start, end), minus
            start = end
