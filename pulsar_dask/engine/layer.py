"""A layer: what is made of each tile, declared before there are tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask.tokenize import tokenize

from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.planes import IMAGE, Plane
from pulsar_dask.kernels.loaded import Kernel
from pulsar_dask.kernels.pixels import Tile


@dataclass(frozen=True, eq=False)
class Layer:
    """``function(tile, *inputs)`` for each tile: a pure function that gives the planes of that
    tile by name. With `once` it is ``function(grid, *inputs)``, and gives a small value."""

    name: str
    """Made of all that it depends on, so that graphs can be merged; see `layer`."""
    function: Callable[..., Any]
    inputs: tuple[Any, ...] = ()
    """Other layers, whose planes of the same tile it takes (or their value, with `once`), and
    small values."""
    planes: tuple[Plane, ...] = (IMAGE,)
    reads: tuple[Frame, ...] = ()
    """Frames whose pixels it reads, each once: these reads count for their sums."""
    also: tuple[Frame, ...] = ()
    """What else it reads, as often as it likes."""
    holds: Holds = field(default_factory=Holds)
    """What it holds beside its planes."""
    kernel: Kernel | None = None
    """Compiled code that it needs."""
    once: bool = False
    passes: int = 1
    """How often its frames are read, by it and by layers that it takes."""

    @property
    def before(self) -> list[Layer]:
        """The layers that it takes."""
        return [i for i in self.inputs if isinstance(i, Layer)]

    @property
    def stored(self) -> int:
        """Bytes of stored pixels that are read for each pixel of a tile."""
        return sum(f.pixels.stored.itemsize for f in self.reads)


def layer(kind: str, function: Callable[..., Any], *inputs: Any, **more: Any) -> Layer:
    """A layer whose name tells what it depends on."""
    depends = [i.name if isinstance(i, Layer) else token(i) for i in inputs]
    return Layer(f"{kind}-{tokenize(depends)}", function, inputs, **more)


def in_order(wanted: Iterable[Layer]) -> list[Layer]:
    """Layers and all that they take, each once and after those that it takes."""
    found: dict[str, Layer] = {}

    def visit(layer: Layer) -> None:
        if layer.name not in found:
            for needed in layer.before:
                visit(needed)
            found[layer.name] = layer

    for one in wanted:
        visit(one)
    return list(found.values())


def frames_read(layers: Iterable[Layer]) -> list[Frame]:
    """All frames that layers read, each once."""
    return list({f.key: f for one in layers for f in (*one.reads, *one.also)}.values())


def token(value: Any) -> Any:
    """What a small value is known by: frames by their files as they are now."""
    if isinstance(value, Frame):
        return value.path, value.size, value.mtime_ns, value.stored.token
    if isinstance(value, tuple):
        return [token(v) for v in value]
    return getattr(value, "token", value)


Index = tuple[int, ...]


Taker = Callable[[Tile, Mapping[str, Any]], Any]
"""What a sink does with the planes of a tile, where that was computed."""


def files_token(frames: Sequence[Frame]) -> str:
    """A name for the very files that frames are in."""
    return str(tokenize([(f.inode, f.ctime_ns) for f in frames]))
