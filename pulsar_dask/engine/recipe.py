"""A recipe: the masters that are to be made, and so the layers that make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pulsar_dask.engine.layer import Layer, frames_read, in_order
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Source, Trace
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.loaded import Kernel, worth_compiling

#: The step, known to nobody who would make the pixels again, that tells whose they are.
ARRAYS = "values of an array in Python, which were not kept"


@dataclass(frozen=True, eq=False)
class Product:
    """One master."""

    name: str
    """Name of the file, without ".fit" if it is one of that."""
    kind: str | None
    """"bias", "dark", "flat", …; None where its frames are of several kinds."""
    layer: Layer
    frames: tuple[Frame, ...]
    dtypes: Mapping[str, str]
    """Type of each plane in a file, "image" first."""
    steps: tuple[Step | str, ...]
    sources: tuple[Source, ...] = ()
    """What it is made of beside its frames."""
    levels: tuple[Layer, ...] = ()
    """Layers that find the levels of its frames."""
    survey: Any = None
    """How its frames are looked at while they pass, if they are; see `masters.survey`."""
    finish: Any = None
    """By what its quality is told once the whole image is there, if it is; see `masters.finish`."""

    @property
    def file(self) -> str:
        """Name of its file."""
        return self.name if "." in self.name else f"{self.name}.fit"

    @property
    def dtype(self) -> str:
        return self.dtypes["image"]

    @property
    def method(self) -> str:
        """How its frames were combined."""
        (combine,) = (s for s in self.steps if isinstance(s, Step) and s.verb == "combine")
        return str(combine.args[0][0])

    @property
    def trace(self) -> Trace:
        inputs = tuple(Source.of("input", frame) for frame in self.frames)
        kept = all(frame.stored.kept for frame in self.frames)
        return Trace((*inputs, *self.sources), self.steps if kept else (ARRAYS, *self.steps))


@dataclass(frozen=True, eq=False)
class Recipe:
    """Masters of one shape that are made side by side."""

    products: Sequence[Product]
    more: Sequence[Layer] = field(default=())
    """Layers that no product takes."""

    @cached_property
    def layers(self) -> list[Layer]:
        """All layers, each after those that it takes."""
        return in_order((*(p.layer for p in self.products), *self.more))

    @cached_property
    def frames(self) -> list[Frame]:
        """All frames that are read, each once."""
        return frames_read(self.layers)

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x) or (plane, y, x)."""
        return self.frames[0].shape

    @cached_property
    def kernels(self) -> list[Kernel]:
        """Compiled code that its layers need, where they repay loading it or cannot do without."""
        needed = [layer.kernel for layer in self.layers if layer.kernel is not None]
        always = any(getattr(kernel.method, "compiles", False) for kernel in needed)
        return needed if always or worth_compiling(self.frames) else []
