"""Where layers meet tiles: the only place, and the only one that knows dask's tasks.

`evaluate` runs the layers of one tile one after the other in one thread and forgets each
result after its last use, so that a thread holds no more than the plan says; threads here and
workers of a cluster both run it, as one task a tile. The same layers are lazy arrays as one
task a layer and tile, which dask fuses as it likes.

`dask._task_spec` is private, but the one form in which dask takes a task whose arguments
it need not search (`dask.delayed` and tuples cost 0.1 ms a task more); its classes are used
by dask's own collections since 2024.12.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask._task_spec import DataNode, Task, TaskRef
from dask.tokenize import tokenize

from pulsar_dask.engine.layer import Index, Layer, Taker, frames_read, in_order
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.pixels import Grid, Tile


def evaluate(
    layers: Sequence[Layer],
    takers: Sequence[tuple[str, Taker]],
    known: Mapping[str, Any],
    tile: Tile,
) -> list[Any]:
    """Compute the layers of a tile.

    Parameters
    ----------
    layers : sequence of Layer
        Each after those that it takes.
    takers : sequence of (str, Taker)
        Called with the planes of the layer of that name as soon as they are there.
    known : mapping
        Values of layers that are made once, by name.
    tile : Tile

    Returns
    -------
    list
        What the takers return, in their order.
    """
    made: dict[str, Any] = dict(known)
    last = {needed.name: layer.name for layer in layers for needed in layer.before}
    taken: list[Any] = [None] * len(takers)
    for layer in layers:
        planes = layer.function(tile, *arguments(layer, made))
        for i, (name, take) in enumerate(takers):
            if name == layer.name:
                taken[i] = take(tile, planes)
        if layer.name in last:
            made[layer.name] = planes
        del planes
        for name in [n for n, user in last.items() if user == layer.name and n not in known]:
            del made[name]
    return taken


def arguments(layer: Layer, made: Mapping[str, Any]) -> list[Any]:
    """What a layer takes, the layers before it made."""
    return [made[i.name] if isinstance(i, Layer) else i for i in layer.inputs]


@dataclass
class Graph:
    """Layers over a grid."""

    layers: Sequence[Layer]
    """Each after those that it takes."""
    grid: Grid
    takers: Sequence[tuple[str, Taker]] = ()
    """What sinks do with tiles; see `evaluate`."""
    done: frozenset[Index] = field(default=frozenset())
    """Indices of tiles that are not to be made."""

    @property
    def frames(self) -> list[Frame]:
        return frames_read(self.layers)

    @property
    def once(self) -> list[Layer]:
        return [layer for layer in self.layers if layer.once]

    @property
    def each(self) -> list[Layer]:
        return [layer for layer in self.layers if not layer.once]

    def tiles(self) -> Iterator[tuple[Index, Tile]]:
        """(index, tile) of those that are to be made."""
        return ((index, tile) for index, tile in self.grid if index not in self.done)

    def tasks(self, here: Callable[[Tile, list[Any]], Any]) -> dict[Hashable, Any]:
        """One task for each layer that is made once, by its name, and one for each tile:
        ("tile", *index), which hands what the takers returned to `here`."""
        names = [layer.name for layer in self.once]
        layers = self.each

        def make_tile(tile: Tile, *values: Any) -> Any:
            known = dict(zip(names, values, strict=True))
            return here(tile, evaluate(layers, self.takers, known, tile))

        tasks: dict[Hashable, Any] = {
            layer.name: Task(layer.name, _Call.of(layer), self.grid, *_references(layer))
            for layer in self.once
        }
        known = [TaskRef(name) for name in names]
        for index, tile in self.tiles():
            key = ("tile", *index)
            tasks[key] = Task(key, make_tile, tile, *known)
        return tasks

    def lazy(
        self, layer: Layer, plane: str, dtype: str, made: Any = None
    ) -> tuple[str, dict[Hashable, Any]]:
        """A plane of a layer, of some type, as the tasks of a dask array: its name, and all tasks.
        `made` is what `made_of` tells of the array."""
        suffix = tokenize(self.grid)  # two tilings are not to be mixed
        wanted = in_order([layer])
        calls = {needed.name: f"{needed.name}-{suffix}" for needed in wanted}
        tasks: dict[Hashable, Any] = {}
        for one in wanted:
            name = calls[one.name]
            # the frames it holds are in the graph once, not in each task
            tasks[f"{name}-call"] = DataNode(f"{name}-call", _Call.of(one))
            if one.once:
                tasks[name] = Task(
                    name,
                    _apply,
                    TaskRef(f"{name}-call"),
                    self.grid,
                    *(TaskRef(calls[n.name]) for n in one.before),
                )
        (leading,) = (len(p.leading) for p in layer.planes if p.name == plane)
        axis = leading if len(self.grid.shape) == 3 else None
        array = f"{layer.name}-{plane}-{dtype}-{suffix}"
        tasks |= made_by(array, made)
        for index, tile in self.grid:
            for one in wanted:
                if not one.once:
                    key = (calls[one.name], *index)
                    taken = (
                        TaskRef(calls[n.name] if n.once else (calls[n.name], *index))
                        for n in one.before
                    )
                    tasks[key] = Task(key, _apply, TaskRef(f"{calls[one.name]}-call"), tile, *taken)
            key = (array, *(0,) * leading, *index)
            tasks[key] = Task(key, _plane, TaskRef((calls[layer.name], *index)), plane, axis, dtype)
        return array, tasks


#: Ends the name of what an array was made by; no task needs it.
_MADE = "-made"


def made_by(name: str, made: Any) -> dict[Hashable, Any]:
    """What an array of that name was made by, as a task that nobody needs."""
    return {f"{name}{_MADE}": DataNode(f"{name}{_MADE}", made)}


def made_of(array: Any) -> Any:
    """What a dask array is, that was made by `Graph.lazy` and not changed since; else None."""
    node = array.__dask_graph__().get(f"{array.name}{_MADE}")
    return None if node is None else node.value


def all_made(array: Any) -> dict[str, Any]:
    """The arrays that a dask array is made of, by name, and what they are."""
    graph = array.__dask_graph__()
    names = [key for key in graph if isinstance(key, str) and key.endswith(_MADE)]
    return {name.removesuffix(_MADE): graph[name].value for name in names}


@dataclass(frozen=True)
class _Call:
    """A layer without the layers that it takes: these come as arguments."""

    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    layers: tuple[bool, ...]

    @staticmethod
    def of(layer: Layer) -> _Call:
        layers = tuple(isinstance(i, Layer) for i in layer.inputs)
        inputs = tuple(None if isinstance(i, Layer) else i for i in layer.inputs)
        return _Call(layer.function, inputs, layers)

    def __call__(self, place: Any, *values: Any) -> Any:
        left = iter(values)
        inputs = [
            next(left) if is_layer else value
            for value, is_layer in zip(self.inputs, self.layers, strict=True)
        ]
        return self.function(place, *inputs)


def _apply(call: _Call, place: Any, *values: Any) -> Any:
    return call(place, *values)


def _references(layer: Layer) -> list[Any]:
    return [TaskRef(needed.name) for needed in layer.before]


def _plane(planes: Mapping[str, Any], name: str, axis: int | None, dtype: str) -> Any:
    values = planes[name].astype(dtype, copy=False)
    return (
        values if axis is None else values.reshape((*values.shape[:axis], 1, *values.shape[axis:]))
    )
