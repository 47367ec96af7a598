"""``makedark input_spec [bias_spec]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pulsar_dask import combine
from pulsar_dask.errors import count
from pulsar_dask.frames.frame import Frame
from pulsar_dask.inputs.words import as_texts
from pulsar_dask.kernels.highest import HOT_PIXELS
from pulsar_dask.masters.dark import dark_recipe
from pulsar_dask.masters.darks import Darks, gather_darks
from pulsar_dask.tools.levels import surveying, without_odd
from pulsar_dask.tools.masters import hint_at_number, make_masters
from pulsar_dask.tools.options import Options, lists_in, telling


@telling
def makedark(
    spec: Sequence[str], *, bias: str | None, hot_pixels: int | None, options: Options
) -> None:
    """Make master darks and their lists."""
    report = options.report()
    darks = gather_darks(spec, bias, options.search, options.combine)
    report.passed_over(darks.passed, darks.unused)
    wanted = HOT_PIXELS if hot_pixels is None else hot_pixels
    method = combine.method(options.combine)

    def make(leaving: frozenset[str]) -> None:
        recipe = dark_recipe(
            {e: _left(group, leaving) for e, group in darks.groups.items()},
            replace(darks.bias, frames=_left(darks.bias.frames, leaving)),
            method,
            ("image", *options.planes),
            surveying(options),
        )
        make_masters(
            recipe,
            executor,
            options,
            report,
            inputs=[*(f.path for f in darks.frames), *lists_in([*as_texts(spec), bias or ""])],
            lists={p.name: wanted for p in recipe.products if p.kind == "dark"},
            what=_darks_and_bias(darks),
            hint=hint_at_number(hot_pixels, darks.frames[0]),
            again=bool(leaving),
        )

    with options.executor() as executor:
        without_odd(make)


def _left(frames: Sequence[Frame], leaving: frozenset[str]) -> tuple[Frame, ...]:
    return tuple(f for f in frames if f.path not in leaving)


def _darks_and_bias(darks: Darks) -> str:
    bias = len(darks.bias.frames)
    what = count(len(darks.frames) - bias, "dark")
    return f"{what} and {count(bias, 'bias frame')}" if bias else what
