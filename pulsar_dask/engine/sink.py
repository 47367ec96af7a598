"""What a run has beside layers: sinks, an executor, who watches; and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pulsar_dask.engine.cut import Plan, Resources
from pulsar_dask.engine.graph import Graph
from pulsar_dask.engine.layer import Index, Layer, Taker
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import Grid, Tile


class Sink(Protocol):
    """What becomes of a layer's tiles: a file, a list, a comparison.

    It is the way to reduce over tiles: `taker` gives a small function that travels and runs
    where a tile is, `here` folds what that returns. All sinks are sealed, then all committed.
    """

    layer: Layer

    @property
    def holds(self) -> Holds:
        """What taking a tile holds there, and what the sink holds here."""

    @property
    def after(self) -> Holds:
        """What is held once when all tiles have come."""

    @property
    def sends(self) -> int:
        """Bytes for each pixel of a tile that go from `taker` to `here`."""

    @property
    def load(self) -> Sequence[str]:
        """Modules that are loaded before the plan is made, so that they are counted."""

    @property
    def grid(self) -> Grid | None:
        """Of a run before this one, which goes on."""

    def begin(self, plan: Plan) -> frozenset[Index]:
        """Get ready; the tiles that need not be made."""

    def taker(self) -> Taker:
        """What takes a tile: a small function, called from several threads."""

    def here(self, tile: Tile, result: Any) -> None:
        """Take what the taker returned, from several threads, in any order of tiles."""

    def seal(self, run: Run) -> None:
        """All tiles have come: bring everything to the disk, so that only names are missing."""

    def files(self) -> Mapping[str, Any]:
        """Sealed files by the path whose name they are to take; None: nothing is to have it."""


class Executor(Protocol):
    """Where tiles are computed: threads of this process, or workers of a cluster."""

    @property
    def slots(self) -> int:
        """Threads, over all processes."""

    def resources(
        self, recipe: Recipe, load: Sequence[str], gigabytes: float | None
    ) -> list[Resources]:
        """What each process that computes has, once it has loaded what the recipe needs."""

    def run(
        self,
        graph: Graph,
        sinks: Sequence[Sink],
        plan: Plan,
        watch: Watch,
        ledger: Ledger,
    ) -> dict[str, Any]:
        """Compute the tiles of a graph and hand them to sinks; the values of the layers that
        are made once, by name."""


class Watch:
    """What wants to know how a run goes: nobody."""

    def planned(self, recipe: Recipe, plan: Plan) -> None:
        """Before the first pixel is read."""

    def done_once(self, layer: Layer) -> None:
        """A layer that is made once is there."""

    def done_tile(self, tile: Tile) -> None:
        """The sinks have taken a tile."""

    def computed(self, run: Run) -> None:
        """All tiles have come; nothing is sealed yet, so that what is found goes into headers."""


@dataclass
class Run:
    """All that there is to know about a run."""

    recipe: Recipe
    plan: Plan
    values: Mapping[str, Any] = field(default_factory=dict)
    """Values of the layers that are made once, by name."""
    sums: Mapping[str, Sums] = field(default_factory=dict)
    """Sums of the frames that were read, by their keys."""
    written: dict[str, int] = field(default_factory=dict)
    """CRC-32 of lists that are written, by path."""
    warnings: list[str] = field(default_factory=list)
    """All that was warned of, since the tool began."""
    seconds: float = 0.0

    def notes(self, name: str) -> list[str]:
        """The warnings about a product, by the name of its file: those that name it, without
        that, and those that name none."""
        about = (text.partition(": ") for text in self.warnings)
        products = {product.file for product in self.recipe.products}
        return [
            rest if os.path.basename(head) == name else head + colon + rest
            for head, colon, rest in about
            if os.path.basename(head) == name or os.path.basename(head) not in products
        ]
