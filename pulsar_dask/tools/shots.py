"""What is kept of a master until its report is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.frames.frame import Frame
from pulsar_dask.masters.judged import Said
from pulsar_dask.output.picture_sink import PictureSink

Array = np.ndarray[Any, Any]
Row = tuple[str, str]


@dataclass
class Shot:
    """What is known of a master for a report."""

    name: str
    path: str
    sink: PictureSink
    run: Run
    product: Product | None = None
    """None where nothing is known of how it was made."""
    hot: tuple[Array, Array] | None = None
    """Columns and rows of the pixels that are listed, hottest first."""
    said: Sequence[Said] = ()
    told: Mapping[str, Any] = field(default_factory=dict)
    """Its `figures`."""
    facts: Sequence[Row] = ()
    """Further rows of how it was made."""

    @property
    def frames(self) -> Sequence[Frame]:
        return self.product.frames if self.product is not None else ()
