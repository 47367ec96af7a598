"""How lights are calibrated, one after the other, each whole or not at all: for the tools that find
out by what."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pulsar_dask.cli.report import Report
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor, Run
from pulsar_dask.errors import PulsarError, count, printable, told, warn
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.sums import check_sums, pixel_sums
from pulsar_dask.frames.colour import colours_of
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Trace
from pulsar_dask.frames.stack import default_dtype, describe_shape
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.masters.biasleft import sample
from pulsar_dask.masters.calibration import Calibration, Fit, named, with_scale
from pulsar_dask.masters.darkscale import Hot, hot_pixels, scaled_by
from pulsar_dask.masters.light import light_recipe
from pulsar_dask.masters.lightband import Light
from pulsar_dask.masters.lightfit import fit, told_of
from pulsar_dask.masters.lightlevel import ROWS, too_low
from pulsar_dask.masters.lightnoise import noise_of
from pulsar_dask.output.light_sink import LightSink, light_header
from pulsar_dask.tools.lightcards import cards_of
from pulsar_dask.tools.lightthere import what_is_there
from pulsar_dask.tools.options import Options, files_in_goes


@dataclass
class Calibrating:
    """Lights that are calibrated in one run: masters are looked at once for all of them."""

    options: Options
    report: Report
    executor: Executor
    inputs: Sequence[str] = ()
    """Files that no output may replace."""
    dtype: str | None = None
    """Type of the outputs; "input" is the light's own, None float32, of wide ones float64."""
    cards: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Further cards of all outputs."""
    noise: tuple[float | None, float | None] = (None, None)
    """Where uncertainties are wanted (`Calibration.errors`): electrons per ADU, and of read noise,
    where the lights do not say them."""
    scale: str | None = None
    """How k is found from the hot pixels of the dark, "robust" or "ls"; None: it is not."""
    fallback: bool = False
    """Whether the exposures give k where the hot pixels do not."""
    _hot: dict[Any, Hot] = field(default_factory=dict)
    _samples: dict[str, Any] = field(default_factory=dict)
    _fits: dict[Any, Fit] = field(default_factory=dict)
    _sums: dict[str, Sums] = field(default_factory=dict)
    _looked: Ledger = field(default_factory=Ledger)
    _of_lights: dict[str, Sums] = field(default_factory=dict)
    _before: list[str] | None = None
    """What was warned of before the first light, which holds for all."""

    def calibrate_light(
        self,
        light: Frame,
        path: str,
        calibration: Calibration | Callable[[Frame], Calibration],
    ) -> Iterator[str | None]:
        """Write one light, whole or not at all, in goes: it is computed, it is brought to the disk,
        where another may be computed meanwhile, it is told of. Pass over one that is there already.

        Parameters
        ----------
        light : Frame
        path : str
        calibration : Calibration or callable
            Or what gives it for the light, so that the light's HISTORY has what is warned of.

        Yields
        ------
        str or None
            What was done, in words; None where the output is there, made of the same.

        Raises
        ------
        PulsarError
            A master does not fit, the light cannot be read, or the output not be written.
        """
        before = self._before if self._before is not None else list(self.options.warnings)
        self._before = before
        with told(strict=self.options.strict) as notes:
            notes[:0] = before
            chosen = calibration if isinstance(calibration, Calibration) else calibration(light)
            goes, words = self._begun(light, path, chosen, notes)
        yield words
        for _ in goes:
            yield words

    def _begun(
        self, frame: Frame, path: str, calibration: Calibration, notes: list[str]
    ) -> tuple[Iterator[object], str | None]:
        """What is left of a light that is computed, and the words."""
        for role, master in calibration.images:
            if master.shape != frame.shape:
                raise PulsarError(
                    f"{printable(master.path)} is {describe_shape(master.shape)}, the light "
                    f"{frame.name} is {describe_shape(frame.shape)}; it is not its {role}"
                )
        if self.scale is not None and calibration.dark is not None:
            calibration = self._scaled(frame, calibration)
        found = self._fit(frame, calibration)
        saturation = self.options.saturation or frame.about.saturation
        light = Light(frame, calibration, found, saturation)
        if calibration.errors:
            light = replace(light, noise=noise_of(frame, calibration, found, *self.noise))
        recipe = light_recipe(light, os.path.basename(path), self._dtype(frame))
        (product,) = recipe.products
        self._masters_summed(calibration)
        trace = replace(product.trace, verb="calibrated")
        if self._is_there(path, frame, trace, product.dtypes):
            return self._passed_over(frame, path), None
        if (text := too_low(frame, calibration, self._sample)) is not None:
            warn(text, "below-zero", frames=(frame.path,))
        self.options.make_folder(os.path.dirname(os.path.abspath(path)))
        header = light_header(frame, cards_of(frame, calibration, found) | self.cards)
        known, verify = dict(self._sums), self.options.verify
        sink = LightSink(product, path, header, known=known, verify=verify)
        goes = self._make(recipe, sink, notes)
        next(goes)
        return goes, named(calibration) + _levels(found, calibration)

    def _passed_over(self, frame: Frame, path: str) -> Iterator[None]:
        yield
        data = {"path": os.path.abspath(path), "what": "light", "made": False}
        self.report.know("products", data | {"kind": "light", "frames": [frame.path]})

    def _sample(self, master: Frame) -> Any:
        """Some rows of a master, read once."""
        if master.path not in self._samples:
            self._samples[master.path] = sample(master, ROWS)
        return self._samples[master.path]

    def _scaled(self, frame: Frame, c: Calibration) -> Calibration:
        """With the k of the light."""
        assert c.dark is not None
        colours = colours_of(frame)
        key = c.dark.path, colours, c.dark_holds_bias and c.bias
        try:
            if key not in self._hot:
                self._hot[key] = hot_pixels(c, colours)
            return scaled_by(frame, c, self._hot[key], robust=self.scale != "ls")
        except PulsarError as error:
            if not self.fallback or not frame.exposure or not c.dark.exposure:
                raise
            k = frame.exposure / c.dark.exposure
            text = f"{error.text}; taken by exposure: k = {k:.4g}"
            warn(text, "dark-scale", frames=(frame.path,))
            return with_scale(c, k, f"by exposure, {frame.exposure:g} s of {c.dark.exposure:g} s")

    def _fit(self, frame: Frame, calibration: Calibration) -> Fit:
        colours = colours_of(frame)
        if colours is not None and colours.unknown:
            what = f"{colours.unknown} is no known pattern of colours"
            said = f"{frame.name}: {what}, a 2 x 2 one is taken"
            warn(said, "colours", frames=(frame.path,))
        c = calibration
        key = (tuple(f.path for _, f in c.images), c.level, c.lists, c.origin_top,
               c.flat_floor, c.one_level, frame.shape, colours)  # fmt: skip
        if key not in self._fits:
            self._looked = Ledger()
            found = fit(c, frame.shape, colours, gigabytes=self.options.memory, ledger=self._looked)
            if (text := told_of(found, calibration.flat)) is not None:
                self.report.say(text)
            self._fits[key] = found
        return self._fits[key]

    def _dtype(self, frame: Frame) -> str:
        if self.dtype != "input":
            return self.dtype or default_dtype([frame])
        native = str(frame.pixels.native)
        return {"int8": "int16", "uint64": "float64", "int64": "float64"}.get(native, native)

    def _masters_summed(self, calibration: Calibration) -> None:
        """Take the sums of masters once; say what does not match."""
        new = [f for _, f in calibration.images if f.key not in self._sums]
        if new:
            sums, remarks = check_sums(new, self._looked, 1)
            self._sums |= sums
            for remark in remarks:
                warn(remark)

    def _is_there(self, path: str, frame: Frame, trace: Trace, dtypes: Any) -> bool:
        """Whether the output is there and was made of the same files, in the same way.

        Raises
        ------
        PulsarError
            It is one of ours, and not a calibration of this light.
        """
        there = what_is_there(path)
        if there is None:
            return False
        sums = self.sum_of(frame)
        if not there.is_of(frame, sums):
            if self.options.overwrite:
                return False
            raise PulsarError(
                f"{printable(path)} is there and is no calibration of {frame.name}; it is kept. "
                "Name another output, or add ⟦overwrite⟧",
                "output",
            )
        if there.same(trace, dtypes, self._sums | {frame.key: sums}):
            return True
        self.report.say(f"{printable(path)} was made of other files or in another way: again")
        return False

    def sum_of(self, light: Frame) -> Sums:
        """The sums of a light's pixels, which tell it from others; taken once."""
        if light.path not in self._of_lights:
            self._of_lights[light.path] = pixel_sums(light)
        return self._of_lights[light.path]

    def _make(self, recipe: Recipe, sink: LightSink, notes: list[str]) -> Iterator[Run]:
        (product,) = recipe.products
        frame = product.frames[0]

        def seen(run: Run) -> None:
            def say(text: str, code: str) -> None:
                warn(f"{printable(sink.path)}: {text}", code, frames=(frame.path,))

            if sink.saturated:
                pixels = count(sink.saturated, "saturated pixel")
                say(f"{pixels} in {frame.name}", "saturated")
            if lost := sink.file.missing:
                what = "has no value" if lost == 1 else "have no value"
                say(f"{count(lost, 'pixel')} {what}", "missing-pixels")
            if sink.file.clipped:
                pixels = count(sink.file.clipped, "pixel")
                say(f"{pixels} did not fit {sink.dtype}, clipped", "clipped")

        quiet = replace(self.options, quiet=not self.options.verbose, verbose=False).report()
        options = replace(self.options, warnings=notes)
        return files_in_goes(
            recipe,
            [sink],
            self.executor,
            options,
            quiet,
            inputs=self._near(sink.path, recipe),
            found=seen,
            summed=[frame],
        )

    def _near(self, path: str, recipe: Recipe) -> list[str]:
        """Of the inputs those that may be this output: in its folder, or with other links."""
        folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
        paths = [*self.inputs, *(f.path for f in recipe.frames)]
        paths += [s.path for s in recipe.products[0].sources]
        return [p for p in dict.fromkeys(paths) if _may_be(p, folder)]


def _may_be(path: str, folder: str) -> bool:
    try:
        linked = os.stat(path).st_nlink > 1
    except OSError:
        linked = False
    return linked or os.path.dirname(os.path.realpath(path)) == folder


def _levels(found: Fit, calibration: Calibration) -> str:
    if calibration.flat is None:
        return ""
    return " M=" + ",".join(f"{v:g}" for plane in found.levels for v in plane)


def plain_of(asked: dict[str, Any], **more: Any) -> Calibration:
    """What is the same for all lights."""
    same = ("pedestal", "flat_floor", "one_level", "bad")
    return Calibration(
        origin_top=asked["origin"] == "top",
        errors=asked["uncertainty"],
        **{n: asked[n] for n in same},
        **more,
    )
