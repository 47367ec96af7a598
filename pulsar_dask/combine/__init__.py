"""How a stack is combined. A method is one file here, and its name is the file's:
``combine/median.py`` is what ``--combine median`` takes."""

from __future__ import annotations

import importlib
import pkgutil
import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from pulsar_dask.frames.holds import Holds
    from pulsar_dask.kernels.pixels import PixelType

    Array = np.ndarray[Any, Any]


class Combine(Protocol):
    """A way to make one value of the values of a pixel: a small frozen value."""

    @property
    def name(self) -> str:
        """The field's word, in lower case; COMBMETH."""

    @property
    def parameters(self) -> tuple[tuple[str, float], ...]:
        """What else it is known by; `verify` makes the method again of name and parameters."""

    def block(
        self, stack: Array, pixels: PixelType, planes: Sequence[str], *, compiled: bool
    ) -> Mapping[str, Array]:
        """Combine over the first axis.

        Parameters
        ----------
        stack : ndarray, shape (frames, n), C-contiguous
            Pixels as stored; dtype `pixels.stored` (big-endian) or that in native order.
            It may be overwritten.
        pixels : PixelType
            How to read them.
        planes : sequence of str
            What is wanted: "image"; "count", "low", "high": values that are used, rejected as
            too low, as too high; "outlier": 1 where so many lie far away that the method gave up;
            "deviation": the sample deviation of what is used; "spread": that from which the error
            of the image follows, where it is another.
        compiled : bool
            Whether to use compiled code.

        Returns
        -------
        mapping
            "image": float64, NaN where all values are missing; deviations float64, NaN where there
            are none; the others int32. Without "count" and others where nothing can be missing and
            nothing is rejected, without "spread" where it is the deviation.
        """

    def holds(
        self, frames: int, pixels: PixelType, area: int, planes: Sequence[str], *, compiled: bool
    ) -> Holds:
        """What `block` holds beside the stack, of up to `area` pixels, and its planes: what it
        gives back when it is done under the name "work"."""


def names() -> list[str]:
    """The methods that there are."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def method(
    name: str, parameters: Mapping[str, float] | Sequence[tuple[str, float]] = ()
) -> Combine:
    """A method by its name, which its numbers may follow as in HISTORY.

    >>> method("sigclip low=2.5 maxiters=5") == method("sigclip", {"low": 2.5, "maxiters": 5})
    True

    Raises
    ------
    ValueError
        There is no such method, or it has no such parameters.
    """
    if isinstance(name, str) and "=" in name:
        name, *words = name.split()
        try:
            given = {key: float(value) for key, value in (word.split("=") for word in words)}
        except ValueError:
            raise ValueError(f"numbers of {name} are given as in 'sigclip low=2.5'") from None
        parameters = {**given, **dict(parameters)}
    if not isinstance(name, str) or name not in names():
        raise ValueError(
            f"{reprlib.repr(name)} is not a way to combine frames: {', '.join(names())}"
        )
    made: Any = importlib.import_module(f"{__name__}.{name}").Method
    try:
        method: Combine = made(**dict(parameters))
    except TypeError as error:
        unknown = [key for key in dict(parameters) if not hasattr(made, key)]
        raise ValueError(
            f"{name} has no {unknown[0]}" if unknown else f"{name}: {error}"
        ) from error
    return method
