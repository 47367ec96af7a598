"""Who keeps what a command makes: nobody, or a report (`pages`), which stands above all tools."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pulsar_dask.errors import PulsarError


class Keeps(Protocol):
    """Looks at masters while they are made, and keeps what it saw."""

    def sinks(self, sinks: Sequence[Any]) -> Sequence[Any]:
        """Further sinks of a run, which look at the masters of its own."""

    def took(
        self, run: Any, sinks: Sequence[Any], looks: Sequence[Any], pictures: Sequence[Any]
    ) -> Mapping[str, Mapping[str, Any]]:
        """A run is over: figures of its products by their names."""

    def old(
        self, path: str, shape: tuple[int, ...], list_: str | None
    ) -> tuple[Any | None, str | None]:
        """The master that one is compared with, and its list."""

    def add(self, *found: Any) -> None:
        """A master that was made before, and what was found of it."""

    def write(self, report: Any, warnings: Sequence[str], error: Any = None) -> None:
        """The command is over."""


class _Nobody:
    def sinks(self, sinks: Sequence[Any]) -> Sequence[Any]:
        return []

    def took(self, *kept: Any) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def old(self, *named: Any) -> tuple[None, None]:
        return None, None

    def add(self, *found: Any) -> None:
        pass

    def write(self, *told: Any) -> None:
        pass


NOBODY: Keeps = _Nobody()


def reporting(tool: Callable[..., None], options: Any, args: Any, more: Any) -> None:
    """Run a tool; then whoever keeps what it made writes the report, also of what was made before
    it failed."""
    try:
        tool(*args, options=options, **more)
    except PulsarError as error:
        with contextlib.suppress(PulsarError):  # what was first is said
            options.page.write(options.report(), options.warnings, error)
        raise
    options.page.write(options.report(), options.warnings)
