"""Headers whose cards are read once for all: each says what it says by itself."""

from __future__ import annotations

import pytest
from astropy.io import fits
from helpers import header_bytes
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.formats.values import Keywords, Lines, ManyKeywords, of_cards
from pulsar_dask.frames.keywords import about
from pulsar_dask.frames.table import Table, own_table, using

WORDS = (
    "IMAGETYP EXPTIME EXPOSURE FILTER CCD-TEMP GAIN OFFSET XBINNING DATE-OBS SATURATE BAYERPAT "
    "STACKCNT CREATOR HISTORY COMMENT READOUTM NAXIS1 XORGSUBF YORGSUBF SET-TEMP FLATCOR BIASSEC"
).split()
VALUES = (
    "'Dark Frame'|'Flat'|'Master Dark'|60|60.0|0|-10.5|'V'|'1x2'|T|2024-01-02T03:04:05||1E3|'it''s'"
    "|'2024-01-02T03:04:05'|'60 ms'|NaN|'[1:50,1:100]'|263.1|'pulsar-dask 0.1'|(1,2)|'open"
).split("|")
COMMENTS = ["", " / [ms] time", " / in Kelvin", " / [K]", " / seconds", "/tight"]
cards = st.builds(
    lambda word, value, comment: f"{word:8}= {value:>20}{comment}"[:80].ljust(80).encode("latin-1"),
    st.sampled_from(WORDS),
    st.sampled_from(VALUES),
    st.sampled_from(COMMENTS),
)
texts = st.sampled_from(["HISTORY calibrated by dark", "COMMENT x", "", "HISTORY b"]).map(
    lambda text: text.ljust(80).encode()
)
headers = st.lists(st.one_of(cards, cards, texts), max_size=14).map(b"".join)


def whole(text: bytes) -> fits.Header:
    return fits.Header.fromstring(text + b"END".ljust(80))


def plain(value: object) -> object:
    """Lines of commentary as text; what is not a number as one."""
    return str(value)


@given(st.lists(headers, min_size=1, max_size=4))
def test_each_says_what_it_says_alone(several):
    keywords = {*WORDS, "ABSENT", ""}
    for text in several:
        lines, header = Keywords(Lines(text)), Keywords(whole(text))
        for keyword in keywords:
            assert plain(lines.get(keyword)) == plain(header.get(keyword)), keyword
            if keyword not in ("", "COMMENT", "HISTORY"):
                assert lines.comment(keyword) == header.comment(keyword)


@given(
    st.sampled_from(("OBJECT", "DATE-OBS", "DP1", "HISTORY", "HIERARCH", "A B", "9X", "lower")),
    st.text("Axis1.2: &'/=-\\ ", max_size=20),
    st.sampled_from(("", " / c", "/t", "  x", " / it's", " ///", " / é")),
)
def test_a_text_says_what_a_parser_makes_of_it(word, text, comment):
    card = f"{word:8}= '{text}'{comment}"[:80].ljust(80).encode("latin-1")
    try:
        lines = Lines(card)
    except ValueError:  # it is left to the parser
        return
    (keyword,) = lines.cards
    assert keyword == whole(card).cards[0].keyword
    for ask in (Keywords.get, Keywords.comment):
        assert plain(ask(Keywords(lines), keyword)) == plain(ask(Keywords(whole(card)), keyword))


@given(st.lists(headers, min_size=1, max_size=6))
def test_what_follows_from_cards_is_found_as_if_each_header_were_the_only_one(several):
    def first(header: Lines, path: str, *words: str) -> object:
        """What it asks for depends on what it was told."""
        for word in (*words, *WORDS):
            if word in header and word not in ("HISTORY", "COMMENT"):
                return word, str(Keywords(header).get(word))
        return None

    shared = of_cards(first)
    for text in [*several, *several]:
        for words in ((), ("GAIN",)):
            assert shared(Lines(text), "a.fit", *words) == first(Lines(text), "b.fit", *words)


@given(st.lists(headers, min_size=1, max_size=6))
def test_frames_are_understood_as_if_each_were_the_only_one(several):
    for text in [*several, *several]:
        shared = about(ManyKeywords(Lines(text)), "/night/dark_001.fit")
        # a header that knows no cards is read anew
        alone = about(Keywords(whole(text)), "/night/dark_001.fit")
        assert repr(shared) == repr(alone)


def test_a_table_of_ones_own_counts_at_once():
    text = header_bytes({"MYTIME": 12.0, "EXPTIME": 3.0})
    header = ManyKeywords(Lines(text[: text.index(b"END ")]))
    data = own_table().data
    mine = {"MYTIME": {"unit": "s"}} | data["exposure"]["keywords"]
    assert about(header).exposure == 3.0
    with using(Table({**data, "exposure": {**data["exposure"], "keywords": mine}})):
        assert about(header).exposure == 12.0
    assert about(header).exposure == 3.0


@pytest.mark.parametrize(
    "cards",
    [
        [("LONG", "x" * 90)],
        [("HIERARCH ESO DET", 5)],
        [("DP1", "AXIS.1: 2")],
    ],
)
def test_cards_that_belong_together_are_read_together(cards):
    header = fits.Header(cards)
    text = header.tostring(padding=False, endcard=False).encode()
    with pytest.raises(ValueError, match="belong together"):
        Lines(text)
