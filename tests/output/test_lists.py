"""The bytes of a list of hot pixels."""

from __future__ import annotations

import numpy as np
from helpers import names

from pulsar_dask.output.lists import write_list


def test_the_bytes_of_a_list(tmp_path):
    path = tmp_path / "c.lst"
    write_list(str(path), np.array([1234, 0, 7]), np.array([567, 0, 9]))
    assert path.read_bytes() == b"P 1234 567\r\nP 0 0\r\nP 7 9\r\n"
    write_list(str(path), np.array([1234, 0, 7]), np.array([567, 0, 9]), rows=600)
    assert path.read_bytes() == b"P 1234 32\r\nP 0 599\r\nP 7 590\r\n"
    write_list(str(path), np.array([], int), np.array([], int))
    assert path.read_bytes() == b""
    assert names(tmp_path) == ["c.lst"]
