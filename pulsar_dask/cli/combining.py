"""Options that say how frames are combined, and what is made of each pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pulsar_dask import combine
from pulsar_dask.cli.number import Number, options
from pulsar_dask.frames.layouts import BESIDE, LAYOUTS
from pulsar_dask.frames.planes import PLANES, wanted_planes


def _planes(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    try:
        return wanted_planes(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _number(
    name: str, what: str, low: float, *, whole: bool = False, unit: str = "SIGMA", methods: str
) -> Any:
    return click.option(
        f"--{name}",
        type=Number(low, 1e6, what, whole=whole),
        metavar="N" if whole else unit,
        help=f"Of {methods}: {what}.",
    )


_BY_SCALE = "sigclip, winsorized, ccdclip"
#: The method and its numbers; what a method does not have, it refuses.
combine_option = options(
    click.option(
        "--combine",
        type=click.Choice(combine.names()),
        default="median",
        help="How the frames are combined. A mean of what is left when outliers are gone "
        "(auto: ccdclip, or what serves the frames) has about a fifth less noise than a median, "
        "and a third to a half less where values are coarse. [default: median]",
    ),
    _number("low", "scales below the centre beyond which values go", 0.1, methods=_BY_SCALE),
    _number("high", "scales above the centre beyond which values go", 0.1, methods=_BY_SCALE),
    _number("maxiters", "how often at most values go", 1, whole=True, methods=_BY_SCALE),
    _number("nkeep", "how many values stay at least", -1e6, whole=True, methods=_BY_SCALE),
    _number("nlow", "how many of the lowest values go", 0, whole=True, methods="minmax"),
    _number("nhigh", "how many of the highest values go", 0, whole=True, methods="minmax"),
    _number("rdnoise", "the read noise, electrons", 0, unit="E", methods="ccdclip"),
    _number("gain", "electrons per ADU", 1e-6, unit="G", methods="ccdclip"),
    _number("offset", "the level without light, ADU", -1e6, unit="ADU", methods="ccdclip"),
    click.option("--center", type=click.Choice(["median", "mean"]), help="Of sigclip: the centre."),
)


def planes_option(also: str = "") -> Callable[[Callable[..., Any]], Any]:
    """``--planes``; `also` says where they go beside the usual file."""
    where = "NAME.planes.fit" + (f", {also}" if also else "")
    known = ", ".join(f"{plane.name} ({plane.words})" for plane in PLANES.values())
    return options(
        click.option(
            "--planes",
            metavar="NAME,…",
            callback=_planes,
            help=f"What else is written of each pixel, beside the master as {where}: {known}; "
            "all takes each of them.",
        ),
        click.option(
            "--layout",
            type=click.Choice(LAYOUTS),
            default=BESIDE,
            help="Where planes go: beside, as above; or ccddata, into the master's own file as "
            "extensions, with uncertainty, mask and quality, as astropy's CCDData.read takes them. "
            "[default: beside]",
        ),
    )
