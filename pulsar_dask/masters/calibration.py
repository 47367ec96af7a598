"""What calibrates a light, and what is known of it once it was looked at: small values."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from pulsar_dask.frames.colour import Colours
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import Plane
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.correct import Defects

#: Planes of a light that is written with its uncertainty, by the names of their extensions.
PLANES = (
    Plane("uncert", "float64", words="the standard error of each pixel, ADU"),
    Plane(
        "mask", "uint8", words="1 replaced, 2 without a value, 4 missing in the light, 8 saturated"
    ),
)


@dataclass(frozen=True)
class Calibration:
    """What calibrates a light, as it was chosen: by a user, or from a library."""

    bias: Frame | float | None = None
    """What is subtracted where the dark does not hold it, or k is not 1."""
    dark: Frame | None = None
    dark_holds_bias: bool = False
    flat: Frame | None = None
    level: float | None = None
    """K, ADU; None: the median of the flat, of each colour its own."""
    lists: tuple[str, ...] = ()
    """Paths of lists of bad pixels."""
    origin_top: bool = False
    """Whether Y of those counts from the top row."""
    scale: float = 1.0
    """k: how often the dark without its bias is subtracted."""
    scaled: str = ""
    """How k was found, in words: "by exposure", "fitted, error 0.002"."""
    pedestal: float = 0.0
    flat_floor: float = 0.01
    """Share of its colour's median up to which a flat is none."""
    one_level: bool = False
    """Whether one level serves all colours."""
    bad: float | None = None
    """What pixels have that are left without a value; None: NaN."""
    drawn: float | None = None
    """What listed pixels have in a mask of them, which is made instead; others are 0."""
    errors: bool = False
    """Whether the uncertainty is wanted, for which the bias is read though it falls out."""
    bias_times: float = 1.0
    dark_times: float = 1.0
    """What these masters are multiplied with, where their unit is another."""

    @property
    def formula(self) -> str:
        """What is done to each pixel, in words that `formula_parts` reads."""
        if self.drawn is not None:
            return "R*0"
        text, times = "R", "" if self.scale == 1 else "k*"
        if self.uses_bias:
            text = "(R - B)"
        if self.dark is not None:
            inner = "(D - B)" if self.dark_holds_bias and self.uses_bias else "D"
            text = f"({text} - {times}{inner})"
        if self.flat is not None:
            text = f"({text}*M)/F"
        return text

    @property
    def stays(self) -> bool:
        """Whether listed pixels without good neighbours keep their value: where nothing else is
        done."""
        return self.formula == "R"

    @property
    def uses_bias(self) -> bool:
        """Whether the bias does not fall out."""
        falls_out = self.dark is not None and self.dark_holds_bias and self.scale == 1
        return self.bias is not None and not falls_out

    @property
    def images(self) -> tuple[tuple[str, Frame], ...]:
        """The masters that are read, by their role."""
        found: list[tuple[str, Frame]] = []
        if (self.uses_bias or self.errors) and isinstance(self.bias, Frame):
            found.append(("bias", self.bias))
        found += [("dark", self.dark)] if self.dark is not None else []
        return (*found, *((("flat", self.flat),) if self.flat is not None else ()))


@dataclass(frozen=True)
class Fit:
    """What is known of masters once they have been looked at, for lights of one shape; see
    `lightfit.fit`."""

    levels: tuple[tuple[float, ...], ...] = ()
    """M of each plane and colour; none without a flat."""
    floors: tuple[tuple[float, ...], ...] = ()
    """What is not above it is bad in the flat."""
    whole: tuple[float, ...] = ()
    """The median of each plane of the flat."""
    colours: Colours | None = None
    defects: tuple[Defects | None, ...] = (None,)
    """Pixels that are replaced, of each plane."""
    replaced: int = 0
    dead: int = 0
    """Pixels that are bad in the masters: replaced, and left without a value."""
    sources: tuple[Source, ...] = ()
    """The lists, with their sums."""
    steps: tuple[Step, ...] = ()
    """What was corrected."""

    @property
    def kinds(self) -> int:
        """Colours."""
        return self.colours.count if self.colours is not None else 1

    @property
    def cells(self) -> tuple[tuple[int, ...], ...]:
        return self.colours.cells if self.colours is not None else ((0,),)


def dtype_of(plane: Plane) -> str:
    """The type of a plane in a file."""
    return "float32" if plane.name == "uncert" else plane.dtype


def steps_of(c: Calibration, fit: Fit) -> list[Step]:
    """What is done to a light, as HISTORY has it."""
    steps = [Step("light", (c.formula,))]
    if (c.uses_bias or c.errors) and c.bias is not None and not isinstance(c.bias, Frame):
        steps.append(Step("minus number", (float(c.bias),)))
    for role, times in (("bias", c.bias_times), ("dark", c.dark_times)):
        if times != 1 and role in dict(c.images):
            steps.append(Step("master times", (role, times)))
    if c.dark is not None and c.scaled:
        steps.append(Step("dark scale", (c.scale, c.scaled)))
    if c.flat is not None:
        steps.append(Step("flat levels", (tuple(v for plane in fit.levels for v in plane),)))
        steps.append(Step("flat floor", (c.flat_floor,)))
    if fit.replaced or fit.dead:
        steps.append(Step("master bad", (fit.replaced, fit.dead)))
    if c.drawn is not None:
        steps.append(Step("drawn", (c.drawn,)))
    if c.bad is not None:
        steps.append(Step("bad value", (c.bad,)))
    return steps + ([Step("pedestal", (c.pedestal,))] if c.pedestal else [])


def named(calibration: Calibration) -> str:
    """The masters in words, as a line about a light has them."""
    words = [f"{role.upper()}={os.path.basename(f.path)}" for role, f in calibration.images]
    if calibration.uses_bias and not isinstance(calibration.bias, Frame):
        words.insert(0, f"BIAS={calibration.bias:g}")
    if calibration.dark is not None:
        words.append(f"k={calibration.scale:g}")
    return " ".join(words)


def with_scale(calibration: Calibration, scale: float, words: str) -> Calibration:
    """The same with another k."""
    return replace(calibration, scale=scale, scaled=words)
