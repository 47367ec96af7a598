"""Numbers on a command line, and options that belong together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def options(*decorators: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number from one bound to another, as it is written everywhere: with a point."""

    name = "number"

    def __init__(
        self, low: float, high: float, give: str, *, whole: bool = False, above: bool = False
    ) -> None:
        self.low, self.high, self.whole, self.above = low, high, whole, above
        self.give = give
        """What is to be given, as "gigabytes as a number, such as 2"."""

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from pulsar_dask.inputs.numbers import number

        try:
            given = number(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}; give {self.give}", param, ctx)
        if not self.low <= given <= self.high or (self.above and given == self.low):
            bounds = f"{'above' if self.above else 'from'} {self.low:.12g} to {self.high:.12g}"
            self.fail(f"{value!r} is not a number {bounds}; give {self.give}", param, ctx)
        if self.whole and given != int(given):
            self.fail(f"{value!r} is not a whole number; give {self.give}", param, ctx)
        return int(given) if self.whole else given
