"""Masters in folders, and which of them serve a light."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

from pulsar_dask.frames.table import using
from pulsar_dask.inputs.checks import check_switch
from pulsar_dask.inputs.flatlog import read_log
from pulsar_dask.inputs.words import as_text, as_texts
from pulsar_dask.masters.choice import Rules
from pulsar_dask.masters.library import Library, find_masters
from pulsar_dask.masters.search import Search, is_number
from pulsar_dask.notebook.arguments import Ask, check_number, in_words

Path = str | os.PathLike[str]


@in_words
def library(
    places: Path | Iterable[Path],
    *,
    bias: Path | float | None = None,
    flatlog: Path | None = None,
    flat_future_days: float = 2.0,
    nearest_dark: bool = False,
    temperature_tolerance: float | None = None,
    l_flat: bool = False,
    latest: bool = False,
    no_bias: bool = False,
    search: Search | None = None,
) -> Library:
    """The masters in folders, by what their headers say; `match` tells which serve a light.

    Parameters
    ----------
    places : path or iterable of paths
        Folders, which are looked through with all folders in them, or files.
    bias : path or number, optional
        The bias of darks that do not name their own: a file, a folder, or ADU; by default the
        nearest in time that agrees.
    flatlog : path, optional
        The log of `newflat`.
    flat_future_days : float
        Days after a light up to which a flat serves it, where no log says more.
    nearest_dark, l_flat, latest, no_bias : bool
        As the options of `autocalibrate`.
    temperature_tolerance : float, optional
        °C beyond which a dark is not taken.
    search : Search, optional
        Which settings may differ (``mix``), and how keywords are read.

    Returns
    -------
    Library
        With `darks`, `flats`, `biases`, and ``match(frame)``, whose `Choice` has `dark`, `k`,
        `bias`, `flat`, `list`, `notes`, `missing` and `reasons`. Only headers are read.

    Raises
    ------
    PulsarError
        A folder is not there, or the log cannot be read.

    Examples
    --------
    >>> choice = library("masters/").match(scan_frame("light_0001.fit"))  # doctest: +SKIP
    """
    check_number("flat_future_days", flat_future_days, "days as a number, such as 2", above=-1e-9)
    if temperature_tolerance is not None:
        give = "degrees as a number, such as 2"
        check_number("temperature_tolerance", temperature_tolerance, give, above=-1e-9)
    switches = {"nearest_dark": nearest_dark, "l_flat": l_flat, "latest": latest}
    for name, switch in (switches | {"no_bias": no_bias}).items():
        check_switch(name, switch)
    search = Ask.of({"search": search}).search
    words = as_texts(places, "places")
    level = float(bias) if is_number(bias) else None
    if level is not None:
        check_number("bias", level, "ADU as a number, such as 800", above=-math.inf)
    text = as_text(bias, "bias") if bias is not None and level is None else None  # type: ignore[arg-type]
    expression = text if text is not None and text.startswith("=") else None
    given = [text] if text is not None and expression is None else []
    rules = Rules(
        ways=search.ways,
        table=search.table,
        nearest_dark=nearest_dark,
        latest=latest,
        future_days=flat_future_days,
        log=None if flatlog is None else tuple(read_log(as_text(flatlog, "flatlog"))),
        l_flat=l_flat,
        temperature_tolerance=temperature_tolerance,
        bias=level if expression is None else expression,
        no_bias=no_bias,
    )
    with using(search.table):
        return find_masters(words, words, given, rules=rules)
