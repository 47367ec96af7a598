"""Sums of bytes, and how FITS writes them."""

from __future__ import annotations

import itertools

import numpy as np
from helpers import MODULO
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.kernels.checksum import encode_checksum, word_sum
from pulsar_dask.kernels.ordersum import fold


@given(st.integers(0, 2**32 - 1))
def test_checksum_letters(value):
    text = encode_checksum(value)
    assert len(text) == 16
    assert text.isalnum()
    assert text.isascii()
    letters = text[1:] + text[0]  # read back as the standard says (appendix J.3)
    parts = [sum(ord(letters[4 * j + i]) - 48 for j in range(4)) for i in range(4)]
    assert int.from_bytes(bytes(parts), "big") == value


@given(st.binary(max_size=50), st.lists(st.integers(0, 50), max_size=5), st.booleans())
def test_a_sum_is_that_of_its_parts(data, cuts, loaded):
    if loaded:
        import pulsar_dask.kernels.sumcode  # noqa: F401
    places = sorted({0, len(data), *(min(c, len(data)) for c in cuts)})
    parts = [word_sum(np.frombuffer(data[a:b], np.uint8), a) for a, b in itertools.pairwise(places)]
    words = data + bytes(-len(data) % 4)
    whole = sum(int.from_bytes(words[i : i + 4], "big") for i in range(0, len(words), 4))
    assert (fold(sum(parts)) - whole) % MODULO == 0
    assert (fold(sum(parts)) == 0) == (whole == 0)  # 0 and -0 are told apart
