"""``makedark input_spec [bias_spec]``."""

from __future__ import annotations

from collections.abc import Sequence

from pulsar_dask.inputs.words import as_texts
from pulsar_dask.masters.darks import gather_darks
from pulsar_dask.tools.masters import listing, make_darks
from pulsar_dask.tools.options import Options, lists_in, telling


@telling
def makedark(
    spec: Sequence[str],
    *,
    bias: str | None,
    hot_pixels: int | None,
    options: Options,
    beyond: tuple[float | None, float | None] = (None, None),
) -> None:
    """Make master darks and their lists."""
    report, what = options.report(), listing(*beyond, False, hot_pixels)
    darks = gather_darks(spec, bias, options.search, options.combine)
    report.passed_over(darks.passed, darks.unused)
    with options.executor() as executor:
        make_darks(
            darks,
            executor,
            options,
            report,
            inputs=lists_in([*as_texts(spec), bias or ""]),
            hot_pixels=hot_pixels,
            beyond=what,
        )
