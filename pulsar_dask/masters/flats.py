"""What the user named, sorted into flats and what calibrates them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import Group
from pulsar_dask.frames.groups import flat_groups
from pulsar_dask.frames.passed import raw_frames, why_passed
from pulsar_dask.frames.provenance import Source, Trace
from pulsar_dask.frames.step import Step
from pulsar_dask.inputs.words import as_text
from pulsar_dask.kernels.correct import find_rings
from pulsar_dask.masters.biases import find_biases, read_bias
from pulsar_dask.masters.flatdark import Looking, MakeDarks
from pulsar_dask.masters.flatgroup import FlatGroup, Minus
from pulsar_dask.masters.flatlists import Lists, cells_of, colours_for, old_cells
from pulsar_dask.masters.groups import Failures, usable
from pulsar_dask.masters.search import Found, Search, Spec, is_number, none_found, words_of
from pulsar_dask.masters.shelf import Shelf

MakeBias = Callable[[Group], Frame]
"""Makes the master of raw biases, in the folder for outputs."""


@dataclass(frozen=True)
class Flats:
    """Flats by the name of their master, with what calibrates them."""

    groups: dict[str, FlatGroup]
    calibration: dict[str, Trace]
    """How each group is calibrated: files that are read, steps in words."""
    sorted: dict[str, Group]
    """The frames of each, as they were told apart."""
    failures: Failures = field(default_factory=Failures)
    """Groups that cannot be made."""
    unused: tuple[Frame, ...] = ()
    """The frames that were passed over."""

    @property
    def passed(self) -> dict[str, int]:
        """How many frames were passed over, and why."""
        return why_passed(self.unused)

    @property
    def frames(self) -> list[Frame]:
        return [f for group in self.groups.values() for f in group.frames]

    @property
    def darks(self) -> list[Frame]:
        """What is subtracted from them, where it is a file."""
        return list(
            dict.fromkeys(f for g in self.groups.values() for m in g.minus for f in m.images)
        )


def gather_flats(
    spec: Spec | Found,
    *,
    dark: str | os.PathLike[str] | float | Frame | None = None,
    bias: Spec | float | Found | None = None,
    hot_pixels: str | os.PathLike[str] | None = None,
    origin_top: bool = False,
    search: Search = Search(),  # noqa: B008
    memory: float | None = None,
    method: str = "median",
    folder: str = ".",
    make_darks: MakeDarks | None = None,
    make_bias: MakeBias | None = None,
) -> Flats:
    """Find flats, and for each group the dark and the list of hot pixels.

    Parameters
    ----------
    spec : path or iterable of paths
    dark : path or number, optional
        Taken instead of the dark that lies in `folder`, the current folder, or the input's.
    bias : number, path or iterable of paths, optional
        What is out of a dark that has no bias, and is subtracted beside it.
    hot_pixels : path, optional
        Taken instead of the list that belongs to the dark.
    origin_top : bool
        Whether Y in the list counts from the top row.
    search : Search
    memory : float, optional
        Gigabytes that the process may take, so that a list of too many pixels is refused.
    method : str
        How they will be combined, for what is warned of.
    folder : str
        Where the outputs go.
    make_darks : callable, optional
        Makes the darks of dark flats that lie among the flats; without it they are an error.
    make_bias : callable, optional
        Makes a master of several raw frames that are given as the bias; the same.

    Raises
    ------
    PulsarError
        "No flat frames found", or no group that can be made: "Inconsistent exposures", "Dark not
        found for exposure", a dark or list that does not fit the flats.
    """
    args = words_of(spec)
    if dark is not None and not isinstance(dark, Frame) and not is_number(dark):
        dark = as_text(dark, "dark", "a number or a path")  # type: ignore[arg-type]
    hot_pixels = as_text(hot_pixels, "hot_pixels") if hot_pixels is not None else None
    found = search.frames(spec if isinstance(spec, Found) else args, "flat")
    raw = raw_frames(found.frames, "flat")
    if not raw:
        raise PulsarError(none_found("flat", "Flat Frame", args, found.frames), "frames")
    grouped = usable(flat_groups(raw, search.ways, timed=dark is None), method)
    folders = [os.path.abspath(folder), os.getcwd(), *found.inputs.folders]
    folders += [os.path.dirname(f.path) for f in raw]
    folders = list(dict.fromkeys(f for f in folders if os.path.isdir(f)))
    among = [f for f in found.frames if f.kind == "dark" and not f.is_master]
    looking = Looking(
        Shelf(tuple(folders), search.ways),
        search,
        among,
        dark,
        bias_of(bias, search, make_bias),
        make_darks,
    )
    lists = Lists(hot_pixels, origin_top, memory, tuple(folders))
    groups, calibrations, kept = {}, {}, {}
    failures = Failures(grouped.failed)
    for group in grouped.groups:
        name = f"{group.name}.fit"
        try:
            minus, sources, steps = looking.calibrate(group)
            colours = colours_for(name, group.frames)
            if colours is None and old_cells(group.frames):
                steps.append(Step("one colour"))
            frames, subtracted = _in_a_row(group.frames, minus)
            listed = lists.of(group, subtracted)
        except PulsarError as error:
            failures = failures.and_(group, error.text)
            continue
        defects = None
        if listed is not None:
            places, total = lists.read(listed, frames[0].shape)
            defects = find_rings(places, frames[0].shape, *cells_of(colours))
            sources.append(Source.of_list(listed, total))
            steps.append(Step("correct", (len(defects.places), os.path.basename(listed))))
            if origin_top:
                steps.append(Step("from top"))
        groups[group.name] = FlatGroup(frames, subtracted, defects, colours)
        calibrations[group.name] = Trace(tuple(sources), tuple(steps))
        kept[group.name] = group
    failures.none_left(bool(groups))
    used = {f.path for f in raw} | looking.used
    unused = [f for f in (*found.frames, *found.planes) if f.path not in used]
    return Flats(groups, calibrations, kept, failures, tuple(unused))


def bias_of(
    bias: Spec | float | Found | None, search: Search, make: MakeBias | None = None
) -> Callable[[Group], Minus] | None:
    """What is given as the bias of darks that have none, for some flats; of several raw frames
    their master, where there is a way to make it."""
    if bias is None:
        return None
    words = read_bias(bias)
    if isinstance(words, float):
        return lambda group: Minus(constant=words)
    biases, _ = find_biases(words, search)
    made: dict[str, Frame] = {}

    def given(group: Group) -> Minus:
        taken = biases.of(group, search.ways)
        if not taken.combine:
            return Minus(taken.frames, taken.constant)
        if make is None:
            raise PulsarError(
                '⟦bias⟧ of several frames: combine them first, as in: med "bias*.fit" bias.fit',
                "calibration",
            )
        if taken.name not in made:
            made[taken.name] = make(next(one for one in biases.raw if one.name == taken.name))
        return Minus((made[taken.name],))

    return given


def _in_a_row(
    frames: Sequence[Frame], minus: Sequence[Minus]
) -> tuple[tuple[Frame, ...], tuple[Minus, ...]]:
    """Frames in an order in which those that one thing is subtracted from follow each other."""
    if len(minus) == 1:
        return tuple(frames), tuple(minus)
    order = list(dict.fromkeys(minus))
    pairs = sorted(zip(frames, minus, strict=True), key=lambda pair: order.index(pair[1]))
    return tuple(f for f, _ in pairs), tuple(m for _, m in pairs)
