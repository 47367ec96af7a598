"""How the frames of a master are looked for, and how they are understood."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np

from pulsar_dask.errors import Remark, count, printable, warn, wrong_argument
from pulsar_dask.formats.copies import without_copies
from pulsar_dask.formats.scan import scan_inputs
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import Ways
from pulsar_dask.frames.table import Table, using, with_users
from pulsar_dask.inputs.checks import check_hdu, check_switch
from pulsar_dask.inputs.find import Inputs, find_inputs
from pulsar_dask.inputs.words import as_text, as_texts

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


def words_of(spec: Spec | Found, name: str = "spec", give: str = "a path, or several") -> list[str]:
    """The words of a spec, as a message has them."""
    return ["these arrays"] if isinstance(spec, Found) else as_texts(spec, name, give)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True)
class Search:
    """How inputs are looked for and understood; the same for every tool."""

    sequence: bool = True
    recursive: bool = False
    assume_type: bool = False
    """Whether a frame that nothing tells the kind of counts as what the tool takes."""
    force_type: bool = False
    """Whether any frame does, whatever its label; what surely is a master does not."""
    exposure: float | None = None
    """Seconds, in place of what the frames say or do not say."""
    filter: str | None = None
    """In place of what the frames say or do not say."""
    hdu: int | str | None = None
    """Which image of each file, by index or EXTNAME, where files hold several."""
    mix: Sequence[str] | str = ()
    """Settings that tell no frames apart: "gain", "temperature", "exposure", …"""
    tolerance: float | None = None
    """Seconds within which two exposures are the same; None: 0.1 %, or 1 ms up to 1 %."""
    names: str = "short"
    """Whether names have the settings that differ ("short"), or all that are known ("full")."""
    split_case: bool = False
    """Whether filters that differ in case alone are two."""
    keywords: str | os.PathLike[str] | None = None
    """A table of keywords on top of the program's own; None: the one in the user's folder."""

    def __post_init__(self) -> None:
        for name, give in (
            ("tolerance", "seconds as a number, such as 0.01"),
            ("exposure", "seconds as a number, such as 120"),
        ):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 <= value < np.inf):
                raise wrong_argument(name, value, give)
        for name in ("sequence", "recursive", "assume_type", "force_type", "split_case"):
            check_switch(name, getattr(self, name))
        if not (self.filter is None or (isinstance(self.filter, str) and self.filter.strip())):
            raise wrong_argument("filter", self.filter, "the name of a filter, such as 'Ha'")
        if not isinstance(self.names, str) or self.names not in ("short", "full"):
            raise wrong_argument("names", self.names, "'short' or 'full'")
        check_hdu(self.hdu)
        if self.keywords is not None and not as_text(self.keywords, "keywords"):
            raise wrong_argument("keywords", self.keywords, "the path of a table")
        no_names = isinstance(self.mix, (bytes, Mapping)) or getattr(self.mix, "ndim", 1) == 0
        mix = () if no_names else self.mix
        if mix is not self.mix or not isinstance(mix, Iterable) or not all(map(_is_text, mix)):
            raise wrong_argument("mix", self.mix, "names of settings, such as ['gain']")
        for word in self.mixed:
            if word not in (known := self.table.mixable):
                raise wrong_argument("mix", word, f"some of {', '.join(known)}")

    @property
    def mixed(self) -> frozenset[str]:
        """The settings that tell no frames apart."""
        return frozenset([self.mix] if isinstance(self.mix, str) else self.mix)

    @property
    def ways(self) -> Ways:
        """How frames are told apart."""
        return Ways(self.mixed, self.tolerance, self.names == "full", self.split_case)

    @functools.cached_property
    def table(self) -> Table:
        """What keywords mean. To be in use as long as frames are read, sorted and named."""
        return with_users(self.keywords)

    def find(self, spec: Spec) -> Inputs:
        return find_inputs(spec, sequence=self.sequence, recursive=self.recursive, hdu=self.hdu)

    def frames(self, spec: Spec | Found, kind: str | None = None) -> Found:
        """The frames that a spec stands for; see `scan`."""
        if isinstance(spec, Found):
            return replace(spec, frames=[self._overridden(f, kind) for f in spec.frames])
        return self.scan(self.find(spec), kind)

    def scan(self, inputs: Inputs, kind: str | None = None) -> Found:
        """The frames of files that were found, as they are understood; `kind` is what the tool
        takes (of "light" those are passed over that are calibrated)."""
        with using(self.table):
            images, planes = scan_inputs(inputs)
        frames = without_copies(images)
        first = frames[0]
        if len(frames) == 1 and len(first.shape) == 3 and not first.is_master:
            warn(
                f"{printable(first.path)}: {first.shape[0]} planes in this file, each is combined "
                "on its own, as colours are; exposures that lie in one file have to be split, a "
                "file each",
                "planes",
            )
        frames = [self._overridden(f, kind) for f in frames]
        for text in remarks([f for f in frames if kind != "light" or not f.about.calibrated]):
            warn(text)
        return Found(frames, planes, inputs)

    def _overridden(self, frame: Frame, kind: str | None) -> Frame:
        """With what the user says in place of what the frame does."""
        about = frame.about
        origins = dict(about.origins)
        if self.exposure is not None and kind in (None, about.kind or kind, "dark", "flat"):
            kept = tuple(text for text in about.remarks if "⟦exposure⟧" not in text)
            about = replace(about, exposure=self.exposure, problem=None, remarks=kept)
            origins["exposure"] = "⟦exposure⟧"
        if self.filter is not None and kind != "dark":
            about = replace(about, filter=self.filter)
            origins["filter"] = "⟦filter⟧"
        forced = self.force_type and (about.master is None or not about.surely)
        assumed = self.assume_type and about.kind is None and about.master is None
        if kind is not None and (forced or assumed):
            note = f"taken as {kind} frames by ⟦force_type⟧, though {about.master} tells a master"
            more = (note,) if about.master is not None else ()
            about = replace(about, kind=kind, master=None, remarks=(*about.remarks, *more))
            origins["kind"] = "⟦force_type⟧" if forced else "⟦assume_type⟧"
        if about is frame.about:
            return frame
        return replace(frame, about=replace(about, origins=tuple(origins.items())))


def remarks(frames: Sequence[Frame]) -> Iterator[str]:
    """What was understood in another way than it stands there: a line for each such thing."""
    said: dict[str, list[Frame]] = {}
    for frame in frames:
        for text in frame.about.remarks:
            said.setdefault(text, []).append(frame)
    for text, some in said.items():
        yield Remark(f"{counted(some)}: {text}", "understood")
    if some := [f for f in frames if f.about.calibrated and not f.is_master]:
        text = f"{counted(some)}: calibrated already ({some[0].about.calibrated})"
        yield Remark(text, "calibrated")


def counted(frames: Sequence[Frame]) -> str:
    """Frames by the first of them and their number."""
    first = frames[0].name
    more = len(frames) - 1
    return first + (f" and {count(more, 'more frame')}" if more else "")


def none_found(kind: str, label: str, args: Sequence[str], frames: Sequence[Frame]) -> str:
    """The error where a tool finds none of its frames: what there is, and the ways out."""
    where = ", ".join(printable(a) for a in args[:3]) + (" …" if len(args) > 3 else "")
    text = f"No {kind} frames found in {where}"
    reasons = Counter(_reason(frame) for frame in frames)
    if reasons:
        some = [
            f"{n} {why if n > 1 else why.replace('masters', 'master')}"
            for why, n in reasons.most_common(5)
        ]
        text += f" ({', '.join(some)}{' …' if len(reasons) > 5 else ''})"
    text += f"; raw {kind} frames have IMAGETYP = '{label}'"
    if any(f.kind is None and not f.is_master for f in frames):
        text += f"; ⟦assume_type⟧ takes those that nothing tells the kind of for {kind} frames"
    if any(f.kind is not None and not f.is_master for f in frames):
        text += "; ⟦force_type⟧ takes all, whatever their label"
        if any(f.kind == "other" and not f.is_master for f in frames):
            text += ", and a table for ⟦keywords⟧ says what words of your own mean"
    elif any(f.is_master and not f.about.surely for f in frames):
        text += "; ⟦force_type⟧ takes those that only a count or a name makes a master"
    return text


def _reason(frame: Frame) -> str:
    about = frame.about
    if about.master is not None:
        return f"masters ({about.master})" if not about.surely else "masters"
    if about.kind is None:
        return "without IMAGETYP"
    label = printable(about.label or about.kind)[:20]
    card = about.origin("kind") or "IMAGETYP"
    return f"with {card} '{label}'"
