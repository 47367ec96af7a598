"""Lists of hot pixels as files, and the hottest pixels of a product as one."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index, Layer
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import count
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.frames.holds import Holds, Phase
from pulsar_dask.kernels.checksum import both_sums
from pulsar_dask.kernels.highest import AT_ONCE, HOT_PIXELS, Candidates, HotPixels
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.output.ours import begins_alike, file_crc

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


#: Bytes that each hot pixel takes as candidates, twice as many as are wanted, in each plane; more
#: while those of one plane are put in order; and more while the list is written. While all planes
#: are put in order they take as much again.
CANDIDATE_BYTES, ORDER_BYTES, LIST_BYTES = 32, 40, 40
#: Bytes of a value and its place.
_PAIR = 16


class ListSink:
    """See `make.Sink`. Its taker remembers, in each process, the value below which no pixel can
    be one of the hottest."""

    grid = None
    load: Sequence[str] = ()

    def __init__(
        self,
        layer: Layer,
        shape: tuple[int, ...],
        path: str,
        most: int,
        *,
        origin_top: bool = False,
        verify: bool = True,
        alone: bool = False,
        mask: Callable[..., Any] | None = None,
    ) -> None:
        """`alone`: no master is written beside it that would vouch for it the next time. `mask`
        writes an image in place of a list, as `sealed_mask` does."""
        self.layer, self.path, self.paths = layer, path, [path]
        self.lines = min(most, math.prod(shape[-2:]))
        """Pixels that it lists."""
        self.hot = HotPixels(shape, self.lines)
        self.file: Any
        self.crc = 0
        """CRC-32 of the sealed list."""
        self._rows = shape[-2] if origin_top else None
        self._verify, self._alone = verify, alone
        self._shape, self._mask = shape, mask
        self._alike: int | None = None
        """CRC-32 of the list that was there, where that begins alike."""
        self._longer = False
        """Whether all that was in it is in this one."""
        # the first tiles send as many of each part as are wanted
        self.sends = math.ceil(_PAIR * min(1, most / AT_ONCE))
        planes = shape[0] if len(shape) == 3 else 1
        more = self.lines if most > HOT_PIXELS else 0  # as many as usual take next to nothing
        finding = Phase(
            {"candidates": self.sends},
            {"a part's candidates": 2 * _PAIR * AT_ONCE},
            {"ordering": ORDER_BYTES * more},
        )
        held = {f"hot pixels of {layer.name}": CANDIDATE_BYTES * planes * more}
        self.holds = Holds(process=held, phases=(finding,))
        last = max(LIST_BYTES, CANDIDATE_BYTES * planes)
        self.after = Holds(process={"lists of hot pixels": last * more})

    def begin(self, plan: Plan) -> frozenset[Index]:
        return frozenset()

    def taker(self) -> Candidates:
        return Candidates(self.hot)

    def here(self, tile: Tile, result: Any) -> None:
        self.hot.take(tile.plane, result)

    def seal(self, run: Run) -> None:
        x, y = self.hot.positions()
        self.lines = len(x)
        data = self._write(run, x, y)
        if self._alone and begins_alike(self.path, data):
            self._alike = file_crc(self.path)
            self._longer = os.path.getsize(self.path) <= len(data)

    def _write(
        self, run: Run, x: Array, y: Array, columns: Sequence[int] = (), rows: Sequence[int] = ()
    ) -> bytes:
        """Write what is listed, last whole columns and rows; what the list holds, and nothing where
        it is a mask."""
        if self._mask is not None:
            said = f"mask of {self.layer.reads[0].name}: {self.what}"
            size, places = self._shape[-2:], (x, y, columns, rows)
            self.file = self._mask(self.path, size, *places, verify=self._verify, said=said)
            return b""
        if self._rows is not None:
            rows = [self._rows - 1 - n for n in rows]
        lines = "".join([*(f"C {n} 0\r\n" for n in columns), *(f"L {n} 0\r\n" for n in rows)])
        data = list_bytes(x, y, rows=self._rows) + lines.encode("ascii")
        run.written[self.path] = self.crc = zlib.crc32(data)
        self.file = seal_list(self.path, data, verify=self._verify)
        return data

    @property
    def what(self) -> str:
        """What it holds, in words."""
        return count(self.lines, "hottest pixel")

    def follows(self, path: str) -> bool:
        """Whether a list is of the same image, though of another length; before this one is
        made, whether it may be."""
        if not self._alone or not hasattr(self, "file"):
            return self._alone
        return self._alike is not None and self._alike == file_crc(path)

    def keeps(self, path: str) -> bool:
        """Whether all that a list holds is in this one, too."""
        crc = file_crc(path)
        return crc == self.crc or (self._longer and crc == self._alike)

    def files(self) -> Mapping[str, Any]:
        return {self.path: self.file}

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.__exit__(None, None, None)
