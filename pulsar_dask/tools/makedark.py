"""``makedark input_spec [bias_spec]``."""

from __future__ import annotations

from collections.abc import Sequence

from pulsar_dask import combine
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor
from pulsar_dask.errors import count
from pulsar_dask.inputs.words import as_texts
from pulsar_dask.kernels.highest import HOT_PIXELS
from pulsar_dask.masters.dark import Dark, dark_recipe
from pulsar_dask.masters.darks import Darks, gather_darks
from pulsar_dask.tools.bygroup import make_by_group
from pulsar_dask.tools.masters import hint_at_number
from pulsar_dask.tools.options import Options, lists_in, telling


@telling
def makedark(
    spec: Sequence[str], *, bias: str | None, hot_pixels: int | None, options: Options
) -> None:
    """Make master darks and their lists."""
    report = options.report()
    darks = gather_darks(spec, bias, options.search, options.combine)
    report.passed_over(darks.passed, darks.unused)
    with options.executor() as executor:
        make_darks(
            darks,
            executor,
            options,
            inputs=lists_in([*as_texts(spec), bias or ""]),
            hot_pixels=hot_pixels,
        )


def make_darks(
    darks: Darks,
    executor: Executor,
    options: Options,
    *,
    inputs: Sequence[str] = (),
    hot_pixels: int | None = None,
) -> None:
    """Make darks that were found, and their lists; `inputs` are further files that are read."""
    wanted = HOT_PIXELS if hot_pixels is None else hot_pixels
    method = combine.method(options.combine)

    def recipe(names: Sequence[str]) -> Recipe:
        chosen = [dark for dark in darks.darks if dark.name in names]
        return dark_recipe(chosen, method, ("image", *options.planes))

    make_by_group(
        {group.name: group for group in darks.groups},
        [dark.name for dark in darks.darks],
        recipe,
        executor,
        options,
        options.report(),
        failures=darks.failures,
        inputs=[*(f.path for f in darks.frames), *inputs],
        lists={dark.name: wanted for dark in darks.darks},
        what=lambda names: _darks_and_bias([d for d in darks.darks if d.name in names]),
        hint=hint_at_number(hot_pixels, darks.frames[0]),
    )


def _darks_and_bias(darks: Sequence[Dark]) -> str:
    bias = len({f.path for dark in darks for f in dark.bias.frames})
    what = count(sum(len(dark.frames) for dark in darks), "dark")
    return f"{what} and {count(bias, 'bias frame')}" if bias else what
