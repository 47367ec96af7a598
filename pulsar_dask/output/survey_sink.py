"""Takes what is seen of a product's frames tile by tile, and puts it together."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.survey import Surveyed, survey_of

#: What judging holds of a frame: its sample as float64, and what is made of that.
_JUDGING = 8 * 8


def taken(tile: Tile, made: Mapping[str, Any]) -> Any:
    """See `layer.Taker`."""
    return survey_of(made)


class SurveySink:
    """See `make.Sink`; it writes nothing."""

    grid = None
    lines = None
    load: Sequence[str] = ()
    paths: Sequence[str] = ()
    sends = 0

    def __init__(self, product: Product) -> None:
        self.product, self.layer = product, product.layer
        look = product.survey
        self.holds = Holds(process={f"sample of {product.name}": look.bytes})
        self.after = Holds(process={"judging": look.bytes + _JUDGING * look.size})
        self.said: Sequence[Any] = ()
        """What was said of the frames."""
        self._lock = threading.Lock()

    def begin(self, plan: Plan) -> frozenset[Index]:
        self.surveyed = Surveyed.begin(self.product.survey)
        return frozenset()

    def taker(self) -> Any:
        return taken

    def here(self, tile: Tile, result: Any) -> None:
        if result is not None:
            with self._lock:
                self.surveyed.add(tile, result)

    def seal(self, run: Run) -> None:
        pass

    def files(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass
