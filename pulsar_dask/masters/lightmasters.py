"""What a user names to calibrate lights with: whether it fits, what it holds, how it is scaled."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, code_of, note, printable, shown, warn
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import refuse_planes, scan_frames
from pulsar_dask.frames import exposures
from pulsar_dask.frames.biasout import stated
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import cautions, disagreements
from pulsar_dask.frames.group import Group
from pulsar_dask.frames.naming import filter_code
from pulsar_dask.frames.table import table
from pulsar_dask.inputs.numbers import as_number
from pulsar_dask.masters.biasleft import by_pixels, sample
from pulsar_dask.masters.biaslevel import level_of
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.choice import CANCELS
from pulsar_dask.masters.search import Search
from pulsar_dask.masters.shelf import Shelf, exposure_of

#: Full scale in ADU of what Siril and PixInsight write as 1.
FULL = 65535.0


@dataclass(frozen=True)
class Wanted:
    """What was asked for, as it was written."""

    search: Search
    dark: str | Frame | None = None
    bias: str | Frame | None = None
    """A file, a number, or an expression that begins with "="."""
    no_bias: bool = False
    """Whether a dark whose bias is out may go without."""
    bias_in_dark: bool | None = None
    flat: str | Frame | None = None
    by_exposure: bool = False
    fitted: bool = False
    """Whether k is found from the hot pixels: it is 1 until then."""
    master_scale: float | None = None
    chosen: bool = False
    """Whether the headers of lights and masters have chosen: what is odd has been said."""
    plain: Calibration = Calibration()  # noqa: RUF009
    """What is the same for all lights: level, lists, pedestal, …"""

    def masters(self) -> Masters:
        """The masters themselves."""
        bias: Frame | str | float | None = None
        if isinstance(self.bias, Frame):
            bias = self.bias
        elif self.bias is not None:
            number = None if self.bias.startswith("=") else as_number(self.bias)
            bias = number if number is not None else self.bias
            if number is None and not self.bias.startswith("="):
                bias = _one(self.bias, "bias", self.search)
        dark = _one(self.dark, "dark", self.search) if self.dark is not None else None
        flat = _one(self.flat, "flat", self.search) if self.flat is not None else None
        return Masters(self, bias, dark, flat)


def _one(path: str | Frame, role: str, search: Search) -> Frame:
    """The one image that is named, or given, as a master."""
    if isinstance(path, Frame):
        return path
    if os.path.isdir(path) and not path.lower().rstrip("/\\").endswith(".zarr"):
        raise PulsarError(f"{printable(path)}: a folder; name one master with ⟦{role}⟧")
    frames = scan_frames([path], search.hdu)
    refuse_planes(frames)
    if len(frames) > 1:
        raise PulsarError(
            f"{printable(path)}: {len(frames)} frames; make their master with med first, and name "
            f"that with ⟦{role}⟧"
        )
    frame = frames[0]
    if frame.kind not in (None, role, "other"):
        label = printable(frame.about.label)
        text = f"{printable(frame.path)} is labelled '{label}', taken as {role}"
        warn(text, "label", frames=(frame.path,))
    return frame


@dataclass(frozen=True)
class Masters:
    """Masters that are there, and what was asked for."""

    wanted: Wanted
    bias: Frame | str | float | None
    dark: Frame | None
    flat: Frame | None
    units: dict[str, bool] = field(default_factory=dict, compare=False)
    """Whether those that were looked at lie in -1..1."""
    said: set[str] = field(default_factory=set, compare=False)
    """What was warned of, which holds for all lights."""
    looked: dict[Any, Any] = field(default_factory=dict, compare=False)
    """What pixels say of the bias of a dark."""

    def _say(self, text: str) -> None:
        (note if text in self.said else warn)(text)
        self.said.add(text)

    def of(self, light: Frame) -> Calibration:
        """What calibrates a light; k is 1 where it is to be fitted.

        Raises
        ------
        PulsarError
            A master does not agree with the light; or its bias is not known.
        """
        want = self.wanted
        for role, frame in (("bias", self.bias), ("dark", self.dark), ("flat", self.flat)):
            if isinstance(frame, Frame) and not want.chosen:
                self._fits(role, frame, light)
        bias: Frame | float | None
        bias = level_of(self.bias, light) if isinstance(self.bias, str) else self.bias
        c = replace(want.plain, bias=bias, dark=self.dark, flat=self.flat)
        if self.dark is not None:
            c = self._with_bias(c, self.dark, light)
            c = self._scaled(c, self.dark, light)
        return self._in_adu(c, light)

    def _fits(self, role: str, frame: Frame, light: Frame) -> None:
        ways = self.wanted.search.ways
        passes = CANCELS if role == "flat" else frozenset()
        if why := disagreements([frame], [light], replace(ways, mix=ways.mix | passes)):
            words = ",".join(s.word for s in table().settings if any(s.keyword in w for w in why))
            raise PulsarError(
                f"the {role} {frame.name} does not agree with {light.name}: {'; '.join(why)}; give "
                f"another, or let it pass with ⟦mix⟧ {words}"
            )
        of = (light.path,)
        if role == "flat":
            for text in disagreements([frame], [light], ways):
                what = f"has {text}; it cancels if its dark fits"
                warn(f"{light.name}: the flat {frame.name} {what}", "calibrator", frames=of)
            theirs, ours = frame.filter, light.filter
            if theirs and ours and filter_code(theirs) != filter_code(ours):
                what = f"of filter {shown(theirs)}, not {shown(ours)}"
                warn(f"{light.name}: the flat {frame.name} is {what}", "filters", frames=of)
        else:
            timeless = replace(ways, mix=ways.mix | {"exposure"})
            for text in cautions(role, [frame], [light], timeless):
                warn(f"{light.name}: {text}", code_of(text), frames=of)

    def _with_bias(self, c: Calibration, dark: Frame, light: Frame) -> Calibration:
        """Whether the dark holds its bias; where it does not, with the bias it lacks."""
        want = self.wanted
        without, number, path, _ = stated(read_header(dark), dark.path)
        if want.bias_in_dark is not None:
            without = not want.bias_in_dark
        other = c.bias
        if other is None:
            other = number or self._bias_of(dark, path, light)
        if without is None:
            image = other if isinstance(other, Frame) else None
            if (key := (dark.path, image and image.path)) not in self.looked:
                self.looked[key] = by_pixels(dark, image)
            without, level, zero = self.looked[key]
            if without is None:
                beside = (
                    f", the bias has {zero:g}" if zero is not None else ", and there is no bias"
                )
                raise PulsarError(
                    f"nothing says whether the bias was subtracted from {dark.name}: its median is "
                    f"{level or 0:g} ADU{beside}; ⟦bias_in_dark⟧ yes or no says it"
                )
            if not without:
                self._say(
                    f"{dark.name} does not say whether it holds the bias; by its level it does"
                )
        if not without:
            return replace(c, dark_holds_bias=True, bias=other if c.bias is None else c.bias)
        if other is None and not want.no_bias:
            named = f" ({printable(path)})" if path else ""
            raise PulsarError(
                f"the bias was subtracted from {dark.name}, so it has to be subtracted from the "
                f"lights, too, but it{named} is not there and no other agrees; give it with ⟦bias⟧ "
                "FILE or ⟦bias⟧ NUMBER, or insist with ⟦no_bias⟧"
            )
        if other is not None and c.bias is None and not want.no_bias:
            what = other.name if isinstance(other, Frame) else f"{other:g} ADU"
            self._say(
                f"the bias was subtracted from {dark.name}, so {what} is subtracted from the lights"
            )
            return replace(c, bias=other)
        return c

    def _bias_of(self, dark: Frame, path: str | None, light: Frame) -> Frame | None:
        """The bias that a dark names, else one that lies beside it or here and agrees."""
        home, group = os.path.dirname(dark.path), Group("light", (light,))
        shelf = Shelf((home, os.getcwd()), self.wanted.search.ways)
        return shelf.named_bias(group, path) or shelf.bias(group)

    def _scaled(self, c: Calibration, dark: Frame, light: Frame) -> Calibration:
        """With k = t/t_d where that was asked for; a word where exposures differ."""
        want, ours, theirs = self.wanted, light.exposure, exposure_of(dark)
        goes_without = want.no_bias and not c.dark_holds_bias
        if (want.by_exposure or want.fitted) and c.bias is None and not goes_without:
            raise PulsarError(
                f"to scale {dark.name} its bias has to be known; give it with ⟦bias⟧ FILE or "
                "⟦bias⟧ NUMBER"
            )
        if want.by_exposure:
            if not ours or not theirs:
                which = light.name if not ours else dark.name
                raise PulsarError(f"{which} states no exposure to scale the dark by; add EXPTIME")
            if exposures.same_exposure(ours, theirs, want.search.ways.tolerance):
                return replace(c, scaled="the exposures are the same")
            return replace(
                c, scale=ours / theirs, scaled=f"by exposure, {ours:g} s of {theirs:g} s"
            )
        same = (
            not ours
            or not theirs
            or exposures.same_exposure(ours, theirs, want.search.ways.tolerance)
        )
        told = want.fitted or want.chosen or "exposure" in want.search.mixed
        if not same and not told:
            warn(
                f"{light.name}: the dark {dark.name} has an exposure of {theirs:g} s, not "
                f"{ours:g} s, and is subtracted as it is; ⟦scale_dark⟧ exposure scales it by "
                "that, -o by its hot pixels",
                "exposures",
                frames=(light.path,),
            )
        return c

    def _in_adu(self, c: Calibration, light: Frame) -> Calibration:
        """With masters in 0..1 brought to the unit of the light."""
        masters = [(role, f) for role, f in c.images if role != "flat"]
        if not masters:
            return c
        small = _in_unit(light)
        for role, frame in masters:
            if frame.path not in self.units:
                self.units[frame.path] = _in_unit(frame)
            if self.units[frame.path] == small:
                continue
            header = read_header(frame)
            writer = " ".join(str(header.get(k, "")) for k in ("PROGRAM", "CREATOR", "SWCREATE"))
            times = 1 / FULL if small else FULL
            if self.wanted.master_scale is not None:
                times = self.wanted.master_scale
            elif not re.search("siril|pixinsight", writer, re.IGNORECASE):
                where = "0..1" if not small else "ADU"
                raise PulsarError(
                    f"the {role} {frame.name} is in {where}, the light {light.name} is not; "
                    "⟦master_scale⟧ X multiplies it (of 16 bits 65535)"
                )
            what = f"the {role} {frame.name} is in another unit than the lights"
            self._say(f"{what}: multiplied by {times:g}")
            c = replace(c, bias_times=times) if role == "bias" else replace(c, dark_times=times)
        return c


def _in_unit(frame: Frame) -> bool:
    """Whether all pixels of an image lie in -1..1."""
    if not frame.pixels.floating:
        return False
    values = sample(frame)
    known = np.abs(values[~np.isnan(values)])
    return bool(known.size and known.max() <= 1 and known.any())
