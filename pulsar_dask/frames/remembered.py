"""What many headers say alike is understood once: frames of a night share most of their cards."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])
#: Results that are kept of each method: cameras and exposures that take turns.
_KEPT = 8


class _Once(NamedTuple):
    """A result, and all that it depends on."""

    table: Any
    arguments: tuple[Any, ...]
    keywords: tuple[str, ...]
    """Those that were asked for."""
    cards: list[Any]
    """Those there were; None where there was none."""
    result: Any
    origins: dict[str, str]
    remarks: list[str]

    def holds(self, table: Any, arguments: tuple[Any, ...], card: Callable[[str], Any]) -> bool:
        return (
            self.table is table
            and self.arguments == arguments
            and [*map(card, self.keywords)] == self.cards
        )


class _Asked:
    """A header that notes what is asked of it."""

    def __init__(self, header: Any) -> None:
        self.header = header
        self.cards: dict[str, Any] = {}

    def get(self, keyword: str, default: Any = None) -> Any:
        self.card(keyword)
        return self.header.get(keyword, default)

    def card(self, keyword: str) -> Any:
        found = self.cards[keyword] = self.header.card(keyword)
        return found

    def comment(self, keyword: str) -> str:
        self.card(keyword)
        text: str = self.header.comment(keyword)
        return text


def remembered(method: Method) -> Method:
    """A method of a reading of a header, of which nothing but `header`, `table` and arguments
    count and nothing but `origins` and `remarks` change; what it yields becomes a tuple.

    What it asks depends on what it was answered: a header that has the same cards, of those that
    were asked for, gets the same result. A header takes part that has ``card(keyword)``: the same
    object for the same card, None where there is none.
    """
    before: tuple[_Once, ...] = ()

    @functools.wraps(method)
    def call(self: Any, *arguments: Any) -> Any:
        nonlocal before
        card = getattr(self.header, "card", None)
        for one in before:
            if card is not None and one.holds(self.table, arguments, card):
                self.origins |= one.origins
                self.remarks += one.remarks
                return one.result
        header, origins, remarks = self.header, self.origins, self.remarks
        asked = _Asked(header) if card is not None else header
        self.header, self.origins, self.remarks = asked, {}, []
        try:
            result = method(self, *arguments)
            result = tuple(result) if isinstance(result, Iterator) else result
        finally:
            new = self.origins, self.remarks
            self.header, self.origins, self.remarks = header, origins | new[0], remarks + new[1]
        if card is not None:
            cards = asked.cards
            once = _Once(self.table, arguments, (*cards,), [*cards.values()], result, *new)
            before = (once, *before[: _KEPT - 1])
        return result

    return cast(Method, call)
