"""How the frames of a master are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from pulsar_dask.errors import printable, wrong_argument
from pulsar_dask.frames.naming import EXPOSURE_TOLERANCE
from pulsar_dask.inputs.find import Inputs, find_inputs

Spec = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether an argument is a number, which True is not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def check_hdu(hdu: Any) -> None:
    """Refuse what is neither None, nor the index of an HDU, nor a name."""
    whole = isinstance(hdu, int) and not isinstance(hdu, bool) and hdu >= 0
    if not (hdu is None or whole or (isinstance(hdu, str) and hdu.strip())):
        raise wrong_argument("hdu", hdu, "the number or the EXTNAME of an HDU, such as 1 or 'SCI'")


@dataclass(frozen=True)
class Search:
    """How inputs are looked for; the same for every tool."""

    sequence: bool = True
    recursive: bool = False
    assume_type: bool = False
    """Whether a frame without IMAGETYP counts as what the tool takes."""
    tolerance: float = EXPOSURE_TOLERANCE
    """Seconds within which two exposures are the same."""
    hdu: int | str | None = None
    """Which image of each file, by index or EXTNAME, where files hold several."""

    def __post_init__(self) -> None:
        if not is_number(self.tolerance) or not 0 <= self.tolerance < np.inf:
            raise wrong_argument("tolerance", self.tolerance, "seconds as a number, such as 0.01")
        check_hdu(self.hdu)

    def find(self, spec: Spec) -> Inputs:
        return find_inputs(spec, sequence=self.sequence, recursive=self.recursive, hdu=self.hdu)


def none_found(kind: str, label: str, args: Sequence[str], passed: dict[str, int]) -> str:
    where = ", ".join(printable(a) for a in args[:3]) + (" …" if len(args) > 3 else "")
    what = ", ".join(
        f"{n} {reason.removesuffix('s') if n == 1 else reason}" for reason, n in passed.items()
    )
    text = f"No {kind} frames found in {where}"
    if what:
        text += f" ({what})"
    text += f"; raw {kind} frames have IMAGETYP = '{label}'"
    if passed.get("without IMAGETYP"):
        text += f", and ⟦assume_type⟧ takes those without IMAGETYP for {kind} frames"
    return text
