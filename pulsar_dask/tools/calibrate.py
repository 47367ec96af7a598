"""``calibrate input_spec output -d dark …``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.passed import why_passed
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.lightmasters import Wanted
from pulsar_dask.masters.search import Search
from pulsar_dask.tools.eachlight import calibrate_all, output_names
from pulsar_dask.tools.lightcards import STEPS
from pulsar_dask.tools.lights import Calibrating, plain_of
from pulsar_dask.tools.options import Options, lists_in, telling


def wanted_of(asked: dict[str, Any], search: Search) -> Wanted:
    """What was asked for on a command line."""
    plain = plain_of(asked, lists=tuple(asked["lists"]), level=asked["level"])
    more = ("dark", "bias", "flat", "no_bias", "bias_in_dark", "master_scale")
    by_exposure = asked["scale_dark"] == "exposure"
    fitted = asked["optimize"]
    return Wanted(
        search, by_exposure=by_exposure, fitted=fitted, plain=plain, **{n: asked[n] for n in more}
    )


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
            scale=asked["dark_scale"] if asked["optimize"] else None,
            fallback=asked["fallback"] is not None,
            noise=(asked["egain"], asked["read_noise"]),
        )
        outputs = output_names(output, lights, report)
        calibrate_all(lights, outputs, chosen, run.calibrate_light, options, report, "light")


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
