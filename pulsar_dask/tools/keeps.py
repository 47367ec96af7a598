"""Who keeps what a command makes: nobody, or a report (`pages`), which stands above all tools."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.frame import Frame

#: What became of a light.
MADE, THERE, FAILED = "calibrated", "there already", "not calibrated"


@dataclass(frozen=True)
class Lit:
    """A light that was to be calibrated."""

    name: str
    state: str
    light: Frame | None = None
    path: str = ""
    """Of what was made of it."""
    why: str = ""
    """Of one that failed."""


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

    def chose(self, why: Mapping[str, Sequence[str]]) -> None:
        """What is to be said of the masters that were chosen for lights, by paths of these."""

    def light(self, name: str, state: str, *more: Any) -> None:
        """A light was calibrated, was there already, or failed; see `Lit`."""

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

    def chose(self, why: Any) -> None:
        pass

    def light(self, *told: Any) -> None:
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
