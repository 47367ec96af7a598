"""The colours of a sensor's pixels, as they lie in the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pulsar_dask.errors import printable
from pulsar_dask.kernels.pixels import Tile

Cells = tuple[tuple[int, ...], ...]
"""Of each pixel of a pattern that repeats, a square, which colour it has."""
#: Of a 2 x 2 pattern each pixel counts as a colour of its own, the two greens too.
QUAD: Cells = ((0, 1), (2, 3))
_PATTERNS = ("BAYERPAT", "COLORTYP", "CFA_TYPE", "CFAIMAGE")
_OFFSETS = (("XBAYROFF", "BAYOFFX"), ("YBAYROFF", "BAYOFFY"))
#: All keywords that `colours` looks at.
KEYWORDS = (*_PATTERNS, *_OFFSETS[0], *_OFFSETS[1], "ROWORDER")
#: What says that there is no filter, and what says only that there is a 2 x 2 one: as ASCOM numbers
#: the types of sensors, 1 to 3.
_NONE = frozenset("0 NONE MONO MONOCHROME NO N F FALSE NA GRAY GREY GRAYSCALE GREYSCALE".split())
_QUAD = frozenset("1 2 3 YES Y T TRUE CFA BAYER RAW COLOR COLOUR".split())
_LETTERS = frozenset("RGBCMYW")


@dataclass(frozen=True)
class Colours:
    """Which pixels of a sensor have one colour."""

    cells: Cells
    """Of the file's pixel (y, x) it is ``cells[y % period][x % period]``."""
    unknown: str = ""
    """The card that names no pattern, where `cells` are a guess."""

    @property
    def count(self) -> int:
        return 1 + max(map(max, self.cells))

    @property
    def period(self) -> int:
        return len(self.cells)

    def share(self, rows: int, columns: int) -> list[int]:
        """How many pixels of an image have each colour."""
        found = [0] * self.count
        for y, row in enumerate(self.cells):
            for x, colour in enumerate(row):
                found[colour] += len(range(y, rows, self.period)) * len(
                    range(x, columns, self.period)
                )
        return found


def colours(cards: Mapping[str, Any], rows: int) -> Colours | None:
    """What the cards of a frame say of its colours; None: it has one.

    The first card that names a pattern counts. Of a 2 x 2 pattern the order does not matter, nor
    where it begins. A larger one (36 letters: X-Trans) is moved by the offsets: pixel (y, x) has
    the colour that stands at (y + YBAYROFF, x + XBAYROFF). It is written from the top: with
    ROWORDER 'BOTTOM-UP' that is the last row of the file, as Siril has it, else the first.

    >>> colours({"BAYERPAT": "RGGB"}, 100), colours({"COLORTYP": 0}, 100)
    (Colours(cells=((0, 1), (2, 3)), unknown=''), None)
    """
    unknown = None
    for keyword in _PATTERNS:
        said = _read(cards.get(keyword))
        if said is None:
            unknown = unknown or Colours(QUAD, f"{keyword} {printable(repr(cards[keyword]))}")
        elif said:
            return Colours(QUAD if len(said) == 2 else _placed(said, cards, rows))
    return unknown


def _read(value: Any) -> list[str] | None:
    """The rows of a pattern, none where there is no filter; None where neither is understood."""
    text = f"{value:g}" if isinstance(value, float) else str("" if value is None else value)
    text = re.sub("[^A-Z0-9]", "", text.upper())
    if not text or text in _NONE:
        return []
    if text in _QUAD:
        return ["RG", "GB"]
    letters = re.sub("[0-9]", "", text)
    side = math.isqrt(len(letters))
    if side not in (2, 4, 6) or side**2 != len(letters) or not _LETTERS.issuperset(letters):
        return None
    return [letters[i : i + side] for i in range(0, len(letters), side)]


def _placed(pattern: list[str], cards: Mapping[str, Any], rows: int) -> Cells:
    side = len(pattern)
    if str(cards.get("ROWORDER", "")).strip().upper().startswith("BOTTOM"):
        pattern = [pattern[(rows - 1 - y) % side] for y in range(side)]
    ox, oy = (_offset([cards.get(k) for k in keywords]) for keywords in _OFFSETS)
    names = sorted(set("".join(pattern)))
    return tuple(
        tuple(names.index(pattern[(y + oy) % side][(x + ox) % side]) for x in range(side))
        for y in range(side)
    )


def _offset(values: Iterable[Any]) -> int:
    for value in values:
        try:
            return int(float(value))
        except (TypeError, ValueError, OverflowError):
            continue
    return 0


class Frame(Protocol):
    """A frame, as far as it matters here."""

    @property
    def colour_cards(self) -> tuple[tuple[str, float | str], ...]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


def colours_of(frame: Frame) -> Colours | None:
    """The colours of a frame's pixels; None: they have one."""
    return colours(dict(frame.colour_cards), frame.shape[-2])


def colours_among(frames: Iterable[Frame]) -> Colours | None:
    """Those of frames that are combined: of the first that tells of them."""
    found = [known for frame in frames if (known := colours_of(frame)) is not None]
    return min(found, key=lambda known: bool(known.unknown), default=None)


def patterns(tile: Tile, cells: Cells) -> Iterator[tuple[slice, slice, int]]:
    """Rows and columns of a tile that have one colour, for each pixel of the pattern."""
    period = len(cells)
    for y, row in enumerate(cells):
        for x, colour in enumerate(row):
            yield (
                slice((y - tile.y) % period, None, period),
                slice((x - tile.x) % period, None, period),
                colour,
            )
