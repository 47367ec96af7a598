"""What all functions of the notebook take: as it is meant, or refused by its name before a file
is looked at."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypedDict, TypeVar, cast

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.combine import method as method_of
from pulsar_dask.errors import PulsarError, note, printable, told, wrong_argument
from pulsar_dask.frames.planes import wanted_planes
from pulsar_dask.frames.table import READ_BY, using
from pulsar_dask.inputs.checks import check_hdu, check_switch
from pulsar_dask.masters.search import Search, is_number

P = ParamSpec("P")
R = TypeVar("R")
#: Kinds of frames that can be asked for.
KINDS = ("bias", "dark", "flat", "light")


class Asked(TypedDict, total=False):
    """What every function that takes frames takes by name; `open_frames` says what each means."""

    search: Search | None
    sequence: bool | None
    recursive: bool | None
    hdu: int | str | None
    memory: float | None
    threads: int | None


@dataclass(frozen=True)
class Ask:
    """The same, as it is meant."""

    search: Search
    memory: float | None
    threads: int | None

    @staticmethod
    def of(how: Mapping[str, Any]) -> Ask:
        """What was given by name, or refused."""
        memory, threads = how.get("memory"), how.get("threads")
        if memory is not None:
            check_number("memory", memory, "gigabytes as a number, such as 2 or 0.5", above=0)
        if threads is not None:
            check_number("threads", threads, "how many as a whole number, such as 4", low=1)
        search = how.get("search")
        if search is not None and not isinstance(search, Search):
            raise wrong_argument("search", search, "a pulsar_dask.Search")
        given = {k: how[k] for k in ("sequence", "recursive", "hdu") if how.get(k) is not None}
        for name in given.keys() - {"hdu"}:
            check_switch(name, given[name])
        check_hdu(given.get("hdu"))
        return Ask(replace(search or Search(), **given), memory, threads)

    @contextlib.contextmanager
    def noting(self) -> Iterator[list[str]]:
        """The table of keywords is in use; what is warned of meanwhile, as masters keep it."""
        with using(self.search.table), told() as notes:
            if self.search.table.users:
                note(READ_BY + printable(self.search.table.users))
            yield notes


def asking(function: Callable[P, R]) -> Callable[P, R]:
    """A function that takes `Asked`: its help shows each of these, and what it does not take is
    refused in words."""
    own = inspect.signature(function)
    mine = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=what)
        for name, what in Asked.__annotations__.items()
    ]
    # what is rarely given comes last
    taken = own.replace(parameters=[*mine, *(p for p in more if p.name not in own.parameters)])
    return _checked(function, taken)


def in_words(function: Callable[P, R]) -> Callable[P, R]:
    """A function that refuses what it does not take in words."""
    return _checked(function, inspect.signature(function))


def _checked(function: Callable[P, R], signature: inspect.Signature) -> Callable[P, R]:
    name = function.__name__

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for word in kwargs.keys() - signature.parameters.keys():
            near = difflib.get_close_matches(word, signature.parameters, 1)
            hint = f"; did you mean ⟦{near[0]}⟧?" if near else f": it takes {_words(signature)}"
            raise PulsarError(f"{name} takes no {printable(word)!r}{hint}", "argument")
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            text = f"{name}: {error}; it takes {_words(signature)}"
            raise PulsarError(text, "argument") from None
        return function(*args, **kwargs)

    cast(Any, checked).__signature__ = signature
    return checked


def _words(signature: inspect.Signature) -> str:
    return ", ".join(signature.parameters)


def check_kind(kind: Any) -> None:
    """Refuse what is neither None nor a kind of frames."""
    if kind is not None and not (isinstance(kind, str) and kind in KINDS):
        raise wrong_argument("kind", kind, f"one of {', '.join(KINDS)}")


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
