"""``makeflat input_spec [target_median]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pulsar_dask import combine
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.errors import PulsarError, count
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import Group
from pulsar_dask.inputs.numbers import MOST_ADU, as_number
from pulsar_dask.inputs.words import as_texts
from pulsar_dask.masters.calibrated import TARGET_MEDIAN
from pulsar_dask.masters.darkgroup import Dark
from pulsar_dask.masters.darks import Darks
from pulsar_dask.masters.flat import flat_recipe
from pulsar_dask.masters.flats import gather_flats
from pulsar_dask.masters.groups import Failures
from pulsar_dask.tools.levels import surveying
from pulsar_dask.tools.masters import made_frame, make_bias, make_by_group, make_darks
from pulsar_dask.tools.options import Options, lists_in, telling


@telling
def makeflat(
    spec: Sequence[str],
    *,
    target: float | None,
    dark: str | None,
    bias: str | None = None,
    hot_pixels: str | None,
    origin_top: bool = False,
    options: Options,
) -> None:
    """Make master flats."""
    report = options.report()
    spec = list(spec)
    if target is None and len(spec) > 1 and (number := as_number(spec[-1])) is not None:
        target = number
        spec = spec[:-1]
    target = TARGET_MEDIAN if target is None else target
    if not 1 / MOST_ADU < target < MOST_ADU:
        raise PulsarError(
            f"target median {target:g}: give a positive number of ADU, such as 5000", "argument"
        )
    # what the errors of flats are made of
    errors = replace(options, planes=tuple(p for p in options.planes if p == "uncertainty"))
    with options.executor() as executor:

        def dark_flats(groups: Sequence[Group]) -> list[Frame]:
            darks = tuple(Dark(group.name, group.frames) for group in groups)
            make_darks(Darks(darks, tuple(groups), Failures()), executor, errors, report)
            return [made_frame(group, "dark", options) for group in groups]

        def combined(group: Group) -> Frame:
            make_bias(group, executor, errors, report)
            return made_frame(group, "bias", options)

        flats = gather_flats(
            spec,
            dark=dark,
            bias=bias,
            hot_pixels=hot_pixels,
            origin_top=origin_top,
            search=options.search,
            memory=options.memory,
            method=options.combine,
            folder=options.output_dir,
            make_darks=dark_flats,
            make_bias=combined,
        )
        report.passed_over(flats.passed, flats.unused)

        def recipe(names: Sequence[str], leaving: frozenset[str]) -> Recipe:
            return flat_recipe(
                {name: flats.groups[name].without(leaving) for name in names},
                combine.method(options.combine, options.numbers),
                target=target,
                threads=executor.slots,
                planes=("image", *options.planes),
                calibration=flats.calibration,
                surveyed=surveying(options),
            )

        lists = [s.path for trace in flats.calibration.values() for s in trace.sources]
        biases = as_texts(bias) if bias else []
        paths = [*(f.path for f in flats.frames + flats.darks), *lists, *lists_in([*spec, *biases])]
        make_by_group(
            flats.sorted,
            list(flats.groups),
            recipe,
            executor,
            options,
            report,
            failures=flats.failures,
            inputs=paths,
            what=lambda names: count(sum(len(flats.groups[n].frames) for n in names), "frame"),
        )
