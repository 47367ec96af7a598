"""Planes: what there can be of each pixel of a product. A new one is a line of `PLANES`."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plane:
    """Values of one kind for each pixel of an image."""

    name: str
    dtype: str = "float64"
    """NumPy's name of the type, which ends in its bits; that is not loaded for the help."""
    leading: tuple[int, ...] = ()
    """Lengths of axes before those of the image: the frames of a cube."""
    words: str = ""
    """What it holds."""
    extension: str = ""
    """Name of its HDU, where that is not its own in capitals."""

    @property
    def extname(self) -> str:
        """EXTNAME of its HDU in a FITS file."""
        return self.extension or self.name.upper()

    @property
    def nbytes(self) -> int:
        """Bytes for each pixel of the image."""
        bits = int(self.dtype.lstrip("abcdefghijklmnopqrstuvwxyz"))
        return math.prod(self.leading) * bits // 8


#: What every layer of a master has, and what it can have beside that, by name.
IMAGE = Plane("image")
PLANES: Mapping[str, Plane] = {
    plane.name: plane
    for plane in (
        Plane("count", "int32", words="how many values were used"),
        Plane("low", "int32", words="how many were rejected as too low", extension="NLOW"),
        Plane("high", "int32", words="how many as too high", extension="NHIGH"),
        Plane("std", "float32", words="standard deviation of one frame, ADU"),
        Plane(
            "uncertainty", "float32", words="standard error of the master, ADU", extension="UNCERT"
        ),
        Plane("quality", "int32", words="what is wrong with it, as bits", extension="DQ"),
    )
}
#: What CCDData has beside its uncertainty: of the quality the bit DO_NOT_USE.
MASK = Plane("mask", "uint8", words="1 where it is not to be used")
#: What there can be in files beside an image.
IN_FILES: Mapping[str, Plane] = {**PLANES, MASK.name: MASK}


def wanted_planes(wanted: str | Iterable[str] | None) -> tuple[str, ...]:
    """The names of planes as users name them: one, several (also in one text, with commas), none,
    or all.

    Raises
    ------
    ValueError
        There is no such plane.
    """
    given = wanted.replace(" ", "").split(",") if isinstance(wanted, str) and wanted else wanted
    try:
        names = list(given or ())
    except TypeError:
        names = [given]  # type: ignore[list-item]
    for name in names:
        if not isinstance(name, str) or name not in (*PLANES, "all"):
            known = ", ".join(PLANES)
            raise ValueError(f"{reprlib.repr(name)} is none of {known}; all takes each of them")
    return tuple(PLANES) if "all" in names else tuple(dict.fromkeys(names))


def planes_path(path: str) -> str:
    """Where the planes of a master lie that are not its image.

    >>> planes_path("dark120s.fit")
    'dark120s.planes.fit'
    """
    root, ending = os.path.splitext(path)
    return f"{root}.planes{ending}"


def master_path(path: str) -> str | None:
    """Where the master lies whose planes lie there; None where that is no name of such.

    >>> master_path("dark120s.planes.fit"), master_path("dark120s.fit")
    ('dark120s.fit', None)
    """
    root, ending = os.path.splitext(path)
    return root.removesuffix(".planes") + ending if root.endswith(".planes") else None


def plane_named(extname: str) -> str:
    """The name of the plane that an HDU of some EXTNAME holds."""
    return next((p.name for p in PLANES.values() if p.extname == extname.upper()), extname.lower())


def planes_of(names: Sequence[str]) -> tuple[Plane, ...]:
    """The planes of some names, of which the first is "image".

    Raises
    ------
    ValueError
        There is no such plane.
    """
    if unknown := [name for name in names[1:] if name not in PLANES]:
        raise ValueError(f"{unknown[0]!r} is no plane: {', '.join(PLANES)}")
    return IMAGE, *(PLANES[name] for name in names[1:])
