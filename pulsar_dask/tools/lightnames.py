"""Names of calibrated lights as PULSAR gives them: ``<base>_exp<E>_<FILTER>_<N>.fit``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frames import exposures
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.naming import named_exposure
from pulsar_dask.frames.written import safe_name
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.tools.lightthere import what_is_there


def light_names(
    lights: Sequence[Frame], output: str, sum_of: Callable[[Frame], Sums], *, pad: bool
) -> list[str]:
    """Paths of calibrated lights: a light whose calibration is in the folder keeps its number,
    others take the next free ones.

    Parameters
    ----------
    lights : sequence of Frame
    output : str
        A folder, or the beginning of names with or without an ending.
    sum_of : callable
        The sums of a light's pixels, which tell whether its calibration is there.
    pad : bool
        Whether numbers have four digits.

    Raises
    ------
    PulsarError
        `output` is a file that is there, or has an ending that lights cannot have.
    """
    folder, base, ending = _parts(output)
    there = sorted(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else []
    taken = {name.casefold() for name in there}
    kept = dict(_calibrations(folder, base, there))
    stems_kept = {stem for stem, *_ in kept}
    next_free: dict[str, int] = {}
    found = []
    for light in lights:
        stem = f"{base}_exp{exposure_word(light.exposure)}_{filter_word(light.filter)}"
        small = stem.casefold()
        name = None
        if small in stems_kept:
            sums = sum_of(light)
            name = kept.pop((small, sums.words, sums.order), None)
        n = next_free.get(small, 1)
        while name is None:
            if (free := f"{stem}_{n:0{4 if pad else 1}}{ending}").casefold() not in taken:
                name = free
            n += 1
            next_free[small] = n
        taken.add(name.casefold())
        found.append(os.path.join(folder, name))
    return found


def exposure_word(seconds: float | None) -> str:
    """An exposure as it stands in the name of a light.

    >>> [exposure_word(t) for t in (300.0047, 0.5, 0.0001, 120.0, None)]
    ['300', '0p5', '0p0001', '120', '0']
    """
    rounded = named_exposure(exposures.name(seconds or 0.0)) or 0.0
    return f"{rounded:.6f}".rstrip("0").rstrip(".").replace(".", "p")


def filter_word(name: str | None) -> str:
    """A filter as it stands in the name of a light; L where there is none.

    >>> [filter_word(f) for f in ("Ha", "Sloan g'", "../x", "O III", None, " / ")]
    ['Ha', 'Sloang_', 'x', 'OIII', 'L', 'L']
    """
    plain = re.sub(r'[\s\\/:*?"<>|]', "", name or "")
    return safe_name(plain).lstrip("._")[:80] or "L"


def _parts(output: str) -> tuple[str, str, str]:
    """Folder, beginning and ending of names."""
    if os.path.isdir(output) or output.endswith(("/", os.sep)):
        return output, "out", ".fit"
    if os.path.lexists(output):
        raise PulsarError(
            f"{printable(output)} is a file that is there; behind the lights come OUT (a folder or "
            "the beginning of names), the folder of darks and that of flats",
            "output",
        )
    root, ending = os.path.splitext(output)
    if ending.lower() not in (".fit", ".fits", ".fts"):
        if FITS_NAME.search(output) or ending.lower() == ".zarr":
            raise PulsarError(
                f"{printable(output)}: a calibrated light is a .fit, .fits or .fts", "output"
            )
        root, ending = output, ".fit"
    return os.path.dirname(root), os.path.basename(root), ending


def _calibrations(
    folder: str, base: str, names: Sequence[str]
) -> Iterator[tuple[tuple[str, int | None, int | None], str]]:
    """Calibrated lights of that beginning: the name without number, and the sums of its light."""
    form = re.compile(rf"({re.escape(base)}_exp.+)_\d+\.(fit|fits|fts)", re.IGNORECASE)
    for name in names:
        if match := form.fullmatch(name):
            try:
                there = what_is_there(os.path.join(folder, name))
            except PulsarError:
                continue  # damaged: what it was is not known
            light = there.light if there is not None else None
            if light is not None:
                yield (match[1].casefold(), light.sum, light.order), name
