"""Of many cases a few in `make test`; those marked `more` are tried by `.ci/run` and `make soak`.

A test with ``@pytest.mark.few`` keeps so many of its cases that each value of each parameter comes
at least once, ``few(3)`` three times; the others are marked more. ``parametrize("how", ["open",
*also("sticky", "link")])`` names them.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pytest


def also(*values: Any) -> list[Any]:
    """Values of a parameter that are tried where there is time."""
    return [pytest.param(value, marks=pytest.mark.more) for value in values]


def keep_few(items: list[pytest.Item]) -> None:
    cases = defaultdict(list)
    for item in items:
        if (few := item.get_closest_marker("few")) and isinstance(item, pytest.Function):
            cases[item.parent, item.originalname, *few.args].append(item)
    for (_, _, *times), found in cases.items():
        for item in _left(found, *times):
            item.add_marker(pytest.mark.more)


def _left(items: list[Any], times: int = 1) -> list[Any]:
    """What brings no value that is still wanted; those first that bring most."""
    shuffled = random.Random(0).sample(items, len(items))
    values = {i: {(name, repr(v)) for name, v in i.callspec.params.items()} for i in items}
    wanted = {
        value: min(times, n) for value, n in Counter(v for s in values.values() for v in s).items()
    }
    while any(wanted.values()):
        best = max(shuffled, key=lambda item: sum(wanted[v] > 0 for v in values[item]))
        shuffled.remove(best)
        for value in values[best]:
            wanted[value] -= 1
        wanted = {value: max(0, n) for value, n in wanted.items()}
    return shuffled
