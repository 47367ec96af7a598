"""A report as a page: one file of HTML that needs nothing else, no network and no script."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any

from pulsar_dask._version import CREATOR, __version__
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.kernels import native

#: Begins each report, so that it is known as one.
_GENERATOR = f'<meta name="generator" content="{CREATOR} '
_ENDINGS = re.compile(r"[^/\\]\.html?$", re.IGNORECASE)


def check_page(path: str, *, overwrite: bool) -> None:
    """Refuse a report that would harm something, or cannot be written.

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
        raise PulsarError(
            f"{name} was not written by {CREATOR}, so it is kept; name another report, or replace "
            "it with ⟦overwrite⟧",
            "output",
        )


def is_page(path: str) -> bool:
    """Whether a file is a report of this program."""
    try:
        with open(path, "rb") as file:
            return _GENERATOR.encode() in file.read(1024)
    except OSError:
        return False


def write_page(path: str, content: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write a report, whole or not at all.

    Parameters
    ----------
    path : str
    content : mapping
        What `page.html` shows.
    overwrite : bool
        Whether a file of others may be replaced.

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
    text: str = _template().render(
        generator=f"{CREATOR} {__version__}", version=__version__, **content
    )
    return text


def get_ready() -> None:
    """Load what a page takes beside what is done meanwhile: half of the time of writing it."""
    threading.Thread(target=_ready, name="page", daemon=True).start()


def _ready() -> None:
    with contextlib.suppress(PulsarError):  # it is said when the page is written
        _template()


_LOCK = threading.Lock()


def _template() -> Any:
    with _LOCK:
        return _compiled()


@functools.cache
def _compiled() -> Any:
    """The template, ready to be filled; what jinja2 makes of it is kept beside the kernels' code,
    where nobody else can write: making it takes longer than all of a page."""
    try:
        from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:  # it comes with distributed
        raise PulsarError("a report needs Jinja2: pip install jinja2", "system") from error
    import jinja2

    place = os.path.dirname(__file__)
    made = os.stat(jinja2.__file__).st_mtime_ns
    made_by = f"{place} {jinja2.__file__} {made} {sys.version}".encode()
    name = f"page-{hashlib.sha256(made_by).hexdigest()[:32]}.code"

    class Kept(BytecodeCache):
        """It sees for itself whether it is of this page.html."""

        def load_bytecode(self, bucket: Any) -> None:
            if (content := native.find_kept(name)) is not None:
                bucket.bytecode_from_string(content)

        def dump_bytecode(self, bucket: Any) -> None:
            native.keep(name, bucket.bytecode_to_string())

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader(place),
        bytecode_cache=Kept(),
    )
    return environment.get_template("page.html")
