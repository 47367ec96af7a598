"""``autocalibrate raw… out darks flats``: lights with the masters that serve each of them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pulsar_dask.errors import note, warn
from pulsar_dask.frames.frame import Frame
from pulsar_dask.inputs.others import what_else
from pulsar_dask.inputs.words import FITS_NAME, has_mask, is_list, is_store
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.lightmasters import Masters, Wanted
from pulsar_dask.tools.choices import (
    find_lights,
    library_of,
    say_choices,
    say_library,
    why_chosen,
)
from pulsar_dask.tools.eachlight import calibrate_all
from pulsar_dask.tools.lightnames import light_names
from pulsar_dask.tools.lights import Calibrating, plain_of
from pulsar_dask.tools.options import Options, lists_in, telling


@telling
def autocalibrate(
    spec: Sequence[str],
    output: str,
    darks: str,
    flats: str,
    *,
    asked: dict[str, Any],
    options: Options,
) -> None:
    """Calibrate lights; `asked` are the options of its command line."""
    report = options.report()
    if asked["bestflat"] or asked["selection"]:
        warn("--bestflat and --selection are not built: the flat that is nearest in time is taken")
        if options.debug:
            report.say("--debug shows where an error comes from; no pictures of flats are made")
    spec = list(map(as_list, spec))
    library = library_of([darks], [flats], asked, options.search)
    say_library(library, report)
    lights, unread = find_lights(spec, options.search, report, again=asked["again"])
    choices = {light.path: library.match(light) for light in lights}
    every = list(choices.values())
    options.page.chose({c.light.path: why_chosen(c) for c in every})
    without = unread + say_choices(every, library.rules, report, all_reasons=options.dry_run)
    plain = plain_of(asked)
    same = {n: asked[n] for n in ("no_bias", "bias_in_dark", "master_scale")}
    masters: dict[object, Masters] = {}
    said: set[object] = set()

    def chosen(light: Frame) -> Calibration:
        choice = choices[light.path]
        for text in choice.notes:
            # once for all lights of these masters, whatever their own figures
            key = choice.key, re.sub(r"[\d.]+", "", text)
            if key in said:
                note(f"{light.name}: {text}")
            else:
                warn(f"{light.name}: {text}", "calibrator", frames=(light.path,))
            said.add(key)
        if choice.key not in masters:
            lists = (choice.list,) if choice.list is not None else ()
            wanted = Wanted(
                options.search,
                by_exposure=choice.k != 1 and not asked["optimize"],
                fitted=asked["optimize"],
                plain=replace(plain, lists=lists),
                chosen=True,
                **same,
            )
            masters[choice.key] = Masters(wanted, choice.bias, choice.dark, choice.flat)
        return masters[choice.key].of(light)

    used = [f for c in every for f in (c.dark, c.flat, c.bias) if isinstance(f, Frame)]
    lists = [c.list for c in every if c.list is not None]
    cards: dict[str, tuple[Any, str]] = {"CALIB": ("AUTO", "masters were chosen by headers")}
    if options.search.filter is not None:
        cards["FILTER"] = (options.search.filter, "as it was given")
    with options.executor() as executor:
        run = Calibrating(
            options,
            report,
            executor,
            inputs=[f.path for f in (*lights, *used)] + lists + lists_in(spec),
            dtype=asked["dtype"],
            scale=asked["dark_scale"] if asked["optimize"] else None,
            fallback=asked["fallback"] is not None,
            noise=(asked["egain"], asked["read_noise"]),
            cards=cards,
        )
        outputs = light_names(lights, output, run.sum_of, pad=asked["pad"])
        left = [i for i, choice in enumerate(every) if choice.error is None]
        calibrate_all(
            [lights[i] for i in left],
            [outputs[i] for i in left],
            chosen,
            run.calibrate_light,
            options,
            report,
            "light",
            without,
        )


def as_list(word: str) -> str:
    """A word of the input: a file that is no image is a list of them."""
    known = FITS_NAME.search(word) or is_store(word) or is_list(word) or has_mask(word)
    return word if known or not os.path.isfile(word) or what_else([word]) else f"@{word}"
