"""Steps as text, and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.frames.step import number_text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_a_trace_is_exact(number):
    assert float(number_text(number)) == number
