"""What the user named, sorted into flats and what calibrates them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pulsar_dask.engine.memory import room, too_little
from pulsar_dask.errors import PulsarError, printable, warn
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import refuse_planes, scan_frame, scan_inputs
from pulsar_dask.frames.colour import QUAD, Cells, Colours, colours_among
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.groups import (
    by_filter,
    check_one_exposure,
    choose,
)
from pulsar_dask.frames.naming import exposure_name, named_exposure
from pulsar_dask.frames.provenance import Source, Trace
from pulsar_dask.frames.stack import check_calibrator, check_group, check_shapes, describe_shape
from pulsar_dask.frames.step import Step
from pulsar_dask.inputs.numbers import as_number, finite
from pulsar_dask.inputs.pixellists import SOME_PIXELS, TooMany, read_list
from pulsar_dask.inputs.words import as_text, as_texts
from pulsar_dask.kernels.checksum import file_sums
from pulsar_dask.kernels.correct import LIST_BYTES, find_rings
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.masters.calibrated import FlatGroup
from pulsar_dask.masters.search import Search, Spec, is_number, none_found

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Flats:
    """Flats by code of their filter, with what calibrates them."""

    groups: dict[str, FlatGroup]
    calibration: dict[str, Trace]
    """How each group is calibrated: files that are read, steps in words."""
    passed: dict[str, int] = field(default_factory=dict)
    unused: tuple[Frame, ...] = ()
    """The frames that were passed over."""

    @property
    def frames(self) -> list[Frame]:
        return [f for group in self.groups.values() for f in group.frames]

    @property
    def darks(self) -> list[Frame]:
        darks = (group.dark for group in self.groups.values())
        return list(dict.fromkeys(dark for dark in darks if isinstance(dark, Frame)))


def gather_flats(
    spec: Spec,
    *,
    dark: str | os.PathLike[str] | float | None = None,
    hot_pixels: str | os.PathLike[str] | None = None,
    origin_top: bool = False,
    search: Search = Search(),  # noqa: B008
    memory: float | None = None,
    method: str = "median",
) -> Flats:
    """Find flats, and for each filter the dark and the list of hot pixels.

    Parameters
    ----------
    spec : path or iterable of paths
    dark : path or number, optional
        Taken instead of ``dark<exp>.fit``, which is looked for in the current folder, then
        the input's.
    hot_pixels : path, optional
        Taken instead of ``cosme<exp>.lst``, looked for in the same places.
    origin_top : bool
        Whether Y in the list counts from the top row.
    search : Search
    memory : float, optional
        Gigabytes that the process may take, so that a list of too many pixels is refused.
    method : str
        How they will be combined, for what is warned of.

    Raises
    ------
    PulsarError
        "No flat frames found", "Inconsistent exposures", "Dark not found for exposure", a
        dark or list that does not fit the flats, frames of different shapes.
    """
    args = as_texts(spec)
    if dark is not None and not is_number(dark):
        dark = as_text(dark, "dark", "a number or a path")  # type: ignore[arg-type]
    hot_pixels = as_text(hot_pixels, "hot_pixels") if hot_pixels is not None else None
    inputs = search.find(args)
    scanned, planes = scan_inputs(inputs)
    scanned += planes
    found, passed = choose(scanned, "flat", assume_type=search.assume_type)
    if not found:
        raise PulsarError(none_found("flat", "Flat Frame", args, passed))
    shape = check_shapes(found)
    folders = list(dict.fromkeys([os.getcwd(), *inputs.folders]))
    # a dark that is given may have its list beside it
    own = dark if isinstance(dark, str) and os.path.isfile(dark) else None
    beside = [os.path.dirname(os.path.abspath(own))] if own else []
    list_folders = list(dict.fromkeys([*folders, *beside]))
    lists: dict[str, tuple[Array, Sums]] = {}
    groups, calibrations = {}, {}
    biased: dict[str, list[str]] = {}
    filters = by_filter(found)
    exposures = {
        code: check_one_exposure(f"flat_{code}.fit", frames, search.tolerance)
        for code, frames in filters.items()
    }
    for code, frames in filters.items():
        name, exposure = f"flat_{code}.fit", exposures[code]
        check_group(name, frames, method)
        calibration, note = _dark_for(name, exposure, dark, shape, folders, search.tolerance)
        steps = [note] if note else []
        colours = _colours_for(name, frames)
        if colours is None and old_cells(frames):
            steps.append(Step("one colour"))
        sources = []
        if isinstance(calibration, Frame):
            sources.append(Source.of("dark", calibration))
            check_calibrator(name, frames, "dark", [calibration])
            if dark is None and _has_no_bias(calibration):
                biased.setdefault(calibration.path, []).append(name)
        listed = _list_for(name, exposure, hot_pixels, list_folders, search.tolerance)
        defects = None
        if listed is not None:
            if listed not in lists:  # what comes through a pipe can be read only once
                places = read_places(listed, shape, origin_top=origin_top, gigabytes=memory)
                lists[listed] = places, file_sums(listed) if os.path.isfile(listed) else Sums()
            places, total = lists[listed]
            defects = find_rings(places, shape, *cells_of(colours))
            sources.append(Source.of_list(listed, total))
            steps.append(Step("correct", (len(defects.places), os.path.basename(listed))))
            if origin_top:
                steps.append(Step("from top"))
        groups[code] = FlatGroup(tuple(frames), calibration, defects, colours)
        calibrations[code] = Trace(tuple(sources), tuple(steps))
    for path, names in biased.items():
        warn(
            f"{', '.join(names)}: {os.path.basename(path)} is a dark from which the bias was "
            "subtracted, so the bias stays in the flats; a dark made without bias takes it off"
        )
    used = {f.path for f in found}
    unused = [f for f in scanned if f.path not in used]
    return Flats(groups, calibrations, passed, tuple(unused))


def _colours_for(name: str, frames: Sequence[Frame]) -> Colours | None:
    """The colours of flats; it is told where they are not known."""
    colours = colours_among(frames)
    if colours is not None and colours.unknown:
        warn(
            f"{name}: {colours.unknown} is no known pattern of colours (RGGB, or the 36 letters of "
            "X-Trans), so a 2 x 2 one is taken; if that is wrong, put the pattern, or NONE, into "
            "BAYERPAT"
        )
    return colours


def cells_of(colours: Colours | None) -> tuple[Cells, ...]:
    """What `find_rings` wants to know of them."""
    return () if colours is None else (colours.cells,)


def old_cells(frames: Sequence[Frame]) -> tuple[Cells, ...]:
    """The same as versions before 0.3 saw it, which looked only whether there is a BAYERPAT."""
    return (QUAD,) if any(f.bayer for f in frames) else ()


def _has_no_bias(dark: Frame) -> bool:
    """Whether a bias was subtracted from a master dark."""
    return any(str(h).startswith("minus") for h in read_header(dark).get("HISTORY", []))


def read_places(
    path: str, shape: tuple[int, ...], *, origin_top: bool, gigabytes: float | None
) -> Array:
    """`read_list`, as far as there is memory for it."""
    most = max(SOME_PIXELS, room(gigabytes) // LIST_BYTES)
    try:
        return read_list(path, shape, origin_top=origin_top, most=most)
    except TooMany as error:
        what = f"{printable(path)}, a list of up to {error.count} pixels,"
        raise too_little(gigabytes, LIST_BYTES * error.count, what) from None


def _dark_for(
    name: str,
    exposure: float,
    given: str | os.PathLike[str] | float | None,
    shape: tuple[int, ...],
    folders: Sequence[str],
    tolerance: float,
) -> tuple[Frame | float, Step | None]:
    wanted = f"dark{exposure_name(exposure)}.fit"
    path: str | None
    if given is None:
        path = _beside(folders, "dark", ".fit", exposure, tolerance)
    else:
        number = as_number(given) if isinstance(given, str) else finite(given)  # type: ignore[arg-type]
        if number is not None:
            return number, Step("minus number", (number,)) if number else None
        path = os.fspath(given)  # type: ignore[arg-type]
    if path is None:
        where = " nor in ".join(printable(f) for f in folders)
        raise PulsarError(
            f"Dark not found for exposure {exposure:g} s ({name}): no {wanted} in {where}. "
            "Make it with makedark, or give one with ⟦dark⟧ FILE or ⟦dark⟧ NUMBER "
            "(for short exposures a master bias will do)"
        )
    frame = scan_frame(path)
    refuse_planes([frame])
    if frame.shape != shape:
        raise PulsarError(
            f"{printable(path)} is {describe_shape(frame.shape)}, "
            f"the flats are {describe_shape(shape)}; it is not their dark"
        )
    if given is None and (
        frame.exposure is None or abs(frame.exposure - exposure) > tolerance + 1e-9
    ):
        says = "no EXPTIME" if frame.exposure is None else f"EXPTIME {frame.exposure:g}"
        raise PulsarError(
            f"{printable(path)} has {says} in its header, not the {exposure:g} s of its name "
            "and the flats; make it again with makedark, or give one with ⟦dark⟧"
        )
    return frame, Step("minus", (os.path.basename(path),))


def _list_for(
    name: str,
    exposure: float,
    given: str | os.PathLike[str] | None,
    folders: Sequence[str],
    tolerance: float,
) -> str | None:
    if given is not None:
        return os.fspath(given)
    path = _beside(folders, "cosme", ".lst", exposure, tolerance)
    if path is None:
        wanted = f"cosme{exposure_name(exposure)}.lst"
        warn(f"{name}: no {wanted}, so hot pixels stay in the flats")
    return path


def _beside(
    folders: Sequence[str], prefix: str, suffix: str, exposure: float, tolerance: float
) -> str | None:
    """The file named for an exposure in the first folder that has one."""
    for folder in folders:
        exact = os.path.join(folder, f"{prefix}{exposure_name(exposure)}{suffix}")
        if os.path.isfile(exact):
            return exact
        near = {}
        for file in os.listdir(folder):
            if file.startswith(prefix) and file.endswith(suffix):
                seconds = named_exposure(file[len(prefix) : -len(suffix)])
                if seconds is not None and abs(seconds - exposure) <= tolerance + 1e-9:
                    near[abs(seconds - exposure)] = os.path.join(folder, file)
        if near:
            return near[min(near)]
    return None
