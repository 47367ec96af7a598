"""What was seen of the inputs, counted once."""

from __future__ import annotations

from helpers import MODULO

from pulsar_dask.formats.ledger import Ledger


def test_a_ledger_knows_what_it_has_seen_once():
    ledger, other = Ledger(), Ledger()
    ledger.add("a", 5, 8)
    assert ledger.sum("a", 16) is None
    other.add("a", MODULO, 8)
    other.add("b", 7, 4)
    ledger.unpack(["b", "a"], other.pack(["b", "a"]))
    assert (ledger.sum("a", 16), ledger.sum("b", 4), ledger.sum("c", 4)) == (5, 7, None)
    ledger.add("a", 1, 8)
    assert ledger.sum("a", 16) is None
