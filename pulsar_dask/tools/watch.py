"""How a run goes, as it is told; a dry run ends there."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

from pulsar_dask.cli.progress import Progress
from pulsar_dask.cli.report import Report
from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Run, Watch
from pulsar_dask.kernels.pixels import Tile


class Planned(Exception):
    """A dry run ends, as all is known that it can tell."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__()


class _Watch(Watch):
    """Says the plan, and shows a bar by bytes of pixels that were read."""

    def __init__(
        self,
        report: Report,
        quiet: bool,
        what: str | None,
        hint: str | None,
        found: Callable[[Run], None],
    ) -> None:
        self._report, self._quiet, self._what, self._hint = report, quiet, what, hint
        self._found = found
        self._bars = contextlib.ExitStack()

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *error: Any) -> None:
        self._bars.close()

    def planned(self, recipe: Recipe, plan: Plan) -> None:
        self._report.plan(recipe.frames, plan, self._what)
        if self._hint:
            self._report.say(self._hint)
        if self._report.dry:
            raise Planned(Run(recipe, plan))
        self._once = {x.name: sum(f.nbytes for f in x.also) for x in recipe.layers if x.once}
        self._each = sum(layer.stored for layer in recipe.layers if not layer.once)
        total = self._each * math.prod(recipe.shape) + sum(self._once.values())
        self._bar = self._bars.enter_context(Progress(total, quiet=self._quiet))

    def computed(self, run: Run) -> None:
        self._found(run)

    def done_once(self, layer: Layer) -> None:
        self._bar.update(self._once[layer.name])

    def done_tile(self, tile: Tile) -> None:
        self._bar.update(self._each * math.prod(tile.shape))


def watching(
    report: Report,
    quiet: bool,
    what: str | None = None,
    hint: str | None = None,
    found: Callable[[Run], None] = lambda run: None,
) -> _Watch:
    """What tells how a run goes; see `options.files_in_goes`."""
    return _Watch(report, quiet, what, hint, found)
