"""Outputs of one run that take their names together, or none of them does.

What the names hold before is kept under a further name, in a temporary folder that says for
which names and against which new files it is kept. Until that folder is settled, an error, or
the next run after a kill, puts all of it back; afterwards it is only removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pulsar_dask.errors import PulsarError
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.files.disk import failure, sync_folder
from pulsar_dask.files.held import Folder
from pulsar_dask.files.interrupts import uninterrupted
from pulsar_dask.files.part import Part

Check = Callable[[], None]
"""Raises PulsarError if a name may not be taken."""

#: Outputs of this process that have their names, for the message of an interrupt.
DONE: list[str] = []


class Sealed(Protocol):
    """An output that waits for its name: a master, a list, a store."""

    def commit(self, check: Check | None = None, *, wait: bool = True) -> None: ...


def commit_all(outputs: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Give sealed outputs their names.

    Parameters
    ----------
    outputs : mapping
        By path, all in one folder: each an `AtomicFile` or what has one as `file`; one alone may
        be any `Sealed`. None: what has this name goes away.
    checks : mapping
        Of each path; asked at the beginning, and at the naming where nothing has the name yet.

    Raises
    ------
    PulsarError
        One of them cannot take its name; then none has.
    """
    outputs = {path: x for path, x in outputs.items() if x is not None or os.path.lexists(path)}
    there = {path for path in outputs if os.path.lexists(path)}
    for path in outputs:
        checks[path]()
    asked = {path: None if path in there else checks[path] for path in outputs}
    if len(outputs) == 1:
        for path, output in outputs.items():
            output.commit(asked[path])
        return
    files = {path: output and _file(output) for path, output in outputs.items()}
    with uninterrupted():
        _commit(files, asked)


def _file(output: Any) -> AtomicFile:
    return output if isinstance(output, AtomicFile) else _file(output.file)


def _commit(files: Mapping[str, AtomicFile | None], checks: Mapping[str, Check | None]) -> None:
    first = next(iter(files))
    names = {os.path.basename(p): file.identity() if file else None for p, file in files.items()}
    try:
        part = Part(os.path.abspath(first), names)
    except OSError as error:
        raise failure(first, error) from error
    path = first
    try:
        with part.keep_folder() as old:
            moved = [
                path
                for path, file in files.items()
                if file is None or not _keep(part, old, os.path.basename(path))
            ]
            for path, file in files.items():
                name = os.path.basename(path)
                if path in moved:
                    part.beside.move(name, old, name)
                if file is not None:
                    file.commit(checks[path], wait=False, part=part)
        path = first
        part.settle()
        sync_folder(os.path.dirname(os.path.abspath(first)))
    except BaseException as error:
        _give_back(part, error)
        if isinstance(error, OSError):
            raise failure(path, error) from error
        raise
    finally:
        part.close()


def _keep(part: Part, old: Folder, name: str) -> bool:
    """Give what has a name a further one; False where it can only be moved."""
    try:
        part.beside.link(name, old, name)
    except OSError:  # no such links in this file system, or nothing to keep
        return part.beside.stat(name) is None
    return True


def _give_back(part: Part, error: BaseException) -> None:
    try:
        part.put_back()
    except OSError as worse:
        raise PulsarError(
            f"{getattr(error, 'text', error)}\n"
            f"what was there before cannot be put back ({worse.strerror}): it is in {part.path}, "
            "and the next run in that folder tries again",
            "write",
        ) from error
