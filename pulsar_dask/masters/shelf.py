"""Masters that lie about: which of them serves some flats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pulsar_dask.errors import PulsarError, printable, warn
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames import exposures
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import choose_calibrator, disagreements
from pulsar_dask.frames.group import Group, Ways
from pulsar_dask.frames.naming import named_exposure
from pulsar_dask.inputs.words import FITS_NAME, natural_key

#: Share of an exposure within which a dark serves a flat whose group has several.
NEAR = 0.05


@dataclass(frozen=True)
class Shelf:
    """The folders in which masters are looked for, the first one first."""

    folders: tuple[str, ...]
    ways: Ways
    seen: dict[tuple[str, str], list[Frame]] = field(default_factory=dict, compare=False)

    def masters(self, folder: str, kind: str) -> list[Frame]:
        """Masters in a folder whose name begins with their kind, in natural order."""
        if (folder, kind) not in self.seen:
            self.seen[folder, kind] = list(_masters(folder, kind))
        return self.seen[folder, kind]

    def take(self, kind: str, made: Sequence[Frame]) -> None:
        """Masters that were made meanwhile, or that a dry run would make."""
        for frame in made:
            key = os.path.dirname(frame.path), kind
            there = [f for f in self.masters(*key) if f.path != frame.path]
            self.seen[key] = [*there, frame]

    def dark(self, group: Group, exposure: float, *, near: bool = False) -> Frame | None:
        """The dark of an exposure that agrees with some flats: of several in a folder the one
        that states more of their settings, then the nearest in temperature, then the newest.

        With `near`, the nearest exposure within 5 %.

        Raises
        ------
        PulsarError
            It cannot be told which of several.
        """
        taken = (folder for folder, kind in self.seen if kind == "dark")
        for folder in dict.fromkeys((*self.folders, *taken)):
            agreeing = self._agreeing(folder, "dark", group)
            timed = [(f, t) for f in agreeing if (t := exposure_of(f)) is not None]
            fits = [
                f for f, t in timed if exposures.same_exposure(t, exposure, self.ways.tolerance)
            ]
            if near and not fits:
                close = [(abs(t - exposure), f) for f, t in timed]
                least = min((d for d, _ in close), default=exposure)
                fits = [f for d, f in close if d == least <= NEAR * exposure]
            if fits:
                return self._best(fits, group, "dark")
        return None

    def bias(self, group: Group, folders: Sequence[str] = ()) -> Frame | None:
        """A master bias that agrees with some frames, in other folders first."""
        for folder in dict.fromkeys((*folders, *self.folders)):
            if agreeing := self._agreeing(folder, "bias", group):
                return self._best(agreeing, group, "bias")
        return None

    def named_bias(self, group: Group, path: str | None) -> Frame | None:
        """The bias that a dark names, where it is there and agrees with some frames."""
        if path is None or not os.path.isfile(path):
            return None
        frame = scan_frame(path)
        return None if disagreements([frame], group.frames, self.ways) else frame

    def _agreeing(self, folder: str, kind: str, group: Group) -> list[Frame]:
        some = self.masters(folder, kind)
        return [f for f in some if not disagreements([f], group.frames, self.ways)]

    def _best(self, some: Sequence[Frame], group: Group, option: str) -> Frame:
        each = [[f] for f in some]
        at = choose_calibrator(each, group.frames, self.ways, newest=True, option=option)
        return some[at]

    def not_found(self, group: Group, exposure: float) -> str:
        """What was looked for and where, what did not agree, and the way out."""
        wanted = f"dark{exposures.name(exposure)}.fit"
        where = " nor in ".join(printable(f) for f in self.folders)
        text = f"Dark not found for exposure {exposure:g} s ({group.name}.fit): no {wanted} "
        text += f"in {where}. "
        for folder in self.folders:
            for frame in self.masters(folder, "dark"):
                t = exposure_of(frame)
                why = disagreements([frame], group.frames, self.ways)
                if (
                    t is not None
                    and exposures.same_exposure(t, exposure, self.ways.tolerance)
                    and why
                ):
                    text += f"{printable(frame.path)} does not agree: {'; '.join(why)}. "
                elif os.path.basename(frame.path) == wanted:
                    says = "no EXPTIME" if frame.exposure is None else f"EXPTIME {frame.exposure:g}"
                    text += f"{printable(frame.path)} has {says} in its header. "
        return text + (
            "Make it with makedark from darks of that exposure, or give one with ⟦dark⟧ FILE or "
            "⟦dark⟧ NUMBER (for short exposures a master bias will do)"
        )


def _masters(folder: str, kind: str) -> Iterator[Frame]:
    try:
        names = sorted(os.listdir(folder), key=natural_key)
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        if not name.lower().startswith(kind) or not FITS_NAME.search(name):
            continue
        if not os.path.isfile(path):
            continue
        try:
            frame = scan_frame(path)
        except PulsarError as error:
            if named_exposure(name.lower().removeprefix(kind).partition(".")[0]) is not None:
                warn(f"passed over: {error.text}", "passed-over")
            continue
        if frame.is_master and not frame.plane and frame.kind in (kind, None, "other"):
            yield frame


def exposure_of(frame: Frame) -> float | None:
    """That of a dark, in seconds; its name counts where it states none."""
    if frame.exposure is not None:
        return frame.exposure
    name = os.path.basename(frame.path).lower().removeprefix("dark")
    return named_exposure(name.split(".")[0].split("_")[0])


def serves(darks: Group, exposure: float, ways: Ways) -> bool:
    """Whether darks are those of an exposure."""
    return darks.exposure is not None and exposures.same_exposure(
        darks.exposure, exposure, ways.tolerance
    )
