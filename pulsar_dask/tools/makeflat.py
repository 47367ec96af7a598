"""``makeflat input_spec [target_median]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pulsar_dask import combine
from pulsar_dask.errors import PulsarError, count
from pulsar_dask.inputs.numbers import MOST_ADU, as_number
from pulsar_dask.masters.calibrated import TARGET_MEDIAN
from pulsar_dask.masters.flat import flat_recipe
from pulsar_dask.masters.flats import gather_flats
from pulsar_dask.tools.levels import surveying, without_odd
from pulsar_dask.tools.masters import make_masters
from pulsar_dask.tools.options import Options, lists_in, telling


@telling
def makeflat(
    spec: Sequence[str],
    *,
    target: float | None,
    dark: str | None,
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
        raise PulsarError(f"target median {target:g}: give a positive number of ADU, such as 5000")
    flats = gather_flats(
        spec,
        dark=dark,
        hot_pixels=hot_pixels,
        origin_top=origin_top,
        search=options.search,
        memory=options.memory,
        method=options.combine,
    )
    report.passed_over(flats.passed, flats.unused)
    lists = [s.path for trace in flats.calibration.values() for s in trace.sources]
    paths = [*(f.path for f in flats.frames + flats.darks), *lists, *lists_in(spec)]

    def make(leaving: frozenset[str]) -> None:
        groups = {
            code: replace(group, frames=tuple(f for f in group.frames if f.path not in leaving))
            for code, group in flats.groups.items()
        }
        recipe = flat_recipe(
            groups,
            combine.method(options.combine),
            target=target,
            threads=executor.slots,
            planes=("image", *options.planes),
            calibration=flats.calibration,
            surveyed=surveying(options),
        )
        make_masters(
            recipe,
            executor,
            options,
            report,
            inputs=paths,
            what=count(len(flats.frames), "frame"),
            again=bool(leaving),
        )

    with options.executor() as executor:
        without_odd(make)
