"""What methods share that take the mean of what a rule keeps of the sorted values of a pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from pulsar_dask.formats.reading import conversion_bytes, to_values
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels import clipping
from pulsar_dask.kernels.clipping import Rule
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]
#: Values that are made of stored ones together, where those are scaled or of 64 bits.
_VALUES = 1 << 18
_FLOAT64 = PixelType(-64)


@dataclass(frozen=True)
class Clipped:
    """A method that keeps a run of the sorted values; its fields are its parameters."""

    name: ClassVar[str]
    compiles: ClassVar[bool] = True
    """There is no other code."""

    @property
    def parameters(self) -> tuple[tuple[str, float], ...]:
        given = ((f.name, getattr(self, f.name)) for f in fields(self))
        return tuple((name, float(value)) for name, value in given if value is not None)

    @property
    def rule(self) -> Rule:
        """What is kept."""
        raise NotImplementedError

    def check(self, frames: int) -> str | None:
        """What there is to say of so many frames.

        Raises
        ------
        ValueError
            Nothing would be left of them.
        """
        return None

    def block(
        self, stack: Array, pixels: PixelType, planes: Sequence[str], *, compiled: bool
    ) -> Mapping[str, Array]:
        return kept_by(self.rule, stack, pixels, planes)

    def holds(
        self, frames: int, pixels: PixelType, area: int, planes: Sequence[str], *, compiled: bool
    ) -> Holds:
        return kept_holds(frames, pixels, area, planes)


def kept_by(rule: Rule, stack: Array, pixels: PixelType, planes: Sequence[str]) -> dict[str, Array]:
    """What `Combine.block` gives, by a rule."""
    counts = any(name in planes for name in ("count", "low", "high", "outlier"))
    deviations = any(name in planes for name in ("deviation", "spread"))

    def clip(part: Array, pixels: PixelType) -> clipping.Kept:
        return clipping.clip(part, pixels, rule, counts=counts, deviations=deviations)

    if not converted(pixels):
        kept = clip(stack, pixels)
    else:
        step = max(1, _VALUES // len(stack))
        parts = [
            clip(np.ascontiguousarray(to_values(stack[:, i : i + step], pixels), "f8"), _FLOAT64)
            for i in range(0, stack.shape[1], step)
        ]
        kept = clipping.Kept._make(map(np.concatenate, zip(*parts, strict=True)))
    kept.image[...] += 0.0  # no -0.0
    made = {
        "image": kept.image, "count": kept.used, "low": kept.low, "high": kept.high,
        "outlier": kept.outlier, "deviation": kept.sd, "spread": kept.spread,
    }  # fmt: skip
    return {name: made[name] for name in ("image", *planes) if len(made[name])}


def kept_holds(frames: int, pixels: PixelType, area: int, planes: Sequence[str]) -> Holds:
    """What that holds."""
    values = 0
    if converted(pixels):
        values = frames * min(max(1, _VALUES // frames), area)
        values *= conversion_bytes(pixels) + 16
    each = 8 + (clipping.COUNT_BYTES + clipping.SPREAD_BYTES if len(planes) > 1 else 0)
    return Holds(
        pixel={"work": each * (2 if converted(pixels) else 1)},
        thread={
            "a block of sorted values": clipping.scratch_bytes(frames),
            "values of a block": values,
        },
    )


def statistics(
    which: float, stack: Array, pixels: PixelType, planes: Sequence[str]
) -> dict[str, Array]:
    """What there is beside the image and the count of a method that rejects nothing; nothing where
    nothing of that is wanted."""
    if not any(name not in ("image", "count") for name in planes):
        return {}
    return kept_by(Rule(which), stack, pixels, planes)


def statistics_hold(frames: int, pixels: PixelType, area: int, planes: Sequence[str]) -> Holds:
    """What that holds."""
    if not any(name not in ("image", "count") for name in planes):
        return Holds()
    return kept_holds(frames, pixels, area, planes)


def converted(pixels: PixelType) -> bool:
    """Whether values are made before they are sorted."""
    return pixels.scaled or pixels.bitpix == 64


def check_numbers(**bounds: tuple[float | None, float]) -> None:
    """Refuse parameters that are not numbers from a bound on."""
    for name, (value, least) in bounds.items():
        if value is not None and not least <= value < 1e6:
            raise ValueError(f"{name} {value:g}: give a number from {least:g} on")


def check_limits(method: Any) -> None:
    """Refuse limits that no values have."""
    check_numbers(
        low=(method.low, 0.1),
        high=(method.high, 0.1),
        maxiters=(method.maxiters, 1),
        nkeep=(method.nkeep, -1e6),
        grain=(method.grain, 0),
    )


def all_stay(method: Any, frames: int, *, least: int) -> str | None:
    """What there is to say where no value can go: of fewer than `least`, or as `nkeep` keeps all.

    Of one and two frames there is nothing to say, whatever the method.
    """
    if frames < 3:
        return None
    if frames < least:
        return (
            f"{method.name} cannot reject anything from {frames} frames, only from {least} on; "
            "⟦combine⟧ median can"
        )
    if method.nkeep is not None and method.nkeep >= frames:
        return f"⟦nkeep⟧ {method.nkeep:g} keeps all of {frames} frames, so that none is rejected"
    return None
