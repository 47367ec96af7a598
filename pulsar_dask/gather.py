"""What the user named, sorted into stacks and what calibrates them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pulsar_dask.checksum import Sums, file_sums
from pulsar_dask.errors import PulsarError, printable, warn
from pulsar_dask.flats import FlatGroup
from pulsar_dask.frame import Frame
from pulsar_dask.groups import (
    EXPOSURE_TOLERANCE,
    by_exposure,
    by_filter,
    check_calibrator,
    check_group,
    check_one_exposure,
    choose,
    exposure_name,
    named_exposure,
    tolerance_hint,
    why_passed,
)
from pulsar_dask.hotpixels import (
    LIST_BYTES,
    SOME_PIXELS,
    Array,
    TooMany,
    find_rings,
    read_list,
)
from pulsar_dask.masters.dark import Bias
from pulsar_dask.memory import room, too_little
from pulsar_dask.pipelines import check_shapes, describe_shape
from pulsar_dask.scan import read_header, scan_frame, scan_frames
from pulsar_dask.spec import (
    Inputs,
    as_number,
    as_texts,
    at_home,
    find_inputs,
    finite,
    has_mask,
    is_list,
)
from pulsar_dask.step import Step
from pulsar_dask.trace import Source, Trace

_NUMBER = (int, float, np.integer, np.floating)
Spec = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True)
class Search:
    """How inputs are looked for; the same for every tool."""

    sequence: bool = True
    recursive: bool = False
    assume_type: bool = False
    """Whether a frame without IMAGETYP counts as what the tool takes."""
    tolerance: float = EXPOSURE_TOLERANCE
    """Seconds within which two exposures are the same."""

    def find(self, spec: Spec) -> Inputs:
        return find_inputs(spec, sequence=self.sequence, recursive=self.recursive)


@dataclass(frozen=True)
class Darks:
    """Darks by exposure in seconds, the bias, and how many frames were passed over and why."""

    groups: dict[float, list[Frame]]
    bias: Bias
    passed: dict[str, int] = field(default_factory=dict)
    unused: tuple[Frame, ...] = ()
    """The frames that were passed over."""

    @property
    def frames(self) -> list[Frame]:
        return [*self.bias.frames, *(f for group in self.groups.values() for f in group)]


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


# --- darks -------------------------------------------------------------------------------


def gather_darks(spec: Spec, bias: Spec | float | None = None, search: Search = Search()) -> Darks:
    """Find darks and bias.

    Parameters
    ----------
    spec : path or iterable of paths
        Input; without `bias`, what follows a folder, list or mask is the bias, a number at
        the end is a constant bias, and among files the frames' types decide.
    bias : number, path or iterable of paths, optional
    search : Search

    Raises
    ------
    PulsarError
        "No dark frames found", frames of different shapes, a dark without exposure, or
        arguments that leave open what is bias.
    """
    args = as_texts(spec)
    passed: dict[str, int] = {}
    bias_args: list[str] = []
    constant = 0.0
    if isinstance(bias, _NUMBER):
        constant = finite(bias)
    elif bias is not None:
        bias_args = as_texts(bias)
    elif len(args) > 1 and (os.path.isdir(args[0]) or is_list(args[0]) or has_mask(args[0])):
        args, bias_args = args[:1], args[1:]
    elif len(args) > 1 and as_number(args[-1]) is not None:
        args, bias_args = args[:-1], args[-1:]
    elif len(args) > 1:
        args, bias_args = _split_by_type(args, search)
    if len(bias_args) == 1 and (number := as_number(bias_args[0])) is not None:
        constant, bias_args = number, []
    elif any(as_number(text) is not None for text in bias_args):
        raise PulsarError(
            "the bias is either a number or files; say which with --bias NUMBER or --bias FILE"
        )

    found = scan_frames(search.find(args).paths)
    darks, passed = choose(found, "dark", assume_type=search.assume_type)
    if not darks:
        swapped = bias is None and _holds_darks(bias_args, search)
        hint = "; is the order right? The input comes first, the bias last" if swapped else ""
        raise PulsarError(_none_found("dark", "Dark Frame", args, passed) + hint)
    if bias_args:
        among = scan_frames(search.find(bias_args).paths)
        try:
            frames = _bias_frames(among, bias_args)
        except PulsarError as error:
            if bias is not None:
                raise
            first = printable(args[0])
            raise PulsarError(
                f"{error}. What follows the input, here {first}, is the bias; "
                "further darks need a run of their own"
            ) from error
    else:
        frames, among = (), []
    used = {f.path for f in (*darks, *frames)}
    unused = {f.path: f for f in (*found, *among) if f.path not in used}
    passed = why_passed(unused.values())
    check_shapes([*darks, *frames])
    groups = by_exposure(darks, search.tolerance)
    if hint := tolerance_hint(groups):
        near = ", ".join(f"{exposure:g}" for exposure in groups)
        warn(f"the darks of {near} s are made one by one; {hint}")
    names = [exposure_name(e) for e in groups]
    if len(set(names)) < len(names):
        raise PulsarError("two exposures would have one name; raise --exposure-tolerance")
    for name, group in zip(names, groups.values(), strict=True):
        check_group(f"dark{name}.fit", group)
        if frames:
            check_calibrator(f"dark{name}.fit", group, "bias", frames)
    if len(frames) > 1:
        check_group("bias.fit", frames)
    bias_of_all = Bias(tuple(frames), constant, combine=len(frames) > 1)
    return Darks(groups, bias_of_all, passed, tuple(unused.values()))


def _holds_darks(args: Sequence[str], search: Search) -> bool:
    with contextlib.suppress(PulsarError):
        return bool(args and choose(scan_frames(search.find(args).paths), "dark")[0])
    return False


def _none_found(kind: str, label: str, args: Sequence[str], passed: dict[str, int]) -> str:
    where = ", ".join(printable(a) for a in args[:3]) + (" …" if len(args) > 3 else "")
    what = ", ".join(f"{n} {reason}" for reason, n in passed.items())
    text = f"No {kind} frames found in {where}"
    if what:
        text += f" ({what})"
    text += f"; raw {kind} frames have IMAGETYP = '{label}'"
    if passed.get("without IMAGETYP"):
        text += f", and --assume-type takes those without IMAGETYP for {kind} frames"
    return text


def _split_by_type(args: Sequence[str], search: Search) -> tuple[list[str], list[str]]:
    """Files that a shell made of masks: the frames' types tell darks from bias."""
    alone = Search(sequence=False, recursive=search.recursive)
    frames = scan_frames(alone.find(args).paths)
    darks = [f for f in frames if f.kind == "dark" and not f.is_master]
    bias = [f for f in frames if f.kind == "bias"]
    unlabelled = [f for f in frames if f.kind is None]
    if search.assume_type:
        darks += unlabelled
    elif not darks and unlabelled:
        raise PulsarError(
            "cannot tell dark frames from bias: none is labelled as a dark by its IMAGETYP; "
            "name the bias with --bias and take unlabelled darks with --assume-type"
        )
    else:
        bias += unlabelled
    if not darks:
        others = [f for f in frames if f not in bias]
        return [f.path for f in others or frames], []
    rest = [f for f in frames if f not in darks and f not in bias]
    taken = [f.path for f in darks]
    # a file named alone stands for its sequence, and what is passed over is to be counted
    return (taken if len(taken) == 1 else taken + [f.path for f in rest]), [f.path for f in bias]


def _bias_frames(frames: Sequence[Frame], args: Sequence[str]) -> tuple[Frame, ...]:
    if len(frames) > 1:
        raw, passed = choose(frames, "bias", assume_type=True)
        masters = [f for f in frames if f.kind == "bias" and f.is_master]
        if not raw and not masters:
            raise PulsarError(_none_found("bias", "Bias Frame", args, passed))
        labelled = [f for f in raw if f.kind == "bias"]
        if not labelled and not masters and len(raw) < len(frames):
            raise PulsarError(
                f"{len(raw)} frames without IMAGETYP among others cannot be told to be bias "
                f"(the first is {printable(raw[0].path)}); name them alone, or label them"
            )
        frames = raw or masters
    odd = [f for f in frames if f.kind not in (None, "bias", "other")]
    if odd:
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        warn(
            f"{printable(odd[0].path)}{more} is labelled '{printable(odd[0].label)}', taken as bias"
        )
    return tuple(frames)


# --- flats -------------------------------------------------------------------------------


def gather_flats(
    spec: Spec,
    *,
    dark: str | os.PathLike[str] | float | None = None,
    hot_pixels: str | os.PathLike[str] | None = None,
    origin_top: bool = False,
    search: Search = Search(),
    memory: float | None = None,
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

    Raises
    ------
    PulsarError
        "No flat frames found", "Inconsistent exposures", "Dark not found for exposure", a
        dark or list that does not fit the flats, frames of different shapes.
    """
    args = as_texts(spec)
    dark = at_home(dark) if isinstance(dark, (str, os.PathLike)) else dark
    hot_pixels = at_home(hot_pixels) if hot_pixels is not None else None
    inputs = search.find(args)
    scanned = scan_frames(inputs.paths)
    found, passed = choose(scanned, "flat", assume_type=search.assume_type)
    if not found:
        raise PulsarError(_none_found("flat", "Flat Frame", args, passed))
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
        check_group(name, frames)
        calibration, note = _dark_for(name, exposure, dark, shape, folders, search.tolerance)
        steps = [note] if note else []
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
            bayer = any(f.bayer for f in frames)
            places, total = lists[listed]
            defects = find_rings(places, shape, bayer=bayer)
            sources.append(Source.of_list(listed, total))
            steps.append(Step("correct", (len(defects.places), os.path.basename(listed))))
            if origin_top:
                steps.append(Step("from top"))
        groups[code] = FlatGroup(tuple(frames), calibration, defects)
        calibrations[code] = Trace(tuple(sources), tuple(steps))
    for path, names in biased.items():
        warn(
            f"{', '.join(names)}: {os.path.basename(path)} is a dark from which the bias was "
            "subtracted, so the bias stays in the flats; a dark made without bias takes it off"
        )
    used = {f.path for f in found}
    unused = [f for f in scanned if f.path not in used]
    return Flats(groups, calibrations, passed, tuple(unused))


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
        number = finite(given) if isinstance(given, _NUMBER) else as_number(os.fspath(given))
        if number is not None:
            return number, Step("minus number", (number,)) if number else None
        path = os.fspath(given)  # type: ignore[arg-type]
    if path is None:
        where = " nor in ".join(printable(f) for f in folders)
        raise PulsarError(
            f"Dark not found for exposure {exposure:g} s ({name}): no {wanted} in {where}. "
            "Make it with makedark, or give one with --dark FILE or --dark NUMBER "
            "(for short exposures a master bias will do)"
        )
    frame = scan_frame(path)
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
            "and the flats; make it again with makedark, or give one with --dark"
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
