"""``calibrate input_spec output -d dark …``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import click

from pulsar_dask.errors import PulsarError, count, printable, terminal_text
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.passed import why_passed
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.lightmasters import Wanted
from pulsar_dask.masters.search import Search
from pulsar_dask.tools.lights import STEPS, Calibrating
from pulsar_dask.tools.options import Options, lists_in, telling


def wanted_of(asked: dict[str, Any], search: Search) -> Wanted:
    """What was asked for on a command line."""
    plain = Calibration(
        lists=tuple(asked["lists"]),
        origin_top=asked["origin"] == "top",
        **{n: asked[n] for n in ("level", "pedestal", "flat_floor", "one_level", "bad")},
        errors=asked["uncertainty"],
    )
    more = ("dark", "bias", "flat", "no_bias", "bias_in_dark", "master_scale")
    by_exposure = asked["scale_dark"] == "exposure"
    return Wanted(search, by_exposure=by_exposure, plain=plain, **{n: asked[n] for n in more})


@telling
def calibrate(spec: Sequence[str], output: str, *, asked: dict[str, Any], options: Options) -> None:
    """Calibrate lights; `asked` are the options of its command line."""
    report = options.report()
    wanted = wanted_of(asked, options.search)
    if (
        wanted.dark is None
        and wanted.bias is None
        and wanted.flat is None
        and not wanted.plain.lists
    ):
        raise PulsarError("nothing to calibrate with; give ⟦dark⟧, ⟦bias⟧, ⟦flat⟧ or ⟦cosme⟧")
    found = options.search.frames(spec)
    lights = [f for f in found.frames if not f.is_master and f.kind in ("light", "other", None)]
    if not lights:
        lights = [f for f in found.frames if f.path in found.inputs.explicit]
    passed = [f for f in found.frames if f not in lights]
    report.passed_over(why_passed([*passed, *found.planes]), [*passed, *found.planes])
    if not lights:
        raise PulsarError(
            f"no lights in {', '.join(map(printable, spec[:3]))}; name them one by one"
        )
    masters = wanted.masters()
    images = [f.path for f in (masters.bias, masters.dark, masters.flat) if isinstance(f, Frame)]
    outputs = output_names(output, lights)
    if len(outputs) > 1 and not _is_folder(output):
        report.say(f"{printable(outputs[0])} to {os.path.basename(outputs[-1])} are written")
    failed = there = 0

    def chosen(light: Frame) -> Calibration:
        calibration = masters.of(light)
        if not asked["again"]:
            _check_steps(light, {role for role, _ in calibration.images})
        return calibration

    with options.executor() as executor:
        run = Calibrating(
            options,
            report,
            executor,
            inputs=[*(f.path for f in lights), *images, *wanted.plain.lists, *lists_in(spec)],
            dtype=asked["dtype"],
            noise=(asked["egain"], asked["read_noise"]),
        )
        for number, (light, path) in enumerate(zip(lights, outputs, strict=True), 1):
            try:
                done = run.calibrate_light(light, path, chosen)
            except PulsarError as error:
                if len(lights) == 1 or options.debug or options.strict:
                    raise
                failed += 1
                click.echo(terminal_text(f"error: {light.name}: {error.on_command_line}"), err=True)
                continue
            there += done is None
            what = "is there, of the same files" if done is None else f"| {done}"
            report.say(f"[{number}/{len(lights)}] {light.name} -> {printable(path)} {what}")
    again = f", {count(there, 'light')} there already" if there else ""
    report.say(f"{count(len(lights) - failed - there, 'light')} calibrated{again}")
    report.end()
    if failed:
        raise PulsarError(f"{failed} of {count(len(lights), 'light')} could not be calibrated")


def _check_steps(light: Frame, roles: set[str]) -> None:
    """Refuse a step that was done to a light already."""
    done = (light.about.calibrated or "").upper()
    match = re.match(r"CALSTAT '([A-Z]*)'", done)
    twice = [role for role in sorted(roles) if match and STEPS[role] in match[1]]
    if twice:
        raise PulsarError(
            f"{printable(light.path)}: its {' and '.join(twice)} were taken out already "
            f"({light.about.calibrated}); name the raw frame, or insist with ⟦again⟧"
        )


def _is_folder(output: str) -> bool:
    return os.path.isdir(output) or output.endswith(("/", os.sep))


def output_names(output: str, lights: Sequence[Frame]) -> list[str]:
    """Paths of calibrated lights.

    In a folder they have the names of the lights; one light has the name that is given, several
    are counted on from the digits of ``name0001.fit``, or from 1.

    Raises
    ------
    PulsarError
        Two would have one name.
    """
    if _is_folder(output):
        names = [re.sub(r"\.(fz|gz)$", "", os.path.basename(f.path), flags=re.I) for f in lights]
        seen: dict[str, Frame] = {}
        for light, name in zip(lights, names, strict=True):
            other = seen.setdefault(name.casefold(), light)
            if other is not light:
                raise PulsarError(
                    f"{printable(other.path)} and {printable(light.path)} would both be "
                    f"{printable(name)}; calibrate them into two folders"
                )
        return [os.path.join(output, name) for name in names]
    if not FITS_NAME.search(output) or re.search(r"\.(fz|gz)$", output, re.IGNORECASE):
        raise PulsarError(
            f"{printable(output)}: a calibrated light is a .fit, .fits or .fts; name it so, or a "
            "folder that is there"
        )
    if len(lights) == 1:
        return [output]
    root, ending = os.path.splitext(output)
    digits = re.search(r"\d+$", root)
    start, width = (int(digits[0]), len(digits[0])) if digits else (1, 4)
    stem = root[: digits.start()] if digits else root
    return [f"{stem}{start + i:0{width}}{ending}" for i in range(len(lights))]
