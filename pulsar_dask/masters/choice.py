"""What calibrates a light, chosen from masters that lie about: the choice, and by which rules."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import cautions, disagreements, most_telling, unstated
from pulsar_dask.frames.group import Ways
from pulsar_dask.frames.table import Table, table
from pulsar_dask.inputs.flatlog import Entry

#: What a flat of other settings than the lights may have: its bias and dark are out, so that the
#: gain cancels in M/F.
CANCELS = frozenset({"gain", "offset", "readout"})
#: Settings without which it is said that a master does not state them.
_TOLD = ("GAIN", "ISOSPEED", "EGAIN")
#: Shut gates that an error names.
_MOST = 4

Level = Frame | str | float
"""A bias: "=64*$OFFSET" is of each light."""


@dataclass(frozen=True)
class Rules:
    """How masters are chosen for lights."""

    ways: Ways = field(default_factory=Ways)
    table: Table = field(default_factory=table, repr=False)
    """What keywords mean."""
    nearest_dark: bool = False
    """Whether a dark of the nearest exposure is taken as it is, where none is of the light's."""
    latest: bool = False
    """Whether the latest of those that agree is taken, as PULSAR does."""
    future_days: float = 2.0
    """Days after a light up to which a flat may be taken, where no log says more."""
    log: tuple[Entry, ...] | None = None
    """When flats became others."""
    l_flat: bool = False
    """Whether a flat of L serves where the filter has none."""
    temperature_tolerance: float | None = None
    """°C beyond which a dark is not taken."""
    bias: str | float | None = None
    """What is given as the bias."""
    no_bias: bool = False
    """Whether a dark without its bias may go without."""
    places: tuple[str, ...] = ()
    """Folders that masters are named from."""
    known: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was compared; a light says mostly what another has said."""

    def differ(
        self, master: Frame, light: Frame, mix: frozenset[str] = frozenset()
    ) -> tuple[str, ...]:
        """The gates that are shut: the settings in which a master differs from a light."""
        key = mix, look(master), look(light)
        if key not in self.known:
            ways = replace(self.ways, mix=self.ways.mix | mix)
            self.known[key] = tuple(disagreements([master], [light], ways))
        found: tuple[str, ...] = self.known[key]
        return found

    def telling(self, masters: Sequence[Frame], light: Frame) -> list[Frame]:
        """Of masters that agree those that state most of a light's settings.

        Raises
        ------
        PulsarError
            They differ in a setting that the light does not state.
        """
        looks: dict[object, list[Frame]] = {}
        for master in masters:
            looks.setdefault(look(master), [master])
        key = frozenset(looks), look(light)
        if key not in self.known:
            ways = "let it pass with ⟦mix⟧, or name the folder of one of them"
            some, every = list(looks.values()), range(len(looks))
            left = most_telling(some, every, [light], self.ways, ways)
            self.known[key] = {look(some[i][0]) for i in left}
        return [f for f in masters if look(f) in self.known[key]]

    def name(self, master: Frame) -> str:
        """The name of a master, from the folder that was given."""
        for place in self.places:
            if master.path.startswith(os.path.join(place, "")):
                return printable(os.path.relpath(master.path, place))
        return master.name


def look(frame: Frame) -> tuple[object, ...]:
    """What a frame states of its settings."""
    return frame.shape, frame.about.settings


@dataclass(frozen=True)
class Choice:
    """What calibrates a light, or why nothing does. Its text is that of `words`."""

    light: Frame
    dark: Frame | None = None
    k: float = 1.0
    """By the exposures; 1 where the dark is taken as it is."""
    bias: Level | None = None
    """What is subtracted where the dark does not hold it, or k is not 1."""
    bias_out: bool | None = None
    """Whether the bias is out of the dark; None where it does not say so."""
    flat: Frame | None = None
    list: str | None = None
    """The path of the list of hot pixels beside the dark."""
    notes: tuple[str, ...] = ()
    """What is odd about it, in words."""
    missing: tuple[tuple[str, str], ...] = ()
    """Of what there is none ("dark", "flat"), and why, in words."""
    reasons: tuple[str, ...] = ()
    """Why others were not taken: "old/dark120s.fit GAIN 0, not 100"."""

    def __str__(self) -> str:
        return self.words

    @property
    def error(self) -> PulsarError | None:
        """What a light without its masters costs; None where all are there."""
        if not self.missing:
            return None
        return PulsarError("; ".join(text for _, text in self.missing), "calibration")

    @property
    def key(self) -> tuple[object, ...]:
        """What lights that are calibrated by the same have in common."""
        bias = self.bias.path if isinstance(self.bias, Frame) else self.bias
        paths = (f.path if f is not None else None for f in (self.dark, self.flat))
        return (*paths, bias, self.k, self.list, self.missing)

    @property
    def words(self) -> str:
        """The masters, as the line about lights has them."""
        if self.error is not None:
            return self.error.on_command_line
        found = [f"DARK={self._stating(self.dark)}"] if self.dark is not None else []
        if self.bias is not None and (self.bias_out is not False or self.k != 1):
            name = self.bias.name if isinstance(self.bias, Frame) else self.bias
            open_ = self.bias_out is None and self.k == 1  # pixels will tell
            found.append(f"BIAS={name}{'?' * open_}")
        found += [f"FLAT={self._stating(self.flat)}"] if self.flat is not None else []
        return " ".join([*found, f"k={self.k:.6g}"])

    def _stating(self, master: Frame) -> str:
        """The name of a master, and which settings of the light it does not state."""
        cancels = {s.keyword for s in table().settings if s.word in CANCELS}
        what = unstated(master, self.light)
        what = [k for k in what if master.kind != "flat" or k not in cancels]
        return master.name + (f" (no {', '.join(what)})" if what else "")


@dataclass(frozen=True)
class Found:
    """One master for a light."""

    frame: Frame | None = None
    k: float = 1.0
    notes: tuple[str, ...] = ()
    why: str = ""
    """Why there is none."""
    reasons: tuple[str, ...] = ()


def odd(dark: Frame, light: Frame, rules: Rules, *, scaled: bool) -> list[str]:
    """What is odd about a dark: its temperature, age, exposure, and what it does not state."""
    ways = replace(rules.ways, mix=rules.ways.mix | {"exposure"}) if scaled else rules.ways
    found = cautions("dark", [dark], [light], ways)
    what = [k for k in unstated(dark, light) if k in _TOLD]
    what += ["EXPTIME"] if dark.exposure is None else []
    return found + ([f"{rules.name(dark)} does not state {' and '.join(what)}"] if what else [])


def apart(a: Frame, b: Frame) -> float:
    """Days between two frames; infinite where one says no time."""
    if a.about.jd is None or b.about.jd is None:
        return math.inf
    return round(abs(a.about.jd - b.about.jd), 6)


def latest(masters: Sequence[Frame]) -> Frame:
    """The latest; of several the one that was written last, then the first by path."""
    last = max(f.about.jd or 0.0 for f in masters)
    return written_last([f for f in masters if (f.about.jd or 0.0) == last])


def written_last(masters: Sequence[Frame]) -> Frame:
    """Of several the one with the newest DATE, then the first by path."""
    if len(masters) == 1:
        return masters[0]
    dates = {f.path: str(read_header(f).get("DATE", "")) for f in masters}
    newest = max(dates.values())
    return min((f for f in masters if dates[f.path] == newest), key=lambda f: f.path)


def nearest(
    masters: Sequence[Frame], light: Frame, rules: Rules, what: str, *, earlier: bool = False
) -> Frame:
    """Of masters that agree the ones that state most of a light's settings, then the nearest in
    time (with `earlier` of two the earlier), then the one that was written last, then by path.

    Raises
    ------
    PulsarError
        They differ in a setting that the light does not state; or it has no time to choose by.
    """
    left = rules.telling(masters, light)
    if light.about.jd is None and len(left) > 1:
        raise PulsarError(
            f"it has no time (JD, MJD-OBS, DATE-OBS), so that {what} cannot be chosen: "
            f"{' and '.join(map(rules.name, left[:3]))} agree; add DATE-OBS",
            "calibration",
        )
    least = min(apart(f, light) for f in left)
    left = [f for f in left if apart(f, light) == least]
    first = min(f.about.jd or 0.0 for f in left)
    return written_last([f for f in left if not earlier or (f.about.jd or 0.0) == first])


def shut(reasons: Sequence[str]) -> str:
    """Some of the reasons, for an error."""
    if not reasons:
        return ""
    more = f"; and {len(reasons) - _MOST} more" if len(reasons) > _MOST else ""
    return f": {'; '.join(reasons[:_MOST])}{more}"


def split(
    masters: Sequence[Frame], why: Callable[[Frame], Sequence[str]], rules: Rules
) -> tuple[list[Frame], tuple[str, ...]]:
    """Masters whose gates are all open; and the reasons of the others."""
    shuts = {f.path: why(f) for f in masters}
    reasons = (f"{rules.name(f)} {'; '.join(shuts[f.path])}" for f in masters if shuts[f.path])
    return [f for f in masters if not shuts[f.path]], tuple(reasons)
