"""What the user named, sorted into darks and their bias."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from pulsar_dask.errors import PulsarError, count, printable, warn
from pulsar_dask.formats.scan import scan_frames, scan_inputs
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.groups import (
    by_exposure,
    choose,
    tolerance_hint,
    why_passed,
)
from pulsar_dask.frames.naming import exposure_name
from pulsar_dask.frames.stack import check_calibrator, check_group, check_shapes
from pulsar_dask.inputs.numbers import as_number, finite
from pulsar_dask.inputs.words import as_texts, has_mask, is_list
from pulsar_dask.masters.dark import Bias
from pulsar_dask.masters.search import Search, Spec, is_number, none_found


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


def gather_darks(
    spec: Spec,
    bias: Spec | float | None = None,
    search: Search = Search(),  # noqa: B008
    method: str = "median",
) -> Darks:
    """Find darks and bias.

    Parameters
    ----------
    spec : path or iterable of paths
        Input; without `bias`, what follows a folder, list or mask is the bias, a number at
        the end is a constant bias, and among files the frames' types decide.
    bias : number, path or iterable of paths, optional
    search : Search
    method : str
        How they will be combined, for what is warned of.

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
    if is_number(bias):
        constant = finite(bias)
    elif bias is not None:
        bias_args = as_texts(bias, "bias", "a number, a path, or several")  # type: ignore[arg-type]
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
            "the bias is either a number or files; say which with ⟦bias⟧ NUMBER or ⟦bias⟧ FILE"
        )

    found, planes = scan_inputs(search.find(args))
    darks, passed = choose(found, "dark", assume_type=search.assume_type)
    if not darks:
        swapped = bias is None and _holds_darks(bias_args, search)
        hint = "; is the order right? The input comes first, the bias last" if swapped else ""
        raise PulsarError(none_found("dark", "Dark Frame", args, passed) + hint)
    if bias_args:
        among, others = scan_inputs(search.find(bias_args))
        planes += others
        try:
            frames = _bias_frames(among, bias_args)
        except PulsarError as error:
            if bias is not None:
                raise
            first = printable(args[0])
            raise PulsarError(
                f"{error.text}. What follows the input, here {first}, is the bias; "
                "further darks need a run of their own"
            ) from error
    else:
        frames, among = (), []
    used = {f.path for f in (*darks, *frames)}
    unused = {f.path: f for f in (*found, *among, *planes) if f.path not in used}
    passed = why_passed(unused.values())
    check_shapes([*darks, *frames])
    groups = by_exposure(darks, search.tolerance)
    if hint := tolerance_hint(groups):
        near = ", ".join(f"{exposure:g}" for exposure in groups)
        warn(f"the darks of {near} s are made one by one; {hint}")
    names = [exposure_name(e) for e in groups]
    if len(set(names)) < len(names):
        raise PulsarError("two exposures would have one name; raise ⟦exposure_tolerance⟧")
    for name, group in zip(names, groups.values(), strict=True):
        check_group(f"dark{name}.fit", group, method)
        if frames:
            check_calibrator(f"dark{name}.fit", group, "bias", frames)
    if len(frames) > 1:
        check_group("bias.fit", frames, method)
    bias_of_all = Bias(tuple(frames), constant, combine=len(frames) > 1)
    return Darks(groups, bias_of_all, passed, tuple(unused.values()))


def _holds_darks(args: Sequence[str], search: Search) -> bool:
    with contextlib.suppress(PulsarError):
        return bool(args and choose(scan_frames(search.find(args).paths, search.hdu), "dark")[0])
    return False


def _split_by_type(args: Sequence[str], search: Search) -> tuple[list[str], list[str]]:
    """Files that a shell made of masks: the frames' types tell darks from bias."""
    alone = Search(sequence=False, recursive=search.recursive)
    frames = scan_frames(alone.find(args).paths, search.hdu)
    darks = [f for f in frames if f.kind == "dark" and not f.is_master]
    bias = [f for f in frames if f.kind == "bias"]
    unlabelled = [f for f in frames if f.kind is None]
    if search.assume_type:
        darks += unlabelled
    elif not darks and unlabelled:
        raise PulsarError(
            "cannot tell dark frames from bias: none is labelled as a dark by its IMAGETYP; "
            "name the bias with ⟦bias⟧ and take unlabelled darks with ⟦assume_type⟧"
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
            raise PulsarError(none_found("bias", "Bias Frame", args, passed))
        labelled = [f for f in raw if f.kind == "bias"]
        if not labelled and not masters and len(raw) < len(frames):
            raise PulsarError(
                f"{count(len(raw), 'frame')} without IMAGETYP among others cannot be told to be "
                f"bias (the first is {printable(raw[0].path)}); name them alone, or label them"
            )
        frames = raw or masters
    odd = [f for f in frames if f.kind not in (None, "bias", "other")]
    if odd:
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        warn(
            f"{printable(odd[0].path)}{more} is labelled '{printable(odd[0].label)}', taken as bias"
        )
    return tuple(frames)
