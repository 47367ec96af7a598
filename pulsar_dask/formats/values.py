"""Values of a header's cards, also of those that are not in form."""

from __future__ import annotations

import functools
import re
from typing import Any

from astropy.io import fits

_CARD = 80
_COMMENTARY = ("COMMENT", "HISTORY", "")
_NOTHING: Any = object()


class Lines:
    """The cards of a header as they lie in a file. Astropy reads each, once for all headers that
    have it: frames of a night share most of theirs.

    Raises
    ------
    ValueError
        Some cards are to be read together; a `Header` does that.
    """

    def __init__(self, text: bytes) -> None:
        self.cards: dict[str, _Line] = {}
        """By keyword; of several the first, as in a header."""
        self._text = text
        for start in range(0, len(text), _CARD):
            line = _line(text[start : start + _CARD])
            if line.alone is None:
                raise ValueError("cards that belong together")
            self.cards.setdefault(line.alone, line)

    @functools.cached_property
    def header(self) -> fits.Header:
        return fits.Header.fromstring(self._text)

    def __contains__(self, keyword: object) -> bool:
        return keyword in self.cards


class _Line:
    """One card."""

    alone: str | None = None
    """Its keyword, where it can be read without others."""

    def __init__(self, image: bytes) -> None:
        try:
            header = fits.Header.fromstring(image)
            (card,) = header.cards
            if card.field_specifier is None and image[:8] not in (b"HIERARCH", b"CONTINUE"):
                self.alone, self._header = card.keyword, header
        except Exception:  # whatever is wrong, a whole header says it
            return

    @functools.cached_property
    def value(self) -> Any:
        return Keywords(self._header).get(self.alone or "", _NOTHING)

    @functools.cached_property
    def comment(self) -> str:
        return Keywords(self._header).comment(self.alone or "")


_line = functools.lru_cache(maxsize=1024)(_Line)


class Keywords:
    """Values of an image header, then of the primary; a card that cannot be read gives its text."""

    def __init__(self, *headers: fits.Header | Lines) -> None:
        self.headers = headers

    def get(self, keyword: str, default: Any = None) -> Any:
        for header in self.headers:
            if isinstance(header, Lines):
                line = header.cards.get(keyword)
                if line is None or (line.value is _NOTHING):
                    continue
                if keyword not in _COMMENTARY:
                    return line.value
                header = header.header
            if keyword in header:
                try:
                    value = header[keyword]
                except (fits.VerifyError, ValueError):
                    return _card_text(header.cards[keyword])
                if isinstance(value, fits.card.Undefined):
                    continue
                return value
        return default

    def comment(self, keyword: str) -> str:
        """What a card says behind its value."""
        for header in self.headers:
            if keyword in header:
                if isinstance(header, Lines):
                    return header.cards[keyword].comment
                try:
                    return str(header.comments[keyword])
                except (fits.VerifyError, ValueError):
                    return ""
        return ""


class ManyKeywords(Keywords):
    """Those of a header that is asked for a hundred of them: most are not there, which is told
    without a search for each."""

    def __init__(self, *headers: fits.Header | Lines) -> None:
        super().__init__(*headers)
        self.names = {
            keyword.upper()
            for header in headers
            for keyword in (header.cards if isinstance(header, Lines) else header)
        }

    def get(self, keyword: str, default: Any = None) -> Any:
        return super().get(keyword, default) if keyword in self.names else default

    def card(self, keyword: str) -> Any:
        """What is the same object for the same card; a new one where that cannot be told."""
        if keyword not in self.names:
            return None
        (header, *more) = self.headers
        if more or keyword in _COMMENTARY or not isinstance(header, Lines):
            return object()
        return header.cards[keyword]


def _card_text(card: fits.Card) -> str:
    """The value of a card that is not in form, as it is written; without the quotes of a text,
    which programs write in UTF-8 or Latin-1."""
    written = card._image[10:]  # `image` would refuse to give it
    if text := re.match(r" *'((?:[^']|'')*)'", written):
        written = text[1].replace("''", "'")
    else:
        written = written.split(" /")[0]
    try:
        return str(written.encode("latin-1").decode()).strip()
    except UnicodeError:
        return str(written).strip()
