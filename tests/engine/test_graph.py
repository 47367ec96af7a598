"""Layers over tiles: what is evaluated when, what is held, and the same as lazy arrays."""

from __future__ import annotations

import gc
import weakref

import dask
import numpy as np
import pytest

from pulsar_dask.engine.graph import Graph, evaluate
from pulsar_dask.engine.layer import Layer, layer
from pulsar_dask.engine.plan import needs
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.planes import Plane
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.notebook.lazy import lazy_array


def ramp(tile: Tile, start: float) -> dict[str, np.ndarray]:
    y, x = np.mgrid[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
    return {"image": start + 1000.0 * tile.plane + 10.0 * y + x}


def difference(tile: Tile, a: dict[str, np.ndarray], b: dict[str, np.ndarray], scale: float):
    return {"image": (a["image"] - b["image"]) * scale}


def largest(grid: Grid, start: float) -> float:
    return start + len(grid)


def recipe() -> tuple[Recipe, Layer]:
    scale = layer("scale", largest, 0.5, once=True)
    a, b = layer("a", ramp, 5.0), layer("b", ramp, 2.0)
    top = layer("top", difference, a, b, scale)
    return Recipe((), (top,)), top


@pytest.mark.parametrize("shape", [(7, 9), (2, 7, 9)])
def test_tasks_and_lazy_arrays_agree(shape):
    made, top = recipe()
    grid = Grid(shape, 3, 4)
    whole = np.full(shape, np.nan)

    def here(tile, taken):
        ((values, once),) = taken
        assert once is None
        plane = whole[tile.plane] if len(shape) == 3 else whole
        plane[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = values

    graph = Graph(made.layers, grid, [(top.name, lambda tile, planes: (planes["image"], None))])
    tasks = graph.tasks(here)
    dask.get(tasks, list(tasks))
    assert np.array_equal(whole, np.full(shape, 3.0 * (0.5 + len(grid))))
    lazy = lazy_array(graph, top, top.planes[0], "float64")
    assert lazy.shape == shape
    assert np.array_equal(lazy.compute(scheduler="synchronous"), whole)
    assert np.array_equal(lazy[..., 2:5, 3].compute(scheduler="threads"), whole[..., 2:5, 3])


def test_done_tiles_are_not_made():
    made, _ = recipe()
    grid = Grid((6, 4), 2, 4)
    graph = Graph(made.layers, grid, (), frozenset({(0, 0), (2, 0)}))
    assert [index for index, _ in graph.tiles()] == [(1, 0)]
    assert [key for key in graph.tasks(lambda *taken: None) if isinstance(key, tuple)] == [
        ("tile", 1, 0)
    ]


def test_what_later_layers_do_not_take_is_forgotten():
    refs: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def first(tile):
        made = {"image": np.zeros(tile.shape)}
        refs.append(weakref.ref(made["image"]))
        return made

    def second(tile, before):
        return {"image": before["image"] + 1}

    def third(tile, before):
        gc.collect()
        alive.append(sum(ref() is not None for ref in refs))
        return {"image": before["image"] + 1}

    a = Layer("a", first)
    b = Layer("b", second, (a,))
    c = Layer("c", third, (b,))
    taken = evaluate(
        Recipe((), (c,)).layers,
        [("c", lambda tile, planes: planes["image"].sum())],
        {},
        Tile(0, 0, 0, 2, 3),
    )
    assert taken == [12.0]
    assert alive == [0]


def test_names_tell_what_a_layer_depends_on():
    assert layer("a", ramp, 5.0).name == layer("a", ramp, 5.0).name
    assert layer("a", ramp, 5.0).name != layer("a", ramp, 6.0).name
    below = layer("b", ramp, 1.0), layer("b", ramp, 2.0)
    assert len({layer("a", difference, b, b, 1.0).name for b in below}) == 2


# --- what is held --------------------------------------------------------------------------------


def test_holds():
    a = Holds({"stack": 8, "work": 3}, {"scratch": 5}, {"list": 1})
    b = Holds({"stack": 6, "work": 9}, {}, {"list": 4, "more": 2})
    assert a | b == Holds({"stack": 8, "work": 9}, {"scratch": 5}, {"list": 4, "more": 2})
    assert a + b == Holds({"stack": 14, "work": 12}, {"scratch": 5}, {"list": 5, "more": 2})


class Taking:
    sends = 0
    after = Holds()

    def __init__(self, layer: Layer, holds: Holds) -> None:
        self.layer, self.holds = layer, holds


class OneFrame:
    """Stands for a frame where only its shape counts."""

    path, shape = "f", (4, 4)


def test_a_recipe_adds_up_what_waits(monkeypatch):
    monkeypatch.setattr(Recipe, "frames", [OneFrame()])
    a = Layer("a", ramp, holds=Holds({"work": 100}))
    b = Layer("b", ramp, holds=Holds({"work": 30}))
    c = Layer("c", ramp, (a, b), planes=(Plane("image"), Plane("count", "int32")))
    held = needs(Recipe((), (c,)), [Taking(c, Holds({"work": 50}))])
    # each layer and taker beside its planes and those that wait: a's and b's are 8 bytes, c's 12
    waiting = "planes of layers before"
    assert held.pixel == {"work": 100}
    assert [dict(phase.pixel) for phase in held.phases] == [
        {"planes": 8, waiting: 0, "results": 0},
        {"planes": 8, waiting: 8, "results": 0},
        {"planes": 12, waiting: 16, "results": 0},
        {"planes": 12, waiting: 16, "results": 0, "work": 50},
    ]
