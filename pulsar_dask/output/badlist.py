"""Lists of what stands out in an image: pixels beyond so many deviations, bad columns and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import PulsarError, count
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.quality import DEAD, LOW_QE, NO_FLAT_FIELD, Quality
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.finish import Defect, Finished, Read, holds
from pulsar_dask.output.lists import LIST_BYTES, ListSink

Array = np.ndarray[Any, Any]
#: Pixels that a list may have.
MOST = 1_000_000
#: Bytes of a listed pixel: places and values, while they are put in order.
_EACH = 6 * 8 + LIST_BYTES


@dataclass(frozen=True)
class Beyond:
    """What is listed of an image."""

    hot: float | None = None
    """Deviations above the median."""
    cold: float | None = None
    """Deviations below it."""
    dead: bool = False
    """Whether pixels that get less than half of the light of their neighbours are: of a flat."""
    quality: Quality = Quality("image")  # noqa: RUF009

    def __bool__(self) -> bool:
        return self.hot is not None or self.cold is not None or self.dead


def nothing(tile: Tile, planes: Mapping[str, Any]) -> None:
    """See `layer.Taker`: the image is looked at when it is there."""


class BadList(ListSink):
    """See `make.Sink`: the list is made of the finished image, hot pixels first (highest first),
    then the others (lowest first), pixels of parts of lines, columns (``C X 0``), rows (``L Y 0``).
    """

    load: Sequence[str] = ("pulsar_dask.kernels.segments",)

    def __init__(
        self, layer: Layer, shape: tuple[int, ...], path: str, read: Read, what: Beyond, **how: Any
    ) -> None:
        """`read` gives values of whole rows of the image, once all tiles have come."""
        super().__init__(layer, shape, path, 0, **how)
        self._read, self._what = read, what
        self.sends, self.holds = 0, Holds()
        listed = {"listed pixels": _EACH * min(MOST, shape[-2] * shape[-1])}
        self.after = holds(shape, what.quality.period) + Holds(process=listed)
        self.columns = self.rows = 0
        """How many of them are listed as a whole."""

    def taker(self) -> Any:
        return nothing

    def here(self, tile: Tile, result: Any) -> None:
        pass

    def seal(self, run: Run) -> None:
        x, y, columns, rows = self._found()
        self.lines, self.columns, self.rows = len(x), len(columns), len(rows)
        self._write(run, x, y, columns, rows)

    @property
    def what(self) -> str:
        lines = count(self.columns, "column"), count(self.rows, "row")
        return f"{count(self.lines, 'pixel')} that stand out, {' and '.join(lines)}"

    def follows(self, path: str) -> bool:
        """Of an image alone any list of this form may be; what it held is kept."""
        return self._alone

    def _found(self) -> tuple[Array, Array, list[int], list[int]]:
        looked = Finished(self._what.quality, self._shape, self._read)
        wide = self._shape[-1]
        parts = list(self._beyond(looked))
        values, places = (np.concatenate(p) for p in zip(*parts, strict=True))
        # hot ones first, of equal ones those that come first; each once
        places = places[np.lexsort((places, values))]
        planes = range(self._shape[0] if len(self._shape) == 3 else 1)
        seen = [looked.outline(plane) for plane in planes]
        lines = [one for outline in seen for one in (*outline.columns, *outline.rows)]
        columns = {c.columns.start for o in seen for c in o.columns if self._whole(c)}
        rows = {r.rows.start for o in seen for r in o.rows if self._whole(r)}
        parts_of_lines = [np.mgrid[p.rows, p.columns] for p in lines if not self._whole(p)]
        places = np.concatenate([places, *((y * wide + x).ravel() for y, x in parts_of_lines)])
        _, first = np.unique(places, return_index=True)
        places = places[np.sort(first)]
        y, x = np.divmod(places, wide)
        inside = ~(np.isin(x, sorted(columns)) | np.isin(y, sorted(rows)))
        return x[inside], y[inside], sorted(columns), sorted(rows)

    def _whole(self, one: Defect) -> bool:
        height, wide = self._shape[-2:]
        long = (one.rows.stop - one.rows.start, one.columns.stop - one.columns.start)
        return (one.rows.step or 1) == 1 and (long in ((height, 1), (1, wide)))

    def _beyond(self, looked: Finished) -> Iterator[tuple[Array, Array]]:
        """Of each band what is listed: an order (the lowest first), and places."""
        what, found = self._what, 0
        for tile in looked.bands():
            seen = looked.outline(tile.plane)
            values = np.asarray(self._read(tile), "f8")
            listed = np.zeros(values.shape, bool)
            with np.errstate(invalid="ignore"):
                if what.hot is not None:
                    listed |= values > seen.level + what.hot * seen.sigma
                if what.cold is not None:
                    listed |= values < seen.level - what.cold * seen.sigma
            if what.dead:
                listed |= (looked.bits(tile) & (DEAD | LOW_QE | NO_FLAT_FIELD)) != 0
            at = np.flatnonzero(listed)
            found += len(at)
            if found > MOST:
                raise PulsarError(
                    f"more than {count(MOST, 'pixel')} lie so far from the median; list fewer, "
                    "with a larger ⟦hot⟧ SIGMA (or ⟦cold⟧ SIGMA)",
                    "list",
                )
            own = np.nan_to_num(values.ravel()[at], nan=-np.inf)
            order = np.where(own > seen.level, -own, np.inf if what.dead else own + 1e300)
            yield order, at + tile.y * tile.width
