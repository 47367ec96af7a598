"""What compiled code a stack needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pulsar_dask.kernels.pixels import PixelType


class Stored(Protocol):
    """How the pixels of a frame are stored, as far as it matters here."""

    @property
    def rice(self) -> object | None: ...


class Frame(Protocol):
    """A frame, likewise."""

    @property
    def nbytes(self) -> int: ...

    @property
    def stored(self) -> Stored: ...

    @property
    def pixels(self) -> PixelType: ...


def worth_compiling(frames: Sequence[Frame]) -> bool:
    """Whether a stack repays compiled code."""
    return True


class Kernel(NamedTuple):
    """Compiled code that a stack needs."""

    frames: int
    pixels: PixelType
    method: Any = None
    """What combines them (see `combine.Combine`), if anything does."""
    rice: tuple[str, ...] = ()
    """Types of stored pixels that are Rice-coded."""
    survey: PixelType | None = None
    """What is looked at while it passes."""
    flat: PixelType | None = None
    """What is calibrated."""
    light: PixelType | None = None
    """What a light is calibrated from."""
    errors: bool = False
    """Whether errors of pixels are wanted."""
    planes: tuple[str, ...] = ("image",)
    """What the method is asked for."""
    levels: tuple[PixelType, ...] = ()
    """As what pixels are looked at one by one, for two levels of their values."""

    @staticmethod
    def of(
        frames: Sequence[Frame], pixels: PixelType, method: Any = None, *, survey: bool = False
    ) -> Kernel:
        """What reading frames, and combining them as pixels of some type, needs."""
        rice = {f.pixels.stored.str for f in frames if f.stored.rice}
        return Kernel(len(frames), pixels, method, tuple(sorted(rice)), pixels if survey else None)
