"""Masters that lie in folders, found by what their headers say; and which of them serve a light."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pulsar_dask.errors import PulsarError, count, printable, reason, wrong_argument
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.about import About
from pulsar_dask.frames.biasout import Stated, flag, stated
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import cautions
from pulsar_dask.frames.naming import dark_stem, list_name, master_name
from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.frames.step import Step
from pulsar_dask.frames.table import using
from pulsar_dask.inputs.find import near_name
from pulsar_dask.inputs.words import FITS_NAME, is_store, natural_key
from pulsar_dask.masters.choice import Choice, Found, Level, Rules, look, nearest
from pulsar_dask.masters.darkchoice import Bias, choose_dark
from pulsar_dask.masters.flatchoice import choose_flat

Scan = Callable[[Iterable[str]], list[Frame]]


@dataclass(frozen=True, repr=False)
class Library:
    """Masters, as their headers describe them, and the rules by which they are chosen."""

    darks: tuple[Frame, ...] = ()
    flats: tuple[Frame, ...] = ()
    biases: tuple[Frame, ...] = ()
    given: tuple[Frame, ...] = ()
    """Biases that were named for all darks that do not name their own."""
    others: tuple[Frame, ...] = ()
    """What lies there and is no master."""
    unread: tuple[tuple[str, str], ...] = ()
    """Files that cannot be read, and why."""
    rules: Rules = field(default_factory=Rules)
    _stated: dict[str, Stated] = field(default_factory=dict, compare=False, repr=False)
    _biases: dict[object, Bias] = field(default_factory=dict, compare=False, repr=False)
    _holding: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def __repr__(self) -> str:
        parts = {"biases": self.biases, "darks": self.darks, "flats": self.flats}
        return f"Library({', '.join(f'{len(some)} {what}' for what, some in parts.items())})"

    @property
    def masters(self) -> tuple[Frame, ...]:
        """All, each once."""
        found = (*self.biases, *self.given, *self.darks, *self.flats)
        return tuple({f.path: f for f in found}.values())

    def match(self, light: Frame) -> Choice:
        """What calibrates a light, from headers alone.

        Parameters
        ----------
        light : Frame
            What `scan_frame` gives.

        Returns
        -------
        Choice
            `missing` says what there is not; `reasons` why masters were not taken.
        """
        if not isinstance(light, Frame):
            raise wrong_argument("light", light, "a Frame, as scan_frame gives it")
        with using(self.rules.table):
            return self._match(light)

    def _match(self, light: Frame) -> Choice:
        dark = choose_dark(light, self.darks, self.rules, lambda d: self.bias_of(d, light))
        flat = choose_flat(light, self.flats, self.rules, self.holds_bias)
        bias: Level | None = None
        notes = [*dark.notes]
        if dark.frame is not None:
            out, bias = self.bias_of(dark.frame, light)
            bias = None if out and self.rules.no_bias else bias
            notes += self._of_bias(dark, bias, light)
        missing = [("dark", dark.why + self._raw("dark"))] if dark.why else []
        missing += [("flat", flat.why + self._raw("flat"))] if flat.why else []
        beside = list_beside(dark.frame) if dark.frame is not None else None
        if dark.frame is not None and beside is None:
            name = self.rules.name(dark.frame)
            notes.append(f"no list of hot pixels lies beside {name}, so they stay in the lights")
        return Choice(
            light,
            dark=dark.frame,
            k=dark.k,
            bias=bias,
            flat=flat.frame,
            bias_out=self.says(dark.frame).out if dark.frame is not None else None,
            list=beside,
            notes=(*notes, *flat.notes),
            missing=tuple(missing),
            reasons=(*dark.reasons, *flat.reasons),
        )

    def says(self, dark: Frame) -> Stated:
        """What a dark says of its bias."""
        if dark.path not in self._stated:
            self._stated[dark.path] = stated(read_header(dark), dark.path)
        return self._stated[dark.path]

    def bias_of(self, dark: Frame, light: Frame) -> Bias:
        """The bias that belongs to a dark: its own by DATASUM, else by name, else the one that is
        given, else the nearest in time to it of those that agree with the dark and with the light;
        a number that was taken off is the bias."""
        key = dark.path, look(light)
        if key not in self._biases:
            self._biases[key] = self._bias_of(dark, light)
        return self._biases[key]

    def _bias_of(self, dark: Frame, light: Frame) -> Bias:
        says, rules = self.says(dark), self.rules
        if rules.bias is not None:
            return Bias(says.out, rules.bias)
        if says.number:
            return Bias(says.out, says.number)

        def agree(some: Iterable[Frame]) -> list[Frame]:
            both = (dark, light)
            return [b for b in some if not any(rules.differ(b, f) for f in both)]

        name = os.path.basename(says.path or "")
        every = agree(self.biases)
        own = [b for b in every if says.sum is not None and says.sum == _sum(b)]
        own = own or [b for b in every if name and os.path.basename(b.path) == name]
        left = own or agree(self.given) or every
        try:
            return Bias(says.out, nearest(left, dark, rules, "the bias") if left else None)
        except PulsarError:
            return Bias(says.out, None)

    def holds_bias(self, flat: Frame) -> bool:
        """Whether a flat may hold its bias: one that was made with a dark that lacks it, or by
        PULSAR, which takes no bias out of flats."""
        if flat.path not in self._holding:
            self._holding[flat.path] = self._holds(flat)
        return self._holding[flat.path]

    def _holds(self, flat: Frame) -> bool:
        header = read_header(flat)
        if (out := flag(header)) is not None:
            return not out
        trace = read_trace(map(str, header.get("HISTORY", [])), os.path.dirname(flat.path))
        if not trace.steps:
            return (flat.about.master or "").startswith("the name 'flat_")
        roles = {s.role for s in trace.sources}
        taken = any(isinstance(s, Step) and s.verb == "minus number" for s in trace.steps)
        if "bias" in roles or taken:
            return False
        sums = {(os.path.basename(s.path), s.sum) for s in trace.sources if s.role == "dark"}
        darks = [d for d in self.darks if (os.path.basename(d.path), _sum(d)) in sums]
        return "dark" not in roles or not darks or any(self.says(d).out is not False for d in darks)

    def _of_bias(self, dark: Found, bias: object, light: Frame) -> Iterator[str]:
        assert dark.frame is not None
        out = self.says(dark.frame).out
        if isinstance(bias, Frame) and (out or dark.k != 1):
            yield from cautions("bias", [bias], [light], self.rules.ways)
        if out and bias is None:
            yield f"the bias was subtracted from {self.rules.name(dark.frame)} and stays in lights"

    def _raw(self, kind: str) -> str:
        """Raw frames of a kind that lie there, of which a master could be made."""
        raw = [f for f in self.others if f.kind == kind and not f.is_master]
        folders = Counter(os.path.dirname(self.rules.name(f)) or "." for f in raw)
        return "".join(
            f"; {folder}/: {count(n, f'raw {kind}')}" for folder, n in folders.most_common(3)
        )


def list_beside(dark: Frame) -> str | None:
    """The path of the list of hot pixels of a dark, where it lies beside it."""
    stem = dark_stem(master_name(dark.path))
    path = os.path.join(os.path.dirname(dark.path), list_name(stem or ""))
    return path if stem and os.path.isfile(path) else None


def _sum(master: Frame) -> int | None:
    """DATASUM of its pixels, where its header has it."""
    found = master.stated
    return None if found is None else found.data if found.pixels is None else found.pixels


def find_masters(
    darks: Sequence[str],
    flats: Sequence[str],
    biases: Sequence[str] = (),
    dark_is: Sequence[str] = (),
    rules: Rules | None = None,
) -> Library:
    """A library of the masters in folders and the folders in them.

    Parameters
    ----------
    darks, flats : sequence of str
        Folders, or files, in which darks and flats are looked for; biases in all of them.
    biases : sequence of str
        Files and folders of biases that serve where a dark does not name its own.
    dark_is : sequence of str
        Files that are darks, whatever they say.
    rules : Rules, optional

    Raises
    ------
    PulsarError
        A folder is not there or cannot be listed.
    """
    known: dict[str, list[Frame]] = {}
    unread: dict[str, str] = {}

    def scanned(places: Iterable[str]) -> list[Frame]:
        for path in (paths := [p for place in places for p in _paths(place, unread)]):
            if path not in known:
                known[path] = _scan(path, unread)
        return list({f.path: f for p in paths for f in known[p]}.values())

    own = [replace(f, about=_as_dark(f)) for f in scanned(dark_is)]
    homes = [os.path.dirname(f.path) for f in own]
    found = {"dark": scanned(darks), "flat": scanned(flats)}
    beside = [f for home in homes for f in scanned(_files(home))]
    every = {f.path: f for f in [*found["dark"], *found["flat"], *beside]}
    given = scanned(biases)
    usable = {k: [f for f in some if _is(f, k)] for k, some in found.items()}
    named = {f.path for f in own}
    masters = [f for f in usable["dark"] if f.path not in named]
    known_biases = [f for f in every.values() if _is(f, "bias")]
    only = given if len(given) == 1 else [f for f in given if _is(f, "bias")]
    used = {f.path for f in (*masters, *own, *usable["flat"], *known_biases, *only)}
    roots = [os.path.abspath(p) for p in (*darks, *flats, *biases) if os.path.isdir(p)]
    return Library(
        darks=(*own, *masters),
        flats=tuple(usable["flat"]),
        biases=tuple(known_biases),
        given=tuple(only),
        others=tuple(f for f in every.values() if f.path not in used),
        unread=tuple(unread.items()),
        rules=replace(rules or Rules(), places=tuple(dict.fromkeys(roots))),
    )


def _is(frame: Frame, kind: str) -> bool:
    return frame.is_master and not frame.plane and frame.kind == kind


def _as_dark(frame: Frame) -> About:
    return replace(frame.about, kind="dark", master=frame.about.master or "⟦dark_is⟧")


def _scan(path: str, unread: dict[str, str]) -> list[Frame]:
    try:
        return [f for f in scan_frames([path]) if not f.plane]
    except PulsarError as error:
        unread[path] = error.text
        return []


def _files(folder: str) -> list[str]:
    """FITS files of a folder, without those of its folders."""
    try:
        names = sorted(os.listdir(folder), key=natural_key)
    except OSError:
        return []
    paths = (os.path.join(folder, name) for name in names)
    return [p for p in paths if _wanted(p) and os.path.isfile(p)]


def _paths(place: str, unread: dict[str, str]) -> Iterator[str]:
    """The images in a folder and the folders in it, in natural order; or the one that is named."""
    if not os.path.exists(place):
        raise PulsarError(f"{printable(place)}: no such file or folder{near_name(place)}", "input")
    place = os.path.abspath(place)
    if is_store(place) or os.path.isfile(place):
        yield place
        return

    def fail(error: OSError) -> None:
        text = f"{printable(error.filename)}: {reason(error)}"
        if error.filename == place:
            raise PulsarError(text, "input") from error
        unread[str(error.filename)] = text

    for parent, folders, names in os.walk(place, onerror=fail):
        stores = [f for f in folders if is_store(os.path.join(parent, f))]
        inner = (f for f in folders if f not in stores and not f.startswith("."))
        folders[:] = sorted(inner, key=natural_key)
        files = sorted((*filter(_wanted, names), *stores), key=natural_key)
        yield from (os.path.join(parent, name) for name in files)


def _wanted(path: str) -> bool:
    name = os.path.basename(path)
    return bool(FITS_NAME.search(name)) and not name.startswith(".")
