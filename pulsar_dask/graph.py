"""A pipeline as layers of tiles, and as the dask graph that they make.

A layer is a pure function of a tile, of the same tile of other layers, and of small shared
values (the list of frames, say). Its tasks carry a tile of five numbers; what is shared is
in the graph once. The same layers become a lazy dask array (`cube.lazy_array`) or are run
by a command tile by tile (`run.run`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dask._task_spec import DataNode, Task, TaskRef

from pulsar_dask.tiles import Grid, Tile


@dataclass(frozen=True)
class Layer:
    """``function(tile, *inputs)`` for each tile; ``function(*inputs)`` for a single task."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[str, ...] = ()
    """Names of layers, of single tasks or of shared values."""


@dataclass
class TileGraph:
    """Layers over one grid, in the order in which they depend on each other."""

    grid: Grid
    shared: dict[str, Any] = field(default_factory=dict)
    singles: dict[str, Layer] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    done: frozenset[tuple[int, ...]] = frozenset()
    """Indices of tiles that a run before this one has made already."""

    def tiles(self) -> Iterator[tuple[tuple[int, ...], Tile]]:
        """(index, tile) of those that are to be made."""
        return ((index, tile) for index, tile in self.grid if index not in self.done)

    def share(self, name: str, value: Any) -> str:
        """Put a small value in the graph; returns its name."""
        self.shared[name] = value
        return name

    def once(self, name: str, function: Callable[..., Any], *inputs: str) -> str:
        """Add a task that is no tile's, ``function(*inputs)``, whose small result tiles use."""
        self.singles[name] = Layer(name, function, inputs)
        return name

    def add(self, name: str, function: Callable[..., Any], *inputs: str) -> str:
        """Add a layer whose inputs are already there; returns its name."""
        self.layers[name] = Layer(name, function, inputs)
        return name

    def shared_nodes(self) -> dict[Hashable, Any]:
        """Shared values and the tasks that are no tile's."""
        nodes: dict[Hashable, Any] = {n: DataNode(n, value) for n, value in self.shared.items()}
        for single in self.singles.values():
            inputs = (TaskRef(name) for name in single.inputs)
            nodes[single.name] = Task(single.name, single.function, *inputs)
        return nodes

    def tile_tasks(self, index: tuple[int, ...], tile: Tile) -> dict[Hashable, Task]:
        """The tasks of all layers for one tile."""
        tasks: dict[Hashable, Task] = {}
        for layer in self.layers.values():
            inputs = [
                TaskRef((name, *index) if name in self.layers else name) for name in layer.inputs
            ]
            key = (layer.name, *index)
            tasks[key] = Task(key, layer.function, tile, *inputs)
        return tasks

    def tasks(self) -> Mapping[Hashable, Any]:
        """The whole graph."""
        graph = self.shared_nodes()
        for index, tile in self.tiles():
            graph |= self.tile_tasks(index, tile)
        return graph
