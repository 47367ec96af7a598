"""How an image is cut into tiles: a pure function of what it costs and a budget."""

from __future__ import annotations

import re

import pytest
from helpers import shapes
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pulsar_dask.engine.cut import Costs, plan_tiles
from pulsar_dask.engine.memory import budget
from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.holds import GB, MB, Phase


@st.composite
def costs(draw: st.DrawFn) -> Costs:
    frames, itemsize = draw(st.integers(1, 2000)), draw(st.sampled_from([1, 2, 4, 8]))
    return Costs(
        per_pixel={"frames": frames * itemsize, "median": draw(st.integers(0, 60))},
        per_thread={"selection": draw(st.integers(0, 5 * MB))},
        fixed={"list": draw(st.integers(0, 20 * MB))},
        stored=frames * itemsize,
        frames=frames,
    )


@st.composite
def plans(draw: st.DrawFn) -> dict:
    rows = draw(st.sampled_from([1, 1, 4, 16, 100]))
    columns = draw(st.sampled_from([1, 1, 32, 100]))
    return {
        "shape": draw(shapes),
        "costs": draw(costs()),
        "threads": draw(st.integers(1, 64)),
        "process": draw(st.integers(0, 300 * MB)),
        "block": (rows, columns),
    }


budgets = st.integers(1 * MB, 20 * GB)


@given(plans(), budgets)
def test_a_plan_keeps_the_budget_or_says_what_it_needs(arguments, size):
    try:
        plan = plan_tiles(**arguments, budget=size)
    except PulsarError as error:
        message = str(error)
    else:
        assert plan.total <= size
        assert plan.budget == size
        assert 1 <= plan.threads <= arguments["threads"]
        assert plan.threads <= len(plan.grid)
        area = min(plan.grid.height, arguments["shape"][-2]) * plan.grid.width
        more = arguments["costs"].held(plan.threads + plan.ahead, area)
        assert not plan.ahead or arguments["process"] + more <= size
        assert plan.threads + plan.ahead <= len(plan.grid)
        return
    least = float(re.search(r"at least ([\d.]+) GB", message)[1])
    assert budget(least) > size
    assert plan_tiles(**arguments, budget=budget(least)).total <= budget(least)


@given(plans(), budgets)
def test_it_refuses_only_what_cannot_be(arguments, size):
    """Whatever a smaller budget allows, a larger one does."""
    try:
        plan_tiles(**arguments, budget=size)
    except PulsarError:
        assume(False)
    assert plan_tiles(**arguments, budget=size + 100 * MB).total <= size + 100 * MB


@given(plans(), budgets)
def test_what_is_in_the_plan_adds_up(arguments, size):
    try:
        plan = plan_tiles(**arguments, budget=size)
    except PulsarError:
        assume(False)
    cost = arguments["costs"]
    area = min(plan.grid.height, arguments["shape"][-2]) * plan.grid.width
    for name, each in cost.per_pixel.items():
        assert plan.parts[name] == plan.threads * each * area
    for name, each in cost.per_thread.items():
        assert plan.parts[name] == plan.threads * each
    assert plan.parts["process"] == arguments["process"]
    assert plan.parts["list"] == cost.fixed["list"]
    assert plan.total == sum(plan.parts.values())


@given(plans(), budgets)
def test_tiles_are_whole_blocks(arguments, size):
    try:
        grid = plan_tiles(**arguments, budget=size).grid
    except PulsarError:
        assume(False)
    rows, columns = arguments["shape"][-2:]
    block = arguments["block"]
    assert grid.shape == arguments["shape"]
    assert 1 <= grid.height <= rows
    assert 1 <= grid.width <= columns
    assert grid.height == rows or grid.height % block[0] == 0
    assert grid.width == columns or grid.width % block[1] == 0
    # smaller ones would be more
    for length, part, step in zip((rows, columns), (grid.height, grid.width), block, strict=True):
        smaller = (part - 1) // step * step
        assert not smaller or -(-length // smaller) > -(-length // part)


@given(plans(), budgets)
def test_it_is_pure(arguments, size):
    def outcome():
        try:
            return plan_tiles(**arguments, budget=size)
        except PulsarError as error:
            return str(error)

    assert outcome() == outcome()


@settings(max_examples=20)
@given(st.integers(1, 2000), st.integers(1, 8))
def test_the_plan_does_not_grow_with_the_image(frames, threads):
    cost = Costs(per_pixel={"frames": 2 * frames, "median": 44}, stored=2 * frames, frames=frames)
    plans = [
        plan_tiles((rows, 6000), cost, budget=2 * GB, threads=threads, process=200 * MB)
        for rows in (4000, 40_000, 400_000)
    ]
    assert max(p.total for p in plans) <= 2 * GB
    assert plans[1].grid.height == pytest.approx(plans[2].grid.height, rel=0.02)


@pytest.mark.parametrize("frames", [1, 5, 20])
def test_a_small_stack_is_shared_among_the_threads(frames):
    cost = Costs(per_pixel={"frames": 2 * frames}, stored=2 * frames, frames=frames)
    plan = plan_tiles((1000, 1000), cost, budget=4 * GB, threads=4, process=0)
    assert plan.threads == 4
    assert len(plan.grid) >= 4


def test_the_refusal_names_the_option():
    cost = Costs(per_pixel={"frames": 4000}, stored=4000, frames=2000)
    with pytest.raises(PulsarError, match=r"^`memory` 0\.3 is too little: this needs at least"):
        plan_tiles((4000, 6000), cost, budget=300 * MB, threads=8, process=290 * MB)


@pytest.mark.parametrize(("rows", "filled"), [(400, 0), (399, 1)])
def test_what_is_held_for_smaller_tiles_counts_where_there_are_some(rows, filled):
    phases = (Phase(pixel={"chunk": 2}, edge={"filled up": 2}),)
    costs = Costs({"frames": 2}, phases=phases, stored=2)
    plan = plan_tiles((rows, 1000), costs, budget=GB, threads=1, process=0)
    area = plan.grid.height * plan.grid.width
    assert (rows % plan.grid.height != 0) == filled
    assert plan.parts.get("filled up", 0) == filled * 2 * area
    assert plan.total == (4 + 2 * filled) * area
