"""Arguments of functions that people call, refused by their names where they are none."""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.errors import wrong_argument


def check_switch(name: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_argument(name, value, "True or False")


def check_hdu(hdu: Any) -> None:
    """Refuse what is neither None, nor the index of an HDU, nor a name."""
    whole = isinstance(hdu, (int, np.integer)) and not isinstance(hdu, bool) and hdu >= 0
    if not (hdu is None or whole or (isinstance(hdu, str) and hdu.strip())):
        raise wrong_argument("hdu", hdu, "the number or the EXTNAME of an HDU, such as 1 or 'SCI'")
