"""What may be replaced: never an input, and what is the user's only when they say
so; whose a list is."""

from __future__ import annotations

import contextlib
import filecmp
import os
import re
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import IO, BinaryIO

from pulsar_dask._version import CREATOR
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.files.disk import failure
from pulsar_dask.frames.provenance import written_by
from pulsar_dask.inputs.same import Same
from pulsar_dask.kernels.checksum import adds_up

_PIXEL, _LINE = re.compile(rb"P \d+ \d+\r\n"), re.compile(rb"(?:P \d+ \d+|[CL] \d+ 0)\r\n")
_NAME = re.compile(r"cosme(.*)\.lst", re.DOTALL)
_MOST_KEPT = 1000
_AT_ONCE = 1 << 20
#: Bytes of a file in which its header is looked for; files of which it is known whose they are.
_HEAD, _MOST_KNOWN = 1 << 23, 64


def is_list(path: str, head: bytes) -> bool:
    """Whether a file, which begins with some bytes, is a list."""
    return path.lower().endswith(".lst") or head[:2] in (b"P ", b"C ", b"L ")


def has_form(path: str, lines: int | None) -> bool:
    """Whether a file is a list exactly as this program writes them; of so many pixels, and nothing
    else, if that is given."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            if not is_list(path, file.read(2)):
                return False
            file.seek(0)
            found = 0
            for line in iter(_line_of(file), b""):
                if not (_LINE if lines is None else _PIXEL).fullmatch(line):
                    return False
                found += 1
    except OSError:
        return False
    return lines is None or found == lines


def _line_of(file: IO[bytes]) -> Callable[[], bytes]:
    return lambda: file.readline(100)  # a file without lines is not held whole


def master_of(path: str) -> str | None:
    """The dark that a list was written with, if it is beside it."""
    folder, name = os.path.split(path)
    match = _NAME.fullmatch(name)
    master = os.path.join(folder, f"dark{match[1]}.fit") if match else ""
    return master if os.path.isfile(master) else None


def begins_alike(path: str, data: bytes) -> bool:
    """Whether of a list and of what is to take its place one begins as the other: more, or fewer,
    of the hottest pixels of one image."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(data))
    except OSError:
        return False
    return bool(head) and data.startswith(head)


def file_crc(path: str) -> int:
    """CRC-32 of a file, which sees the order of what is in it."""
    with open(path, "rb") as file:
        return _crc_of(file)


def _crc_of(file: IO[bytes]) -> int:
    total = 0
    file.seek(0)
    while part := file.read(_AT_ONCE):
        total = zlib.crc32(part, total)
    return total


# --- what is kept ----------------------------------------------------------------------------


@contextlib.contextmanager
def kept(paths: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
    """Keep files under the first free of the names NAME.bak, NAME.bak1 …; not for an error.

    Yields
    ------
    list of (str, str)
        Each path and the name that its content has now, too.
    """
    made: list[tuple[str, str]] = []
    new: list[str] = []
    try:
        for path in paths:
            made.append((path, _keep(path, new)))
        yield made
    except BaseException:
        for name in new:
            with contextlib.suppress(OSError):
                os.unlink(name)
        raise


def _keep(path: str, new: list[str]) -> str:
    for number in range(_MOST_KEPT):
        name = f"{path}.bak{number or ''}"
        try:
            if _same_content(path, name):
                return name
            _copy(path, name)
        except FileExistsError:
            continue
        except OSError as error:
            raise failure(name, error) from error
        new.append(name)
        return name
    raise PulsarError(
        f"{printable(path)}: it was to be kept, and {printable(path)}.bak to .bak{_MOST_KEPT - 1} "
        "are there; remove some, or add ⟦overwrite⟧",
        "output",
    )


def _same_content(a: str, b: str) -> bool:
    return os.path.isfile(b) and not os.path.islink(b) and filecmp.cmp(a, b, shallow=False)


def _copy(path: str, name: str) -> None:
    with contextlib.suppress(OSError):
        if not os.path.islink(path):
            os.link(path, name)
            return
    with open(path, "rb") as source, open(name, "xb") as copy:
        try:
            shutil.copyfileobj(source, copy)
        except OSError:
            os.unlink(name)
            raise


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
        raise PulsarError(
            f"{name}: the folder {printable(folder)} does not exist; make it first", "output"
        )
    related = set(map(Same(path).relation, inputs))
    if "file" in related:
        elsewhere = "choose another ⟦output_dir⟧" if own_names else other
        raise PulsarError(f"{name} is an input; an input is never replaced, {elsewhere}", "output")
    if "sequence" in related:
        raise PulsarError(
            f"{name} belongs to the numbered sequence of the inputs, which is never written to. "
            f"{OUTPUT_LAST}",
            "output",
        )
    if os.path.isdir(path) and not path.lower().endswith(".zarr"):
        raise PulsarError(
            f"{name} is a folder, and no file takes its place; name a file, such as "
            f"{printable(os.path.join(path, 'master.fit'))}",
            "output",
        )
    if not os.path.lexists(path) or (overwrite and not os.path.isdir(path)):
        return
    if not (is_ours(path, changed=overwrite) or has_form(path, lines)):
        what = f"exists and was not written by {CREATOR}"
        if is_ours(path, changed=True):
            from pulsar_dask.formats.storeseal import what_happened

            what = what_happened(path, CREATOR)
        elif has_form(path, None):
            what += ", or changed since: no master beside it vouches for what it lists"
        raise PulsarError(f"{name} {what}; {other} or add ⟦overwrite⟧", "output")
    if not (overwrite or resumes) and _is_read_only(path):
        raise PulsarError(f"{name} is read-only; {other} or add ⟦overwrite⟧", "output")


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
            from pulsar_dask.formats.storeseal import store_is_ours

            return store_is_ours(path, CREATOR, changed=changed)
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:  # once: another file may get the name meanwhile
            head = _head_of(file)
            if is_list(path, head):
                master = master_of(path)
                return master is not None and _vouches(master, os.path.basename(path), file)
            return _is_created_here(head) and (changed or _is_as_written(file))
    except OSError:
        return False


def _vouches(master: str, name: str, listed: IO[bytes]) -> bool:
    """Whether a master is ours and says that a list of that name was written with it as it is."""
    with open(master, "rb") as file:
        head = _head_of(file)
        if not (_is_created_here(head) and _is_as_written(file)):
            return False
    return written_by(head).get(name) == _crc_of(listed)


def _head_of(file: BinaryIO) -> bytes:
    """The first bytes of a file, of a small header not many more than it has."""
    head = b""
    while _END not in head and len(head) < _HEAD and (part := file.read(max(1 << 16, len(head)))):
        head += part
    return head


_KNOWN: dict[tuple[int, ...], bool] = {}


def _is_as_written(file: BinaryIO) -> bool:
    """`adds_up`; what is known of a file is not found out again."""
    status = os.fstat(file.fileno())
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = adds_up(file)
    return _KNOWN[key]


def _is_created_here(head: bytes) -> bool:
    """Whether CREATOR in a primary header names this program."""
    if not head.startswith(b"SIMPLE  ="):
        return False
    mine = f"CREATOR = '{CREATOR} ".encode()
    cards = (head[i : i + 80] for i in range(0, len(head), 80))
    return any(c.startswith(mine) for c in takewhile(_END.__ne__, cards)) and _END in cards
