"""A trace as HISTORY, and back."""

from __future__ import annotations

import os
import string

from helpers import MODULO
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.frames.provenance import Source, Trace, history_cards, read_trace

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=[]), min_size=1, max_size=200
)


@given(
    st.lists(st.tuples(NAMES, st.integers(0, MODULO)), min_size=1, max_size=5),
    st.lists(st.text(string.ascii_letters + " .&'\\", min_size=1).map(str.strip), max_size=3),
    NAMES,
)
def test_a_trace_reads_back(files, steps, folder):
    home = os.path.abspath(os.sep + "home")
    if folder in (".", ".."):
        folder = "x"
    sources = tuple(
        Source("input", os.path.join(home, folder, name), sum=total)
        for name, total in files
        if name not in (".", "..")
    )
    trace = Trace(sources, tuple(steps))
    texts = trace.texts(home, {})
    assert all(len(text) <= 72 and text.isascii() and text.isprintable() for text in texts)
    cards = history_cards(
        ["pulsar-dask 0 made this of", "input lie.fit DATASUM 0000000001", *texts]
    )
    assert len(cards) % 80 == 0
    back = read_trace([cards[i + 8 : i + 80].rstrip() for i in range(0, len(cards), 80)], home)
    assert [(s.path, s.sum) for s in back.sources] == [(s.path, s.sum) for s in sources]
