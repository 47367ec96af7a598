"""Biases that a user names, and which of them some frames take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulsar_dask.errors import PulsarError, count, printable, warn
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import choose_calibrator, disagreements
from pulsar_dask.frames.group import Group, Ways
from pulsar_dask.frames.groups import bias_groups
from pulsar_dask.inputs.numbers import as_number, finite
from pulsar_dask.inputs.words import as_texts
from pulsar_dask.masters.darkgroup import Bias
from pulsar_dask.masters.groups import usable
from pulsar_dask.masters.search import Found, Search, Spec, is_number, none_found, words_of


@dataclass(frozen=True)
class Biases:
    """What can be subtracted: groups of raw frames, masters, or a constant."""

    raw: tuple[Group, ...] = ()
    masters: tuple[Frame, ...] = ()
    constant: float = 0.0

    def of(self, group: Group, ways: Ways) -> Bias:
        """What agrees with some darks.

        Raises
        ------
        PulsarError
            Nothing does, or it cannot be told which of several.
        """
        if not self.raw and not self.masters:
            return Bias(constant=self.constant)
        if any(not disagreements(one.frames, group.frames, ways) for one in self.raw):
            at = choose_calibrator([one.frames for one in self.raw], group.frames, ways)
            chosen = self.raw[at]
            return Bias(chosen.frames, combine=len(chosen.frames) > 1, name=chosen.name)
        candidates: list[Sequence[Frame]] = [(f,) for f in self.masters]
        candidates = candidates or [one.frames for one in self.raw]
        at = choose_calibrator(candidates, group.frames, ways)
        if len(self.masters) > 1:
            name = self.masters[at].name
            warn(
                f"{group.name}.fit: of {len(self.masters)} master biases {name} is taken",
                "several-biases",
            )
        return Bias((self.masters[at],))


def read_bias(bias: Spec | float | Found) -> float | list[str] | Found:
    """What is given as a bias: a number, the words of a spec, or frames that were found.

    Raises
    ------
    PulsarError
        It is neither, or both.
    """
    if is_number(bias):
        return finite(bias)
    if isinstance(bias, Found):
        return bias
    words = as_texts(bias, "bias", "a number, a path, or several")  # type: ignore[arg-type]
    numbers = [number for word in words if (number := as_number(word)) is not None]
    if len(words) == 1 and numbers:
        return numbers[0]
    if numbers:
        raise PulsarError(
            "the bias is either a number or files; say which with ⟦bias⟧ NUMBER or ⟦bias⟧ FILE",
            "argument",
        )
    return words


def find_biases(args: Sequence[str] | Found, search: Search) -> tuple[Biases, list[Frame]]:
    """The biases that a spec stands for, and all frames that it led to.

    Of a folder or a mask only biases and unlabelled files are taken. Where there are raw ones and
    masters, both are kept: a master serves what no raw one agrees with.
    """
    found = search.frames(args)
    frames, among = found.frames, [*found.frames, *found.planes]
    if len(frames) == 1:
        (only,) = frames
        if only.kind not in (None, "bias", "other"):
            label = printable(only.about.label)
            warn(f"{printable(only.path)} is labelled '{label}', taken as bias", "label")
        return Biases(masters=(only,)), among
    raw = [f for f in frames if f.kind in ("bias", None) and not f.is_master]
    masters = tuple(f for f in frames if f.kind in ("bias", None) and f.is_master)
    if not raw and not masters:
        raise PulsarError(none_found("bias", "Bias Frame", words_of(args), frames), "frames")
    labelled = [f for f in raw if f.kind == "bias"]
    if not labelled and not masters and len(raw) < len(frames):
        raise PulsarError(
            f"{count(len(raw), 'frame')} that nothing tells the kind of among others cannot be "
            f"told to be bias (the first is {printable(raw[0].path)}); name them alone, or label "
            "them",
            "calibration",
        )
    if labelled and len(labelled) < len(raw) and len(raw) < len(frames):
        raw = labelled  # among labelled frames of all kinds an unlabelled one is no bias
    grouped = bias_groups(raw, search.ways)
    return Biases(usable(grouped).groups, masters), among
