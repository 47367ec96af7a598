"""What may be replaced: never an input, and what is the user's only when they say so."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterable

from pulsar_dask._version import CREATOR
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.storeseal import store_is_ours, what_happened
from pulsar_dask.inputs.same import Same
from pulsar_dask.kernels.checksum import is_as_written
from pulsar_dask.output import ownlists

#: What to ask where the last of the inputs may be meant as one.
OUTPUT_LAST = 'Is the name of the output missing? It comes last: med "bias*.fit" master_bias.fit'
_END = b"END".ljust(80)


def check_output(
    path: str,
    inputs: Iterable[str],
    *,
    overwrite: bool,
    resumes: bool = False,
    lines: int | None = None,
    own_names: bool = False,
) -> None:
    """Refuse an output that would harm something.

    Parameters
    ----------
    path : str
        The output.
    inputs : iterable of str
        Files that are read: neither they nor their numbered sequences are ever replaced.
    overwrite : bool
        Whether other files may be replaced that this program did not write, or that are
        read-only.
    resumes : bool
        Whether a store of this program is gone on with rather than replaced.
    lines : int, optional
        Of a list: how many it will have; None: one of any length may be replaced.
    own_names : bool
        Whether it is the tool that names its outputs.

    Raises
    ------
    PulsarError
    """
    name = printable(path)
    other = "rename it" if own_names else "name another output"
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise PulsarError(f"{name}: the folder {printable(folder)} does not exist; make it first")
    related = set(map(Same(path).relation, inputs))
    if "file" in related:
        elsewhere = "choose another ⟦output_dir⟧" if own_names else other
        raise PulsarError(f"{name} is an input; an input is never replaced, {elsewhere}")
    if "sequence" in related:
        raise PulsarError(
            f"{name} belongs to the numbered sequence of the inputs, which is never written to. "
            f"{OUTPUT_LAST}"
        )
    if os.path.isdir(path) and not path.lower().endswith(".zarr"):
        raise PulsarError(
            f"{name} is a folder, and no file takes its place; name a file, such as "
            f"{printable(os.path.join(path, 'master.fit'))}"
        )
    if not os.path.lexists(path) or (overwrite and not os.path.isdir(path)):
        return
    if not (is_ours(path, changed=overwrite) or ownlists.has_form(path, lines)):
        what = f"exists and was not written by {CREATOR}"
        if is_ours(path, changed=True):
            what = what_happened(path, CREATOR)
        elif ownlists.has_form(path, None):
            what += ", or changed since: no master beside it vouches for what it lists"
        raise PulsarError(f"{name} {what}; {other} or add ⟦overwrite⟧")
    if not (overwrite or resumes) and _is_read_only(path):
        raise PulsarError(f"{name} is read-only; {other} or add ⟦overwrite⟧")


def _is_read_only(path: str) -> bool:
    """Whether nobody may write to a file; root might write to any."""
    return not os.lstat(path).st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def is_ours(path: str, *, changed: bool = False) -> bool:
    """Whether a file (or Zarr store) is a master or a list that this program wrote.

    A list tells nothing of that, but a master of ours beside it may.

    A FITS master that somebody has changed since is theirs, unless `changed` ones count.
    """
    try:
        if os.path.isdir(path):
            return store_is_ours(path, CREATOR, changed=changed)
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(1 << 23)
        if ownlists.is_list(path, head):
            master = ownlists.master_of(path)
            return master is not None and is_ours(master) and ownlists.vouches(master, path)
        if not _is_created_here(head):
            return False
        status = os.stat(path)
        return changed or _is_as_written(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except OSError:
        return False


@functools.lru_cache(maxsize=64)
def _is_as_written(path: str, inode: int, size: int, mtime_ns: int) -> bool:
    return is_as_written(path)


def _is_created_here(head: bytes) -> bool:
    """Whether CREATOR in a primary header names this program."""
    cards = [head[i : i + 80] for i in range(0, len(head), 80)]
    if not head.startswith(b"SIMPLE  =") or _END not in cards:
        return False
    mine = f"CREATOR = '{CREATOR} ".encode()
    return any(card.startswith(mine) for card in cards[: cards.index(_END)])
