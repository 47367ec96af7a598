"""The mean without the lowest and the highest values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pulsar_dask.combine._clipped import Clipped, check_numbers
from pulsar_dask.kernels.clipping import MINMAX, Rule


@dataclass(frozen=True)
class Method(Clipped):
    """The mean of what is left without the `nlow` lowest and the `nhigh` highest; where m of n
    values are there, without int(nlow * m / n + 0.001) and likewise, as IRAF's `imcombine` does
    with ``reject=minmax``. Of two values it is their mean."""

    name: ClassVar[str] = "minmax"
    nlow: float = 1
    nhigh: float = 1

    def __post_init__(self) -> None:
        check_numbers(nlow=(self.nlow, 0), nhigh=(self.nhigh, 0))
        if self.nlow % 1 or self.nhigh % 1:
            raise ValueError("nlow and nhigh are whole numbers")

    @property
    def rule(self) -> Rule:
        return Rule(MINMAX, self.nlow, self.nhigh)

    def check(self, frames: int) -> str | None:
        if frames > 2 and self.nlow + self.nhigh >= frames:
            raise ValueError(
                f"minmax without the {self.nlow:g} lowest and the {self.nhigh:g} highest leaves "
                f"nothing of {frames} frames; give fewer with ⟦nlow⟧ and ⟦nhigh⟧"
            )
        return None
