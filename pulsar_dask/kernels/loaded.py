"""Whether compiled code is loaded, or worth that; this file loads none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pulsar_dask.kernels.pixels import PixelType

#: Bytes of stored pixels in a stack below which loading compiled code is not worth its time, and
#: of Rice-coded ones, which astropy decodes on one thread at a time (4 MB: 1.1 s either way;
#: 100 MB: 4.6 s without, 1.3 s with it). It takes as long to open a file as to decode so many.
SMALL_STACK, SMALL_RICE, RICE_FILE = 150_000_000, 4_000_000, 300_000


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
    """Whether a stack repays loading the compiled code, or that is loaded."""
    if is_loaded():
        return True
    rice = [f.nbytes for f in frames if f.stored.rice]
    small = sum(rice) + RICE_FILE * len(rice) <= SMALL_RICE
    return not small or sum(f.nbytes for f in frames) > SMALL_STACK


def is_loaded() -> bool:
    """Whether loading the compiled code costs nothing any more."""
    return "numba" in sys.modules


def if_loaded(function: str, module: str) -> Any:
    """A function of a module of compiled code, or None where that is not loaded."""
    return getattr(sys.modules.get(f"pulsar_dask.kernels.{module}"), function, None)


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

    @staticmethod
    def of(
        frames: Sequence[Frame], pixels: PixelType, method: Any = None, *, survey: bool = False
    ) -> Kernel:
        """What reading frames, and combining them as pixels of some type, needs."""
        rice = {f.pixels.stored.str for f in frames if f.stored.rice}
        return Kernel(len(frames), pixels, method, tuple(sorted(rice)), pixels if survey else None)
