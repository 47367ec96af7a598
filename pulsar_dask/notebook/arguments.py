"""What all functions of the notebook take: as it is meant, or refused by its name before a file
is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.combine import method as method_of
from pulsar_dask.errors import PulsarError, printable, wrong_argument
from pulsar_dask.frames.planes import wanted_planes
from pulsar_dask.masters.search import Search, is_number


def check_resources(memory: Any, threads: Any) -> None:
    """Refuse what is neither None nor gigabytes, and what is neither None nor so many threads."""
    if memory is not None:
        check_number("memory", memory, "gigabytes as a number, such as 2 or 0.5", above=0)
    if threads is not None:
        check_number("threads", threads, "how many as a whole number, such as 4", low=1)


def check_number(
    name: str, value: Any, give: str, *, low: int | None = None, above: float = -math.inf
) -> None:
    """Refuse what is not a finite number above a bound; or, with `low`, not a whole one from
    there on."""
    whole = isinstance(value, (int, np.integer))
    if (
        not is_number(value)
        or not above < value < math.inf
        or (low is not None and not (whole and value >= low))
    ):
        raise wrong_argument(name, value, give)


def combining(combine: Any, planes: str | Iterable[str] | None) -> tuple[Combine, tuple[str, ...]]:
    """The method, and the planes that are wanted with the image."""
    try:
        method = method_of(combine)
    except ValueError as error:
        raise PulsarError(f"⟦combine⟧: {printable(error)}") from None
    try:
        return method, ("image", *wanted_planes(planes))
    except ValueError as error:
        raise PulsarError(f"⟦planes⟧: {printable(error)}") from None


def searching(search: Any) -> Search:
    """How to look for files; None is as usual."""
    if search is None:
        return Search()
    if not isinstance(search, Search):
        raise wrong_argument("search", search, "a pulsar_dask.Search")
    return search
