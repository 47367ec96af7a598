"""What the user named, sorted into darks and the bias of each group."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pulsar_dask.errors import PulsarError, code_of, printable, warn
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import cautions
from pulsar_dask.frames.group import Group, Grouped, Ways
from pulsar_dask.frames.groups import dark_groups
from pulsar_dask.frames.passed import raw_frames, why_passed
from pulsar_dask.inputs.numbers import as_number
from pulsar_dask.inputs.words import has_mask, is_list
from pulsar_dask.masters.biases import Biases, find_biases, read_bias
from pulsar_dask.masters.darkgroup import Dark
from pulsar_dask.masters.groups import Failures, check_group, usable
from pulsar_dask.masters.search import Found, Search, Spec, none_found, words_of


@dataclass(frozen=True)
class Darks:
    """Darks with what is subtracted from each, and what was not made of the frames."""

    darks: tuple[Dark, ...]
    groups: tuple[Group, ...]
    """Of the darks, and of the biases that are combined for them."""
    failures: Failures
    """Groups that cannot be made."""
    unused: tuple[Frame, ...] = ()
    """The frames that were passed over."""

    @property
    def passed(self) -> dict[str, int]:
        """How many frames were passed over, and why."""
        return why_passed(self.unused)

    @property
    def biases(self) -> list[Frame]:
        return list(dict.fromkeys(f for dark in self.darks for f in dark.bias.frames))

    @property
    def frames(self) -> list[Frame]:
        return [*self.biases, *(f for dark in self.darks for f in dark.frames)]


def gather_darks(
    spec: Spec | Found,
    bias: Spec | float | Found | None = None,
    search: Search = Search(),  # noqa: B008
    method: str = "median",
) -> Darks:
    """Find darks and bias.

    Parameters
    ----------
    spec : path, iterable of paths, or Found
        Input; without `bias`, what follows a folder, list or mask is the bias, a number at
        the end is a constant bias, and among files the frames' types decide.
    bias : number, path, iterable of paths, or Found, optional
    search : Search
    method : str
        How they will be combined, for what is warned of.

    Raises
    ------
    PulsarError
        "No dark frames found", no group that can be made, or arguments that leave open what is
        bias.
    """
    args = words_of(spec)
    given: Spec | float | Found = 0.0 if bias is None else bias
    if bias is None and len(args) > 1:
        args, given = _apart(args, search)
    words = read_bias(given)

    found = search.frames(spec if isinstance(spec, Found) else args, "dark")
    raw = raw_frames(found.frames, "dark")
    if not raw:
        swapped = bias is None and _holds_darks(words, search)
        hint = "; is the order right? The input comes first, the bias last" if swapped else ""
        raise PulsarError(none_found("dark", "Dark Frame", args, found.frames) + hint, "frames")
    among: list[Frame] = []
    if isinstance(words, float):
        calibrators = Biases(constant=words)
    else:
        try:
            calibrators, among = find_biases(words, search)
        except PulsarError as error:
            if bias is not None:
                raise
            first = printable(args[0])
            raise PulsarError(
                f"{error.text}. What follows the input, here {first}, is the bias; "
                "further darks need a run of their own",
                error.code,
            ) from error
    darks = darks_of(usable(dark_groups(raw, search.ways), method), calibrators, search.ways)
    used = {f.path for f in darks.frames} | {
        f.path for group in darks.failures.groups for f in group.frames
    }
    unused = {f.path: f for f in (*found.frames, *among, *found.planes) if f.path not in used}
    for group in darks.groups:
        if group.kind == "bias":
            check_group(group, method)
    return Darks(darks.darks, darks.groups, darks.failures, tuple(unused.values()))


def darks_of(grouped: Grouped, biases: Biases, ways: Ways) -> Darks:
    """The darks of groups, each with the bias that agrees with it."""
    failures = Failures(grouped.failed)
    darks, groups, made = [], [], {}
    for group in grouped.groups:
        try:
            bias = biases.of(group, ways)
        except PulsarError as error:
            failures = failures.and_(group, error.text)
            continue
        for text in cautions("bias", bias.frames, group.frames, ways) if bias.frames else ():
            warn(f"{group.name}.fit: {text}", code_of(text))
        if bias.combine:
            made.update({one.name: one for one in biases.raw if one.name == bias.name})
        darks.append(Dark(group.name, group.frames, bias))
        groups.append(group)
    failures.none_left(bool(darks))
    return Darks(tuple(darks), (*made.values(), *groups), failures)


def _holds_darks(words: float | Sequence[str] | Found, search: Search) -> bool:
    if isinstance(words, float):
        return False
    with contextlib.suppress(PulsarError):
        return bool(raw_frames(search.frames(words).frames, "dark"))
    return False


def _apart(args: list[str], search: Search) -> tuple[list[str], list[str] | float]:
    """Darks and bias in one row of words."""
    if os.path.isdir(args[0]) or is_list(args[0]) or has_mask(args[0]):
        return args[:1], args[1:]
    if as_number(args[-1]) is not None:
        return args[:-1], args[-1:]
    if search.force_type:
        return args, 0.0
    darks, biases = _split_by_type(args, search)
    return darks, biases or 0.0


def _split_by_type(args: Sequence[str], search: Search) -> tuple[list[str], list[str]]:
    """Files that a shell made of masks: the frames' types tell darks from bias."""
    frames = replace(search, sequence=False, assume_type=False).frames(args).frames
    darks = [f for f in frames if f.kind == "dark" and not f.is_master]
    bias = [f for f in frames if f.kind == "bias"]
    unlabelled = [f for f in frames if f.kind is None]
    if search.assume_type:
        darks += unlabelled
    elif not darks and unlabelled:
        raise PulsarError(
            "cannot tell dark frames from bias: none is labelled as a dark by its IMAGETYP; "
            "name the bias with ⟦bias⟧ and take unlabelled darks with ⟦assume_type⟧",
            "frames",
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
