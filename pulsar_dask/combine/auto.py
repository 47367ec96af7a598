"""What serves some frames best: `ccdclip`, where their noise follows the level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pulsar_dask.combine import ccdclip, mean, median, winsorized
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]
_WINSORIZED = 8


@dataclass(frozen=True)
class Method:
    """One choice for a whole stack: `ccdclip`; where the noise cannot be told from the level
    `winsorized` of 8 frames and more, else the `median`; of one and two frames the `mean`."""

    name: ClassVar[str] = "auto"
    parameters: ClassVar[tuple[tuple[str, float], ...]] = ()
    compiles: ClassVar[bool] = True

    def chosen(self, frames: int, *, modelled: bool) -> Any:
        """The method for so many frames."""
        if frames < 3:
            return mean.Method()
        if modelled:
            return ccdclip.Method()
        return winsorized.Method() if frames >= _WINSORIZED else median.Method()

    def block(
        self, stack: Array, pixels: PixelType, planes: Sequence[str], *, compiled: bool
    ) -> Mapping[str, Array]:
        raise NotImplementedError("it is chosen before frames are combined: `masters.fitted`")

    def holds(
        self, frames: int, pixels: PixelType, area: int, planes: Sequence[str], *, compiled: bool
    ) -> Holds:
        raise NotImplementedError
