"""Darks of one master, and the bias that is subtracted from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pulsar_dask.combine import Combine
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.mastererror import Error, said_of
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.step import Step


@dataclass(frozen=True)
class Bias:
    """What is subtracted from a dark: frames to combine, one file, or a constant."""

    frames: tuple[Frame, ...] = ()
    constant: float = 0.0
    combine: bool = False
    """Whether the frames are combined into a master of their own."""
    name: str = "bias"
    """Of that master."""
    error: Error = 0.0
    """Of what the file holds, where errors are wanted."""

    @property
    def error_steps(self) -> tuple[Step, ...]:
        """What is said of its error."""
        return said_of(self.frames, (self.error,))[1]

    def step(self, method: Combine) -> Step | None:
        """What it does to a dark."""
        if self.combine:
            return Step("minus combined", (f"{self.name}.fit", key(method), len(self.frames)))
        if self.frames:
            return Step("minus", (self.frames[0].path.replace("\\", "/").rsplit("/", 1)[-1],))
        return Step("minus number", (self.constant,)) if self.constant else None

    @property
    def sources(self) -> tuple[Source, ...]:
        return (
            *(Source.of("bias", frame) for frame in self.frames),
            *said_of(self.frames, (self.error,))[0],
        )


@dataclass(frozen=True)
class Dark:
    """A master dark that is to be made."""

    name: str
    frames: tuple[Frame, ...]
    bias: Bias = Bias()

    def without(self, paths: frozenset[str]) -> Dark:
        """Without some of its frames, and of those of its bias."""
        frames = tuple(f for f in self.frames if f.path not in paths)
        biases = tuple(f for f in self.bias.frames if f.path not in paths)
        return replace(self, frames=frames, bias=replace(self.bias, frames=biases))


def key(method: Combine) -> tuple[str, tuple[tuple[str, float], ...]]:
    """A method as a step has it."""
    return method.name, method.parameters
