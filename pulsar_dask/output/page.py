"""A report as a page: one file of HTML that needs nothing else, no network and no script."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from pulsar_dask._version import CREATOR, __version__
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.output.template import filled

#: Begins each report, so that it is known as one.
_GENERATOR = f'<meta name="generator" content="{CREATOR} '
_ENDINGS = re.compile(r"[^/\\]\.html?$", re.IGNORECASE)


def check_page(path: str, *, overwrite: bool | None) -> None:
    """Refuse a report that would harm something, or cannot be written; `overwrite` as `write_page`
    has it.

    Raises
    ------
    PulsarError
    """
    name = printable(path)
    if not _ENDINGS.search(path):
        raise PulsarError(f"{name}: a report is a .html file; name it so", "output")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise PulsarError(
            f"{name}: the folder {printable(folder)} does not exist; make it first", "output"
        )
    if os.path.isdir(path):
        raise PulsarError(f"{name} is a folder; name a file", "output")
    if os.path.lexists(path) and not overwrite and not is_page(path):
        way_out = "" if overwrite is None else ", or replace it with ⟦overwrite⟧"
        raise PulsarError(
            f"{name} was not written by {CREATOR}, so it is kept; name another report{way_out}",
            "output",
        )


def is_page(path: str) -> bool:
    """Whether a file is a report of this program."""
    try:
        with open(path, "rb") as file:
            return _GENERATOR.encode() in file.read(1024)
    except OSError:
        return False


def write_page(path: str, content: Mapping[str, Any], *, overwrite: bool | None) -> None:
    """Write a report, whole or not at all.

    Parameters
    ----------
    path : str
    content : mapping
        What `page.html` shows.
    overwrite : bool or None
        Whether a file of others may be replaced; None: that cannot be asked for.

    Raises
    ------
    PulsarError
        It cannot be written.
    """
    with AtomicFile(path) as file:
        # names of files may hold what is no text
        file.write_at(page(content).encode("utf-8", "backslashreplace"), 0)
        file.commit(lambda: check_page(path, overwrite=overwrite))


def page(content: Mapping[str, Any]) -> str:
    """The text of a page; what is no markup in it is escaped."""
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as file:
        template = file.read()
    generator = f"{CREATOR} {__version__}"
    return filled(template, {"generator": generator, "version": __version__, **content})
