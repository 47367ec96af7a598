"""What the headers of all frames of a master agree in.

Each is read once more, as bytes; of cards whose bytes are those of the first frame nothing is
parsed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask.formats.cards import COMMENTARY, standard_card
from pulsar_dask.frames.frame import Frame
from pulsar_dask.output.times import Times

Raw = tuple[bytes, ...]
"""The cards of one keyword, as they stand in a file."""
Comments = tuple[tuple[str, str], ...]
"""Commentary cards that make one text: each but the last says that it is continued."""
#: A text that needs no parser, as each frame has one where it states its end.
_PLAIN_TEXT = re.compile(rb"[A-Z-]{8}= '([ -%(-~]*)' *(?:/[ -~]*)?")
_CARD = 80
_FULL = 72


@dataclass
class Agreement:
    """What is found in going through the headers."""

    differing: set[str] = field(default_factory=set)
    """Keywords of which two frames have values that differ."""
    missing: set[str] = field(default_factory=set)
    """Keywords of the first frame that another one lacks."""
    comments: set[Comments] | None = None
    """Those that all frames have."""
    times: Times = field(default_factory=Times)
    wanted: dict[str, list[fits.Card]] = field(default_factory=dict)
    """Cards of frames other than the first, as they were asked for."""


def agreement(
    frames: Sequence[Frame], looked_at: Iterable[str], wanted: Mapping[int, Iterable[str]]
) -> Agreement:
    """Go through the headers of frames.

    Parameters
    ----------
    frames : sequence of Frame
    looked_at : iterable of str
        Keywords that are compared with the first frame's.
    wanted : mapping
        By the place of a frame: keywords whose cards are wanted.
    """
    found = Agreement()
    keywords = set(looked_at)
    first: dict[str, Raw] = {}
    values: dict[Raw, Any] = {}

    def value(raw: Raw) -> Any:
        if raw not in values:
            if len(values) > 1000:
                values.clear()
            values[raw] = next((card.value for card in _parsed(raw)), None)
        return values[raw]

    for i, frame in enumerate(frames):
        cards, comments = _cards(frame)
        found.times.add(frame, partial(_value, cards, value))
        for keyword in wanted.get(i, ()):
            found.wanted[keyword] = _parsed(cards.get(keyword, ()))
        if i == 0:
            first, found.comments = cards, comments
            continue
        assert found.comments is not None
        found.comments &= comments
        for keyword in list(keywords):
            raw, other = cards.get(keyword), first.get(keyword)
            if raw == other:
                continue
            mine = None if raw is None else value(raw)
            if mine is None:
                found.missing.add(keyword)
            elif other is None or not _same(mine, value(other)):
                found.differing.add(keyword)
                keywords.discard(keyword)
    return found


def _value(cards: Mapping[str, Raw], value: Callable[[Raw], Any], keyword: str) -> Any:
    raw = cards.get(keyword)
    if raw is None:
        return None
    plain = _PLAIN_TEXT.fullmatch(raw[0]) if len(raw) == 1 else None
    return plain[1].decode() if plain else value(raw)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return a.strip() == b.strip()
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _parsed(raw: Raw) -> list[fits.Card]:
    """The first card that is in form, in standard form, in a list; an empty one where none is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        cards = fits.Header.fromstring(b"".join(raw) + b"END".ljust(_CARD)).cards
        new = (standard_card(card) for card in cards)
        return next(([card] for card in new if card is not None), [])


def _cards(frame: Frame) -> tuple[dict[str, Raw], set[Comments]]:
    """The cards of a frame by keyword, and its commentary; of a keyword those of its image header,
    else of the primary."""
    found: dict[str, list[bytes]] = {}
    said: list[tuple[str, str]] = []
    for text in frame.stored.header_texts(frame):
        mine: dict[str, list[bytes]] = {}
        keyword = ""
        for i in range(0, len(text), _CARD):
            card = text[i : i + _CARD]
            word = card[:8]
            if word != b"CONTINUE" or not keyword:
                if word == b"HIERARCH":
                    word = card[9:].partition(b"=")[0]
                keyword = word.decode("latin-1").strip().upper()
            if keyword in COMMENTARY:
                said.append((keyword, card[8:].decode("latin-1").rstrip()))
            else:
                mine.setdefault(keyword, []).append(card)
        found = mine | found
    return {k: tuple(v) for k, v in found.items()}, set(texts(said))


def texts(said: Iterable[tuple[str, str]]) -> list[Comments]:
    """Commentary cards, those together that make one text.

    >>> long = "x" * 71 + "&"
    >>> [len(text) for text in texts([("HISTORY", long), ("HISTORY", "end"), ("COMMENT", "a")])]
    [2, 1]
    """
    found: list[Comments] = []
    goes_on = False
    for keyword, text in said:
        if goes_on and found[-1][0][0] == keyword:
            found[-1] = (*found[-1], (keyword, text))
        else:
            found.append(((keyword, text),))
        goes_on = len(text) == _FULL and text.endswith("&")
    return found
