"""Whether a Zarr store is still what this program wrote: a seal over all that is in it.

As CHECKSUM in a FITS master, the seal stands in what it covers: the attribute ``seal`` of the
group, a digest of the name, length and CRC of every file, that of the group's own metadata with
zeros in the seal's place. What was added, removed, changed, moved or linked is seen; it is no
signature. A cube that is not complete is sealed but for its ``frames``, which grow.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from pulsar_dask.formats.storeformat import FRAMES, INCOMPLETE, read_bounded, read_json

_BLANK = "0" * 64
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROOT = "zarr.json"
#: What may lie in the frames of a cube that is not complete; what a kill cut short ends in .part.
_GROWING = re.compile(
    rf"{FRAMES}/(zarr\.json(\.[0-9a-f]{{12}}\.part)?|c(/\d+)*(/\d+\.[0-9a-f]{{12}}\.part)?)"
)
_STRETCH = 1 << 20

Piece = tuple[int, int]
"""Length and CRC of a file."""


def piece(*parts: Any) -> Piece:
    """Length and CRC of bytes, in parts (any C-contiguous buffers)."""
    length = crc = 0
    for view in (memoryview(part).cast("B") for part in parts):
        length, crc = length + len(view), zlib.crc32(view, crc)
    return length, crc


def sealed_text(
    store: str, description: Mapping[str, Any], known: Mapping[str, Piece] | None = None
) -> bytes:
    """The metadata of a group, with the seal of its store as it is now.

    Parameters
    ----------
    store : str
        Its folder, whole but for that file.
    description : mapping
    known : mapping, optional
        Of files by their name in the store, with ``/``: what is known of their content since
        they were written, so that they are not read.
    """
    attributes = {**description["attributes"], "seal": _BLANK}
    text = json.dumps({**description, "attributes": attributes}).encode()
    digest = _digest(store, text, description["zarr_format"] == INCOMPLETE, known or {})
    return text.replace(_entry(_BLANK), _entry(digest), 1)


def _entry(digest: str) -> bytes:
    return f'"seal": "{digest}"'.encode()


def store_is_ours(store: str, creator: str, *, changed: bool = False) -> bool:
    """Whether a folder is a Zarr store that a program wrote, and still as that left it, unless
    `changed` ones count."""
    try:
        attributes = read_json(os.path.join(store, _ROOT))["attributes"]
        if not str(attributes["creator"]).startswith(f"{creator} "):
            return False
        return changed or _is_as_written(store, _stamp(store))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def is_sealed(store: str) -> bool:
    """Whether a store has a seal, be it right or not."""
    try:
        return "seal" in read_json(os.path.join(store, _ROOT))["attributes"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return True


def what_happened(store: str, creator: str) -> str:
    """Why a store that a program wrote is not taken for its own any more, in words."""
    if is_sealed(store):
        return f"was changed after {creator} wrote it"
    return f"was written by an earlier version of {creator}, which did not seal it"


@functools.lru_cache(maxsize=16)
def _is_as_written(store: str, stamp: str) -> bool:
    """Read all of it; `stamp` tells whether that was done before."""
    text = read_bounded(os.path.join(store, _ROOT))
    found = json.loads(text)
    seal = found["attributes"].get("seal")
    if not isinstance(seal, str) or not _DIGEST.fullmatch(seal):
        return False
    blank = text.replace(_entry(seal), _entry(_BLANK), 1)
    return _digest(store, blank, found["zarr_format"] == INCOMPLETE, {}) == seal


def _stamp(store: str) -> str:
    """A name for a store as the system describes its files, without their content."""
    stamp = hashlib.sha256()
    for name, status in sorted(_files(store), key=lambda pair: pair[0]):
        stamp.update(_bytes(name))
        stamp.update(
            repr((status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)).encode()
        )
    return stamp.hexdigest()


def _digest(store: str, text: bytes, growing: bool, known: Mapping[str, Piece]) -> str:
    """A digest of all files; of their names alone where they may still grow."""
    pieces = {_ROOT: piece(text), **known}
    for name, status in _files(store):
        if growing and name.startswith(f"{FRAMES}/"):
            if not _GROWING.fullmatch(name):
                raise ValueError(f"{name} is not of a cube")
        elif name not in pieces:
            pieces[name] = _piece_of(os.path.join(store, name), status.st_size)
    digest = hashlib.sha256()
    for name, (size, crc) in sorted(pieces.items()):
        digest.update(_bytes(f"{name}\0{size} {crc}\n"))
    return digest.hexdigest()


def _files(store: str) -> Iterator[tuple[str, os.stat_result]]:
    """Name and status of each file; ValueError where there is anything but files in folders, or
    a folder without any."""
    waiting = [("", os.lstat(store))]
    while waiting:
        folder, _ = waiting.pop()
        empty = True
        with os.scandir(os.path.join(store, folder)) as entries:
            for entry in entries:
                empty = False
                name, status = f"{folder}{entry.name}", os.lstat(entry.path)
                if stat.S_ISDIR(status.st_mode) and not _is_junction(entry):
                    waiting.append((f"{name}/", status))
                elif stat.S_ISREG(status.st_mode):
                    yield name, status
                else:
                    raise ValueError(f"{name} is neither file nor folder")
        if empty and not folder.startswith(f"{FRAMES}/c/"):  # made for a chunk that never came
            raise ValueError(f"{folder} is empty")


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link to a folder as Windows has them beside symbolic ones."""
    tag = getattr(os.lstat(entry.path), "st_reparse_tag", 0)
    return bool(tag and tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", 0))


def _piece_of(path: str, size: int) -> Piece:
    crc = done = 0
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(_STRETCH), b""):
            crc, done = zlib.crc32(part, crc), done + len(part)
    if done != size:
        raise ValueError(f"{path} is being written to")
    return size, crc


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
