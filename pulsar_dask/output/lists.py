"""Lists of hot pixels as files."""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.kernels.checksum import both_sums

Array = np.ndarray[Any, Any]
#: Lines that are made together: each takes ten times its bytes meanwhile.
_LINES = 8192


def write_list(path: str, x: Array, y: Array, *, rows: int | None = None) -> None:
    """Write a list: ``P X Y``, CRLF, nothing else.

    Parameters
    ----------
    path : str
        Appears whole or not at all.
    x, y : ndarray of int
        Columns and rows from zero, row 0 first in the file.
    rows : int, optional
        The image's height: Y is then written from the top row, as Siril reads it.
    """
    with sealed_list(path, x, y, rows=rows) as file:
        file.commit()


def sealed_list(
    path: str, x: Array, y: Array, *, rows: int | None = None, verify: bool = True
) -> AtomicFile:
    """The file of `write_list`, on the disk but without its name; `verify` reads it back."""
    return seal_list(path, list_bytes(x, y, rows=rows), verify=verify)


def list_bytes(x: Array, y: Array, *, rows: int | None = None) -> bytes:
    """What `write_list` writes."""
    if rows is not None:
        y = rows - 1 - y
    parts = [slice(i, i + _LINES) for i in range(0, len(x), _LINES)]
    return b"".join(_lines(x[part], y[part]) for part in parts)


def seal_list(path: str, data: bytes, *, verify: bool = True) -> AtomicFile:
    """`sealed_list` of `list_bytes`."""
    file = AtomicFile(path)
    try:
        file.write_at(data, 0)
        sums = both_sums(np.frombuffer(data, np.uint8))
        file.seal(*(sums.words, sums.order) if verify else ())
    except BaseException:
        file.close()
        raise
    return file


def _lines(x: Array, y: Array) -> bytes:
    lines = (f"P {a} {b}\r\n" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return "".join(lines).encode("ascii")
