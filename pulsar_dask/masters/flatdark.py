"""What is subtracted from flats: a dark that is given, lies about or is made of dark flats, and its
bias, where that is out of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pulsar_dask.errors import PulsarError, code_of, printable, warn
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import refuse_planes, scan_frame
from pulsar_dask.frames.biasout import stated
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import cautions, disagreements
from pulsar_dask.frames.group import Group
from pulsar_dask.frames.groups import dark_groups
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.stack import describe_shape
from pulsar_dask.frames.step import Step
from pulsar_dask.inputs.numbers import as_number, finite
from pulsar_dask.masters.biasleft import seems_without
from pulsar_dask.masters.flatgroup import Minus
from pulsar_dask.masters.search import Search
from pulsar_dask.masters.shelf import Shelf, serves

MakeDarks = Callable[[Sequence[Group]], Sequence[Frame]]
"""Makes master darks of the dark flats, in the folder for outputs."""


@dataclass
class Looking:
    """Finds what is subtracted from flats."""

    shelf: Shelf
    search: Search
    among: Sequence[Frame]
    """Dark flats."""
    dark: str | os.PathLike[str] | float | Frame | None
    bias: Callable[[Group], Minus] | None
    """The bias that is given, for some flats."""
    make_darks: MakeDarks | None
    used: set[str] = field(default_factory=set)

    def calibrate(self, group: Group) -> tuple[list[Minus], list[Source], list[Step]]:
        """What is subtracted: one for all frames, or one for each; what header and HISTORY say.

        Raises
        ------
        PulsarError
            It is not there, or does not agree with the flats.
        """
        exposures = [f.exposure or 0.0 for f in group.frames]
        mixed = group.exposure is None and len(set(exposures)) > 1
        one = self._given(group)
        if one is None and mixed:
            by_exposure = {t: self._near(group, t) for t in dict.fromkeys(exposures)}
            minus = [by_exposure[t] for t in exposures]
        else:
            minus = [one or self._found(group, group.exposure or 0.0)]
        minus = [self._with_bias(f"{group.name}.fit", group, m) for m in minus]
        return minus, _sources(minus), _steps(minus)

    def _given(self, group: Group) -> Minus | None:
        if self.dark is None:
            return None
        if isinstance(self.dark, Frame):
            frame = self.dark
        else:
            number = as_number(self.dark) if isinstance(self.dark, str) else finite(self.dark)  # type: ignore[arg-type]
            if number is not None:
                return Minus(constant=number)
            frame = scan_frame(self.dark)  # type: ignore[arg-type]
        refuse_planes([frame])
        self._fits(group, frame)
        return Minus((frame,))

    def _fits(self, group: Group, frame: Frame) -> None:
        """Refuse a dark that does not belong to the flats, or say what is odd about it."""
        path, name = printable(frame.path), f"{group.name}.fit"
        shape = group.frames[0].shape
        if frame.shape != shape:
            raise PulsarError(
                f"{path} is {describe_shape(frame.shape)}, the flats are {describe_shape(shape)}; "
                "it is not their dark",
                "calibration",
            )
        if why := disagreements([frame], group.frames, self.search.ways):
            raise PulsarError(
                f"{path} does not agree with the flats: {'; '.join(why)}; give another with "
                "⟦dark⟧, or let it pass with ⟦mix⟧",
                "calibration",
            )
        if frame.kind in ("light", "flat"):
            warn(
                f"{name}: {path} is labelled '{printable(frame.about.label)}', taken as the dark",
                "label",
            )
        for text in cautions(frame.kind or "dark", [frame], group.frames, self.search.ways):
            warn(f"{name}: {text}", code_of(text))

    def _found(self, group: Group, exposure: float) -> Minus:
        """The dark that lies about, else one made of dark flats."""
        frame = self.shelf.dark(group, exposure)
        if frame is None:
            frame = self._made(group, exposure)
        if frame is None:
            raise PulsarError(self.shelf.not_found(group, exposure), "calibration")
        self._fits(group, frame)
        return Minus((frame,))

    def _near(self, group: Group, exposure: float) -> Minus:
        """For one of several exposures the nearest dark, else the bias that is given or lies
        about."""
        frame = self.shelf.dark(group, exposure, near=True) or self._made(group, exposure)
        if frame is None and self.bias is not None:
            return self.bias(group)
        frame = frame or self.shelf.bias(group)
        if frame is None:
            raise PulsarError(self.shelf.not_found(group, exposure), "calibration")
        return Minus((frame,))

    def _made(self, group: Group, exposure: float) -> Frame | None:
        """The dark of dark flats, once it was made."""
        ways = self.search.ways
        fits = [
            one
            for one in dark_groups(self.among, ways).groups
            if not disagreements(one.frames, group.frames, ways) and serves(one, exposure, ways)
        ]
        if not fits or not self.among:
            return None
        if self.make_darks is None:
            first = fits[0].frames[0].name
            raise PulsarError(
                f"Dark not found for exposure {exposure:g} s ({group.name}.fit), but dark frames "
                f"of it ({first}, …) lie among the flats; make their master with makedark first",
                "calibration",
            )
        self.shelf.take("dark", self.make_darks(fits))
        self.used |= {f.path for one in fits for f in one.frames}
        self.among = [f for f in self.among if f.path not in self.used]
        return self.shelf.dark(group, exposure)

    def _with_bias(self, name: str, group: Group, minus: Minus) -> Minus:
        """With the bias, where that is out of the dark."""
        if not minus.images or minus.images[0].kind == "bias":
            return minus
        (dark,) = minus.images
        without, number, path, _ = stated(read_header(dark), dark.path)
        if self.bias is not None and without is not False:
            other = self.bias(group)
            return Minus((dark, *other.images), other.constant)
        if number:
            return Minus((dark,), number)
        home = os.path.dirname(dark.path)
        bias = self.shelf.named_bias(group, path) or self.shelf.bias(group, [home])
        if without is None:
            without = seems_without(name, dark, bias)
        if not without:
            return minus
        file = dark.name
        if bias is None:
            named = f" ({printable(path)})" if path else ""
            raise PulsarError(
                f"the bias was subtracted from {file}, so it has to be subtracted from the flats, "
                f"too, but it{named} is not there and no other agrees; give it with ⟦bias⟧ FILE or "
                "⟦bias⟧ NUMBER, or a dark that holds it with ⟦dark⟧",
                "calibration",
            )
        warn(
            f"{name}: the bias was subtracted from {file}, so "
            f"{bias.name} is subtracted from the flats, too",
            "bias-too",
        )
        return Minus((dark, bias))


def _sources(minus: Sequence[Minus]) -> list[Source]:
    images = [("bias" if i else "dark", f) for m in minus for i, f in enumerate(m.images)]
    return [Source.of(role, f) for role, f in dict.fromkeys(images)]  # type: ignore[arg-type]


def _steps(minus: Sequence[Minus]) -> list[Step]:
    def name(frame: Frame) -> str:
        return os.path.basename(frame.path)

    if len(minus) > 1:
        return [
            Step("minus from", (", ".join(map(name, m.images)), m.constant, n))
            for m, n in Counter(minus).items()
        ]
    (one,) = minus
    steps = [Step("minus", (name(f),)) for f in one.images]
    return steps + ([Step("minus number", (one.constant,))] if one.constant else [])
