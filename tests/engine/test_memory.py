"""The budget: what is given, or what there is."""

from __future__ import annotations

import pytest

from pulsar_dask.engine.memory import budget
from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.holds import GB


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), 1e400])
def test_a_budget_that_is_none_is_refused(wrong):
    with pytest.raises(PulsarError, match="`memory`"):
        budget(wrong)


def test_budget():
    assert budget(0.5) == 500_000_000
    assert 0 < budget(None) <= 16 * GB
