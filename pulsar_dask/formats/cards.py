"""Header cards in the form that the FITS standard gives them.

What capture programs write is often near it, and a master must be clean: a card is put into
form where its meaning is plain, else left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from astropy.io import fits

_LENGTH = 80
COMMENTARY = frozenset(("COMMENT", "HISTORY", ""))
#: Cards that describe a file's own bytes rather than the image.
STRUCTURE = frozenset(
    "SIMPLE XTENSION BITPIX NAXIS EXTEND PCOUNT GCOUNT GROUPS CHECKSUM DATASUM ZHECKSUM ZDATASUM "
    "DATAORD EXTNAME NEXTEND EXTVER EXTLEVEL INHERIT BSCALE BZERO BLANK TFIELDS THEAP "
    "LONGSTRN END".split()
)
#: Characters of a continued text beyond which it is no word of a capture program; to break one of
#: millions into cards would take astropy minutes.
_LONGEST = 10_000
#: What astropy writes for such a keyword and a plain value is in form, and need not be verified.
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_PLAIN = (bool, int, float, str)
#: Keywords whose value is text, or a number (FITS standard 4.0, sections 4.4.2, 8 and 9).
_TEXT = re.compile(r"AUTHOR|BUNIT|CREATOR|INSTRUME|OBJECT|OBSERVER|ORIGIN|REFERENC|TELESCOP")
_NUMBER = re.compile(
    r"EPOCH|EQUINOX[A-Z]?|MJD-(OBS|AVG|BEG|END)|OBSGEO-[XYZ]|RESTFRE?Q[A-Z]?|RESTWAV[A-Z]?|"
    r"VELOSYS[A-Z]?|VELANGL[A-Z]?|ZSOURCE[A-Z]?"
)
_DATE = re.compile(r"DATE.*")
_ISO = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"(T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?)?"
)
_OLD_DATE = re.compile(r"(\d\d)/(\d\d)/(\d\d)")
_ALLOWED = {
    "RADESYS": {"ICRS", "FK5", "FK4", "FK4-NO-E", "GAPPT"},
    "SPECSYS": {"TOPOCENT", "GEOCENTR", "BARYCENT", "HELIOCEN", "LSRK", "LSRD", "GALACTOC",
                "LOCALGRP", "CMBDIPOL", "SOURCE"},
}  # fmt: skip
_ALLOWED |= {"RADECSYS": _ALLOWED["RADESYS"], "SSYSOBS": _ALLOWED["SPECSYS"]}
#: Cards of a table's columns and of random groups, which have no place in an image.
_ELSEWHERE = re.compile(
    r"T(BCOL|DIM|DISP|FORM|NULL|SCAL|TYPE|UNIT|ZERO|CTYP|CUNI|CRVL|CRPX|CDLT|CROT)\d+|"
    r"P(TYPE|SCAL|ZERO)\d+"
)
_WCS = re.compile(
    r"(?P<axis>CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CNAME|CRDER|CSYER)(?P<i>\d+)(?P<alt>[A-Z]?)|"
    r"(CD|PC|PV|PS)\d+_\d+[A-Z]?|(WCSAXES|WCSNAME|LONPOLE|LATPOLE)[A-Z]?"
)
#: What readers take for such a keyword although it is none ("PC0_").
_WCS_LIKE = re.compile(r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CNAME|CD|PC|PV|PS)\d.*")
_MATRIX = re.compile(r"(CD|PC)\d+_\d+[A-Z]?")
_WCS_TEXT = re.compile(r"CTYPE|CUNIT|CNAME|WCSNAME|PS\d")


def fill_up(header: fits.Header, primary: fits.Header) -> None:
    """Append the cards of the primary header that an image header lacks. (`Header.extend` would
    compare each comment with each, and mend damaged cards, or fail.)"""
    known = set(header)
    said = {(c.keyword, c.value) for c in header.cards if c.keyword in COMMENTARY}
    for card in primary.cards:
        keyword = card.keyword
        if keyword in COMMENTARY:
            missing = card.is_blank or (keyword, card.value) not in said
        else:
            missing = keyword not in known and keyword not in STRUCTURE
        if missing:
            header.append(card, end=True)


def ascii_text(text: str) -> str:
    """`text` with what a header cannot hold escaped."""
    if text.isascii() and text.isprintable():
        return text
    text = text.encode("ascii", "backslashreplace").decode()
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text)


def standard_date(text: str) -> str | None:
    """A date as the standard writes it; None where it is none.

    >>> standard_date("2024-05-20T21:00:00Z"), standard_date("20/05/98"), standard_date("May")
    ('2024-05-20T21:00:00', '1998-05-20', None)
    """
    text = text.strip().removesuffix("Z").removesuffix("+00:00")
    if old := _OLD_DATE.fullmatch(text):
        text = f"19{old[3]}-{old[2]}-{old[1]}"
    return text if _ISO.fullmatch(text) else None


def standard_card(card: fits.Card) -> fits.Card | None:
    """A card in standard form; None where it is damaged, says nothing or has no place in an
    image."""
    try:
        keyword, value = card.keyword, card.value
        # Several records under one keyword: programs that do not know of it see it repeated.
        if isinstance(value, fits.card.Undefined) or keyword != card.rawkeyword:
            return None
        if keyword in COMMENTARY:
            text = ascii_text(str(value))
            if len(text) <= _LENGTH - 8:
                return fits.Card.fromstring(f"{keyword:8}{text}")
            new = fits.Card(keyword, text)
        else:
            value, comment = _standard_value(keyword, value), ascii_text(card.comment)
            if value is None or len(comment) + (isinstance(value, str) and len(value)) > _LONGEST:
                return None
            new = fits.Card(keyword, value, comment)
        if not (_KEYWORD.fullmatch(keyword) and isinstance(value, _PLAIN)):
            new.verify("exception")
        str(new)
        return new
    except Exception:  # astropy has no one class for what can be wrong with a card
        return None


def _standard_value(keyword: str, value: Any) -> Any:
    if _ELSEWHERE.fullmatch(keyword) or keyword == "CONTINUE":
        return None
    if _WCS_LIKE.fullmatch(keyword) and not _WCS.fullmatch(keyword):
        return None
    if isinstance(value, str):
        value = ascii_text(value)
    if _DATE.fullmatch(keyword):
        return standard_date(value) if isinstance(value, str) else None
    if _NUMBER.fullmatch(keyword):
        return _as_number(value)
    if keyword in _ALLOWED:
        return value if value in _ALLOWED[keyword] else None
    if _TEXT.fullmatch(keyword):
        return value if isinstance(value, str) else str(value)
    return value


def _as_number(value: Any) -> Any:
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def tidy(cards: Sequence[fits.Card], axes: int) -> fits.Header:
    """The header of standard cards, with what no card shows alone mended: an incomplete system of
    coordinates is taken out, a deprecated keyword renamed, long strings announced."""
    found = {card.keyword for card in cards}
    gone = {k for k in found if k.startswith("WCSAXES")}  # must stand before the others, and says
    if not _is_whole(cards, axes):  # no more than NAXIS
        gone |= {k for k in found if _WCS.fullmatch(k)}
    if "EQUINOX" in found:  # FITS standard 4.0, section 8.3
        gone.add("EPOCH")
    kept = [card for card in cards if card.keyword not in gone]
    if any(len(str(card)) > _LENGTH for card in kept):
        kept.insert(0, fits.Card("LONGSTRN", "OGIP 1.0", "long strings are continued"))
    header = fits.Header(kept)
    if "EPOCH" in header:
        header.rename_keyword("EPOCH", "EQUINOX")
    return header


def is_wcs(keyword: str) -> bool:
    """Whether a card is part of a system of coordinates, which is whole or worth nothing."""
    return _WCS.fullmatch(keyword) is not None


def _is_whole(cards: Sequence[fits.Card], axes: int) -> bool:
    values = {c.keyword: c.value for c in cards if _WCS.fullmatch(c.keyword)}
    if len({k[:2] for k in values if _MATRIX.fullmatch(k)}) > 1:
        return False  # PCi_j and CDi_j exclude each other
    alternates: dict[str, set[tuple[str, int]]] = {}
    for keyword, value in values.items():
        match = _WCS.fullmatch(keyword)
        assert match
        is_text = isinstance(value, str)
        if is_text != bool(_WCS_TEXT.match(keyword)) or isinstance(value, bool):
            return False
        # of PVi_m and PSi_m only the first number is an axis
        axis = keyword if keyword.startswith(("CD", "PC")) else keyword.split("_")[0]
        if any(not 1 <= int(n) <= axes for n in re.findall(r"\d+", axis)):
            return False
        if match["axis"]:
            alternates.setdefault(match["alt"], set()).add((match["axis"], int(match["i"])))
    needed = {(word, i + 1) for word in ("CRPIX", "CRVAL") for i in range(axes)}
    return all(needed <= found for found in alternates.values())
