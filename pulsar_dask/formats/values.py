"""Values of a header's cards, also of those that are not in form."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

from astropy.io import fits

_CARD = 80
_COMMENTARY = ("COMMENT", "HISTORY", "")
_NOTHING: Any = object()
#: A text that needs no parser: each frame has some of its own, where it says when it was taken. A
#: colon with a blank may begin a record-valued card.
_PLAIN_TEXT = re.compile(rb"([A-Z][A-Z0-9_-]* *)= '((?:[ -%(-9;-~]|:(?! ))*)' *(?:/[ -&(-~]*)?")
_NO_TEXT = ("COMMENT", "HISTORY", "CONTINUE", "HIERARCH", "END")


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
        self._image = image
        plain = _PLAIN_TEXT.fullmatch(image)
        if plain and plain.end(1) == 8 and (word := plain[1].decode().rstrip()) not in _NO_TEXT:
            self.alone, self.value = word, plain[2].decode().rstrip()
            return
        try:
            (card,) = self._header.cards
            if card.field_specifier is None and image[:8] not in (b"HIERARCH", b"CONTINUE"):
                self.alone = card.keyword
        except Exception:  # whatever is wrong, a whole header says it
            return

    @functools.cached_property
    def _header(self) -> fits.Header:
        return fits.Header.fromstring(self._image)

    @functools.cached_property
    def value(self) -> Any:
        return Keywords(self._header).get(self.alone or "", _NOTHING)

    @functools.cached_property
    def comment(self) -> str:
        return Keywords(self._header).comment(self.alone or "")


_line = functools.lru_cache(maxsize=1024)(_Line)
Function = TypeVar("Function", bound=Callable[..., Any])
#: Results that are kept of each function.
_KEPT = 8


class _Asked(dict[str, _Line]):
    """Cards that note which of them were asked for."""

    def __init__(self, cards: dict[str, _Line]) -> None:
        super().__init__(cards)
        self.found: dict[str, _Line | None] = {}

    def get(self, keyword: str, default: Any = None) -> Any:
        self.found[keyword] = super().get(keyword)
        return super().get(keyword, default)

    def __getitem__(self, keyword: str) -> _Line:
        self.get(keyword)
        return super().__getitem__(keyword)

    def __contains__(self, keyword: object) -> bool:
        return self.get(cast(str, keyword)) is not None


def of_cards(function: Function) -> Function:
    """A function of a header, a path, which counts for what is raised alone, and other arguments:
    headers that have the same cards, of those that it asks for, get the same result."""
    before: tuple[tuple[Any, ...], ...] = ()

    @functools.wraps(function)
    def call(header: Lines | fits.Header, path: str, *arguments: Any) -> Any:
        nonlocal before
        if not isinstance(header, Lines):
            return function(header, path, *arguments)
        get = header.cards.get
        for keywords, cards, given, result in before:
            if given == arguments and [*map(get, keywords)] == cards:
                return result
        noting = copy.copy(header)
        noting.cards = asked = _Asked(header.cards)
        result = function(noting, path, *arguments)
        once = tuple(asked.found), [*asked.found.values()], arguments, result
        before = (once, *before[: _KEPT - 1])
        return result

    return cast(Function, call)


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
        known: dict[str, Any]
        (header, *more) = headers
        if isinstance(header, Lines) and not more:
            known = header.cards
            if told := [keyword for keyword in _COMMENTARY if keyword in known]:
                known = known | {keyword: object() for keyword in told}
        else:
            names = (k for h in headers for k in (h.cards if isinstance(h, Lines) else h))
            known = {keyword.upper(): object() for keyword in names}
        self._known = known
        self.card: Callable[[str], Any] = known.get
        """What is the same object for the same card, None for none; one of this header's own where
        it cannot be told which are the same."""

    def get(self, keyword: str, default: Any = None) -> Any:
        return super().get(keyword, default) if keyword in self._known else default


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
