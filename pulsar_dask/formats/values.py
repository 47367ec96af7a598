"""Values of a header's cards, also of those that are not in form."""

from __future__ import annotations

import re
from typing import Any

from astropy.io import fits


class Keywords:
    """Values of an image header, then of the primary; a card that cannot be read gives its text."""

    def __init__(self, *headers: fits.Header) -> None:
        self.headers = headers

    def get(self, keyword: str, default: Any = None) -> Any:
        for header in self.headers:
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
                try:
                    return str(header.comments[keyword])
                except (fits.VerifyError, ValueError):
                    return ""
        return ""


class ManyKeywords(Keywords):
    """Those of a header that is asked for a hundred of them: most are not there, which is told
    without a search for each."""

    def __init__(self, *headers: fits.Header) -> None:
        super().__init__(*headers)
        self.names = {keyword.upper() for header in headers for keyword in header}

    def get(self, keyword: str, default: Any = None) -> Any:
        return super().get(keyword, default) if keyword in self.names else default


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
