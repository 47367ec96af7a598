"""How the frames of a master are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from pulsar_dask.errors import printable
from pulsar_dask.formats.scan import scan_inputs
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.groups import Ways
from pulsar_dask.inputs.find import Inputs, find_inputs

Spec = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether an argument is a number, which True is not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Found:
    """What a spec has led to."""

    frames: list[Frame]
    """Images."""
    planes: list[Frame]
    """Planes of masters, which are passed over."""
    inputs: Inputs


@dataclass(frozen=True)
class Search:
    """How inputs are looked for; the same for every tool."""

    sequence: bool = True
    recursive: bool = False
    assume_type: bool = False
    """Whether a frame that nothing tells the kind of counts as what the tool takes."""
    ways: Ways = Ways()  # noqa: RUF009
    """How frames are told apart."""

    def find(self, spec: Spec) -> Inputs:
        return find_inputs(spec, sequence=self.sequence, recursive=self.recursive)

    def frames(self, spec: Spec) -> Found:
        """The frames that a spec stands for."""
        return self.scan(self.find(spec))

    def scan(self, inputs: Inputs) -> Found:
        """The frames of files that were found."""
        frames, planes = scan_inputs(inputs)
        return Found(frames, planes, inputs)


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
