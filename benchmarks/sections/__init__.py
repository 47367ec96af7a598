"""What is measured: a section a file.

Each has `tables`, which measures and returns tables, and `AGAINST`, which says what a run is to be
compared with.
"""

from __future__ import annotations

import importlib
from typing import Any

#: In the order of the page.
SECTIONS = (
    "stack",
    "combine",
    "planted",
    "real",
    "dark",
    "flat",
    "lights",
    "fz",
    "cluster",
    "startup",
    "cold",
    "slow",
    "many",
    "curves",
)


def section(name: str) -> Any:
    """The module of a section."""
    return importlib.import_module(f"sections.{name}")
